"""A console in a network of its own, and all that stands outside of it.

Outside are a resolver, the vendor at the names and the range that are documented, a
collector, and people. The console has one cable, on which every packet is counted.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import requests
import trustme

from sandbox.server import Listener, Sandbox
from tests.conftest import PASSWORD
from tests.e2e.console import Console
from tests.networks import Namespace, Packet, Packets

CLOCK = Path(__file__).parent / "clock"
RESOLVER = "192.0.2.1"
KEYS = USAGE = "product.apis.f5.com"
CHECKED = "product-s.apis.f5.com"
TELEMETRY = "telemetry.example.net"
ENTITLEMENTS = "entitlements.example.net"
COLLECTOR = "collector.example.net"
NAMES = {
    KEYS: "159.60.126.10",
    CHECKED: "159.60.126.11",
    TELEMETRY: "159.60.126.12",
    ENTITLEMENTS: "159.60.126.13",
    COLLECTOR: "159.60.126.14",
}
FILES = {
    "resolv.conf": f"nameserver {RESOLVER}\n",
    "hosts": "127.0.0.1 localhost\n",
    "nsswitch.conf": "hosts: files dns\n",
}
PORT, AGENTS = 8000, 8443


class Resolver:
    """Answers with the address of each name; no other name is there."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((RESOLVER, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            question, sender = self.sock.recvfrom(512)
            self.sock.sendto(self._answer(question), sender)

    def _answer(self, question: bytes) -> bytes:
        name, at = b"", 12
        while size := question[at]:
            name += question[at + 1 : at + 1 + size] + b"."
            at += 1 + size
        asked, rest = name.decode().rstrip("."), question[12 : at + 5]
        self.asked.append(asked)
        address = NAMES.get(asked, "")
        found = address and rest[-4:-2] == b"\0\1"  # an IPv4 address is asked for
        head = question[:2] + (b"\x81\x80" if address else b"\x81\x83") + b"\0\1"
        head += (b"\0\1" if found else b"\0\0") + b"\0\0\0\0"
        record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(address or RESOLVER)
        return head + rest + (record if found else b"")


class Outside(Namespace):
    """Everything but the consoles and browsers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"nms{os.getpid()}-outside")
        self.folder, self.cables = folder, 0
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        for address in (RESOLVER, *NAMES.values()):
            self.ip("address", "add", f"{address}/32", "dev", "lo")
        with self.entered():
            Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
            self.resolver = Resolver()
        self.box = Sandbox(folder / "sandbox")
        self.listeners = [self._listen(name) for name in NAMES]

    def _listen(self, name: str) -> Listener:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(tls)
        role = "collector" if name == COLLECTOR else "vendor"
        with self.entered():
            found = Listener(self.box, role, (NAMES[name], 443), tls)
        found.thread.start()
        return found

    def __exit__(self, *_: object) -> None:
        self.box.close()
        super().__exit__()

    @contextmanager
    def cable(self, name: str) -> Iterator[Cable]:
        """Yield another host, whose only way out leads here."""
        with (
            Namespace(f"nms{os.getpid()}-{name}", FILES) as host,
            ExitStack() as stack,
        ):
            self.cables += 1
            ends = [f"198.51.100.{self.cables * 4 + one}" for one in (1, 2)]
            self.link(f"{ends[0]}/30", host, f"{ends[1]}/30")
            host.ip("route", "add", "default", "via", ends[0])
            host.ip("-6", "route", "add", "default", "dev", "to-outside")
            packets = stack.enter_context(closing(Packets(self, f"to-{name}")))
            yield Cable(host, ends[1], packets)


class Cable:
    """A host at the other end, and what came out of it.

    Attributes:
        address: The host's.
    """

    def __init__(self, host: Namespace, address: str, packets: Packets) -> None:
        self.host, self.address, self.packets = host, address, packets
        self.answers: Counter[int] = Counter()  # packets of a port that is asked at

    def went_out(self) -> Counter[str]:
        """Return how many packets went where since the last time, replies left out.

        A reply belongs to a connection to one of the console's own ports, which
        somebody outside has opened.
        """
        found: Counter[str] = Counter()
        for packet, count in self.packets.taken().items():
            if packet.reply_from in (PORT, AGENTS):
                self.answers[packet.reply_from] += count
            else:
                found[_place(packet)] += count
        return found


def _place(packet: Packet) -> str:
    if (packet.protocol, packet.address, packet.port) == ("udp", RESOLVER, 53):
        return "DNS"
    names = {address: name for name, address in NAMES.items()}
    if packet.protocol == "tcp" and packet.port == 443 and packet.address in names:
        return names[packet.address]
    return f"{packet.protocol} {packet.address}:{packet.port}"


class Housed(Console):
    """A console in live mode at the end of a cable; its people come from outside."""

    def __init__(self, outside: Outside, cable: Cable, **settings: str) -> None:
        name = cable.host.name.rpartition("-")[2]
        super().__init__(outside.folder / name)
        self.folder.mkdir(mode=0o700)
        self.outside, self.cable = outside, cable
        self.prefix = cable.host.words
        self.base = f"https://{cable.address}:{PORT}"
        self.agents = f"{cable.address}:{AGENTS}"
        self.clock = self.folder / "clock"
        self.ahead = 0
        self.forward(0)
        live = {name: f"https://{name}/ee/v1" for name in NAMES}
        for name in [one for one in self.environment if "SANDBOX" in one]:
            del self.environment[name]
        self.environment |= {
            "NMS_F5_MODE": "live",
            "NMS_BIND": cable.address,
            "NMS_PORT": str(PORT),
            "NMS_PUBLIC_URL": self.base,
            "NMS_DPM_BIND": self.agents,
            "NMS_CA_BUNDLE": str(outside.ca),
            "NMS_TELEMETRY_URL": f"{live[TELEMETRY]}/telemetry",
            "NMS_ENTITLEMENTS_URL": f"{live[ENTITLEMENTS]}/entitlements",
            "NMS_COLLECTOR_URL": f"https://{COLLECTOR}",
            "NMS_TEST_CLOCK": str(self.clock),
            "PYTHONPATH": str(CLOCK),
            **self._certified(cable.address),
            **settings,
        }
        self.environment.pop("DO_NOT_TRACK", None)

    def _certified(self, address: str) -> dict[str, str]:
        issued = self.outside.authority.issue_cert(address)
        self.certificate.write_bytes(
            b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        )
        self.key.touch(mode=0o600)
        issued.private_key_pem.write_to_path(self.key)
        return {"NMS_TLS_CERT": str(self.certificate), "NMS_TLS_KEY": str(self.key)}

    def _answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise AssertionError(f"serve ended: {self.output()}")
        trust = ssl.create_default_context(cafile=self.outside.ca)
        address = f"{self.base}/api/liveness/core"
        try:
            with (
                self.outside.entered(),
                urlopen(address, timeout=2, context=trust) as answer,
            ):
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def forward(self, seconds: int) -> None:
        """Put the clock of its processes forward."""
        self.ahead += seconds
        self.clock.touch()
        with self.clock.open("r+b", buffering=0) as file:
            file.write(b"%016d" % self.ahead)

    def now(self) -> datetime:
        """Return the time as its processes see it."""
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def second_scheduler(self) -> subprocess.Popen[bytes]:
        """Start a scheduler that looks at the clock every second."""
        words = [sys.executable, "-m", "celery", "-A", "nms_admin", "beat"]
        words += ["-l", "WARNING", "--pidfile=", "--max-interval", "1"]
        words += ["-s", str(self.folder / "second-scheduler.state")]
        with self.log.open("ab") as output:
            return subprocess.Popen(
                [*self.prefix, *words],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )


class Person:
    """Somebody outside who uses a console, as ada."""

    def __init__(self, console: Housed) -> None:
        self.console = console
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(console.outside.ca)
        self.session.headers["Referer"] = f"{console.base}/"

    def ask(self, method: str, path: str, **more: object) -> requests.Response:
        """Ask for one address; fail when it is not answered as wanted."""
        with self.console.outside.entered():
            answer = self.session.request(
                method, self.console.base + path, timeout=20, **more
            )
        assert answer.status_code < 400, (path, answer.status_code, answer.text)
        return answer

    def send(self, path: str, **fields: str) -> str:
        """Fill in the form of a page; return the page that comes back."""
        page = self.ask("GET", path).text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token, path
        return self.ask(
            "POST", path, data={**fields, "csrfmiddlewaretoken": token[1]}
        ).text

    def sign_in(self) -> None:
        """Sign in anew."""
        self.session.cookies.clear()
        self.send("/login", username="ada", password=PASSWORD)
        assert "Overview" in self.ask("GET", "/ui/").text

    def api(self, method: str, path: str, **more: object) -> requests.Response:
        """Use the API."""
        path = f"/api/platform/v1/{path}"
        with_password = {"auth": ("ada", PASSWORD), **more}
        self.session.cookies.clear()
        return self.ask(method, path, **with_password)
