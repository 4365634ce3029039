"""Two hosts of one installation, each with a cable to database, broker and vendor."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import trustme
from django.conf import settings

from faults.pages import Pages
from faults.scene import Scene, session
from sandbox.server import Listener
from tests.e2e.console import ROOT, wait_for
from tests.networks import Namespace

_libc = ctypes.CDLL(None)
SERVICES = {
    "database": "203.0.113.1",
    "broker": "203.0.113.2",
    "vendor": "203.0.113.3",
}
VENDOR = "https://203.0.113.3:8443/ee/v1"


class Host:
    """``manage.py serve`` on a host of its own, and somebody there who looks at it."""

    def __init__(self, scene: Scene, outer: Namespace, net: Namespace, number: int):
        self.scene, self.outer, self.net = scene, outer, net
        self.name = net.name.rpartition("-")[2]
        self.folder = scene.folder / self.name
        self.process: subprocess.Popen[bytes] | None = None
        for place, (kind, service) in enumerate(SERVICES.items()):
            here, there = (f"10.9.{number * 3 + place}.{one}" for one in (1, 2))
            outer.link(f"{here}/24", net, f"{there}/24", kind)
            device = f"{kind}-{outer.name.rpartition('-')[2]}"
            net.ip("route", "add", service, "via", here, "dev", device)
            self._remember(device, here, kind)
        shutil.copytree(scene.folder / "sandbox", self.folder / "sandbox")
        self.folder.chmod(0o700)
        self.pages = Pages(settings.NMS_PUBLIC_URL, session(), where=net.entered)

    def _remember(self, device: str, address: str, kind: str) -> None:
        """Keep the neighbour's hardware address: a cut cable stays silent."""
        shown = self.outer.ip("-json", "link", "show", f"{kind}-{self.name}")
        mac = json.loads(shown)[0]["address"]
        words = ["replace", address, "lladdr", mac, "nud", "permanent"]
        self.net.ip("neighbour", *words, "dev", device)

    def _environment(self) -> dict[str, str]:
        def at(url: str, kind: str) -> str:
            parts = urlsplit(url)
            login, _, host = parts.netloc.rpartition("@")
            port = host.rpartition(":")[2]
            netloc = f"{login}{'@' if login else ''}{SERVICES[kind]}:{port}"
            return parts._replace(netloc=netloc).geturl()

        return {
            **os.environ,
            "NMS_DATA_DIR": str(self.folder),
            "NMS_SECRET_KEY_FILE": str(self.scene.folder / "secret.key"),
            "NMS_SEAL_KEYS_FILE": str(self.scene.folder / "seal.keys"),
            "NMS_DATABASE_URL": at(os.environ["NMS_DATABASE_URL"], "database"),
            "NMS_BROKER_URL": at(os.environ["NMS_BROKER_URL"], "broker"),
            "NMS_F5_API_URL": VENDOR,
            "NMS_JWKS_URL": settings.NMS_JWKS_URL,
            "NMS_CA_BUNDLE": str(self.scene.folder / "vendor.pem"),
        }

    def start(self) -> None:
        """Start all processes."""
        named = f'hostname {self.name} && exec "$@"'
        words = [*self.net.words, "unshare", "--uts", "sh", "-c", named, "sh"]
        with (self.scene.folder / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*words, sys.executable, "-u", "manage.py", "serve"],
                cwd=ROOT,
                env=self._environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_us,  # noqa: PLW1509  (of C, no lock)
            )

    def answers(self) -> bool:
        """Return whether its first page is shown."""
        return self.pages.ask("/ui/") == 200

    def sends(self) -> bool:
        """Return whether a call to the vendor is open, whose answer is not there yet."""
        vendor = f":{urlsplit(VENDOR).port:04X}"
        with self.net.entered():
            open_ones = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
        found = [line.split()[2:4] for line in open_ones]
        return any(there.endswith(vendor) and how == "01" for there, how in found)

    def stop(self) -> None:
        """Ask all processes to stop."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGINT)
            self.process.wait(20)
            self.process = None

    def lose_power(self) -> int:
        """End all processes at once; return how many there were."""
        words = ["ip", "netns", "pids", self.net.name]
        pids = subprocess.run(words, check=True, capture_output=True, text=True)
        for pid in pids.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        if self.process:
            self.process.wait(20)
        return len(pids.stdout.split())

    def cut(self, *kinds: str) -> None:
        """Pull cables out; nothing says so at either end."""
        for kind in kinds:
            self.outer.ip("link", "set", f"{kind}-{self.name}", "down")

    def mend(self, *kinds: str) -> None:
        """Put them back."""
        for kind in kinds:
            self.outer.ip("link", "set", f"{kind}-{self.name}", "up")


def _end_with_us() -> None:
    """Ask Linux for SIGTERM when this case is killed; ``serve`` stops the rest then."""
    _libc.prctl(1, signal.SIGTERM)


@contextmanager
def hosts(scene: Scene) -> Iterator[tuple[Host, Host]]:
    """Yield both hosts, running; the servers stand where this process is."""
    with ExitStack() as stack:
        here = f"nms{os.getpid()}-outer"
        outer = stack.enter_context(Namespace(here, here=True))
        for address in SERVICES.values():
            outer.ip("address", "add", f"{address}/32", "dev", "lo")
        _vendor(scene)
        found = []
        for number, name in enumerate(("a", "b")):
            net = stack.enter_context(Namespace(f"nms{os.getpid()}-{name}"))
            found.append(Host(scene, outer, net, number))
            stack.callback(found[-1].lose_power)
        for host in found:
            host.start()
        for host in found:
            wait_for(host.answers, 90, f"host {host.name} answers")
        yield found[0], found[1]


def _vendor(scene: Scene) -> None:
    """Let the receiver listen where the hosts look for it, by TLS."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(scene.folder / "vendor.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(SERVICES["vendor"]).configure_cert(tls)
    address = (SERVICES["vendor"], urlsplit(VENDOR).port or 0)
    Listener(scene.box, "vendor", address, tls).thread.start()
