"""A whole installation in real processes, and the sandbox seen from outside."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError
from urllib.request import Request, urlopen

import psycopg
import trustme

ROOT = Path(__file__).parent.parent.parent
T = TypeVar("T")


def wait_for(condition: Callable[[], T], seconds: float, what: str) -> T:
    """Return the first true result; fail with ``what`` when there is none in time."""
    end = time.monotonic() + seconds
    while True:
        if result := condition():
            return result
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """Return ports nothing listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


@contextmanager
def new_database(name: str) -> Iterator[str]:
    """Yield the address of an empty database on the PostgreSQL of the tests."""
    server = os.environ["NMS_TEST_DATABASE_URL"]
    name = f"{name}_{secrets.token_hex(4)}"
    with psycopg.connect(server, autocommit=True) as control:
        control.execute(f"CREATE DATABASE {name}")
        yield f"{server.rpartition('/')[0]}/{name}"
        control.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Sandbox:
    """The vendor's side: what arrived, and what goes wrong next."""

    def __init__(self, port: int) -> None:
        self.base = f"http://localhost:{port}/__sandbox"

    def _call(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.base}{path}", data=data, method=method)
        request.add_header("Content-Type", "application/json")
        with urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def arrivals(self, host: str = "", path: str = "") -> list[dict[str, Any]]:
        """Return the requests of one host (vendor or collector), oldest first."""
        found: list[dict[str, Any]] = self._call(
            "GET", f"/requests?host={host}&path={path}"
        )["requests"]
        for one in found:
            one["body"] = base64.b64decode(one["body_base64"])
        return found

    def stats(self) -> dict[str, Any]:
        """Return the counters."""
        stats: dict[str, Any] = self._call("GET", "/stats")
        return stats

    def fault(self, *rules: dict[str, Any]) -> None:
        """Replace the rules of what goes wrong."""
        self._call("POST", "/faults", list(rules))


class Console:
    """``manage.py serve`` on a data folder and ports of its own.

    Args:
        tls: Whether it speaks https, with a certificate of ``self.ca``, a file.

    ``root`` is where the product lies; another version may be put there.
    """

    def __init__(self, folder: Path, *, tls: bool = False, **settings: str) -> None:
        self.folder = folder
        self.root = ROOT
        self.port, vendor, collector, agents = free_ports(4)
        self.base = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.ca, self.certificate, self.key = (
            folder / name for name in ("ca.pem", "server.crt", "server.key")
        )
        if tls:
            settings = self._certify() | settings
        self.collector = f"http://localhost:{collector}"
        self.sandbox = Sandbox(vendor)
        self.agents = f"127.0.0.1:{agents}"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("NMS_")},
            "NMS_DATA_DIR": str(folder),
            "NMS_PORT": str(self.port),
            "NMS_SANDBOX_PORT": str(vendor),
            "NMS_SANDBOX_COLLECTOR_PORT": str(collector),
            "NMS_DPM_BIND": f"127.0.0.1:{agents}",
            **settings,
        }
        self.environment.pop("DJANGO_SETTINGS_MODULE", None)
        self.log = folder / "output.log"
        self.prefix: list[str] = []  # words before each command
        self.process: subprocess.Popen[bytes] | None = None

    def _certify(self) -> dict[str, str]:
        """Write an authority's certificate and one of its own for this machine."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        authority.cert_pem.write_to_path(self.ca)
        self.certificate.write_bytes(
            b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        )
        self.key.touch(mode=0o600)
        issued.private_key_pem.write_to_path(self.key)
        return {"NMS_TLS_CERT": str(self.certificate), "NMS_TLS_KEY": str(self.key)}

    def start(self) -> None:
        """Start all processes and wait until the console answers."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*self.prefix, sys.executable, "-u", "manage.py", "serve"],
                cwd=self.root,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(self._answers, 60, f"the console answers: {self.output()}")

    def stop(self) -> float:
        """Ask it to stop; return how many seconds it took."""
        if self.process is None:
            return 0.0
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.process = None
        return time.monotonic() - began

    def _answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise AssertionError(f"serve ended: {self.output()}")
        trust = ssl.create_default_context(
            cafile=self.ca if self.base.startswith("https:") else None
        )
        address = f"{self.base}/api/liveness/core"
        try:
            with urlopen(address, timeout=2, context=trust) as answer:
                core = bool(answer.status == 200)
            with urlopen(f"{self.sandbox.base}/stats", timeout=2) as answer:
                return core and bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def takes_agents(self) -> bool:
        """Return whether dpm listens; it is the last process to start."""
        host, port = self.agents.split(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    def output(self) -> str:
        """Return everything the processes wrote so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def setup_code(self) -> str:
        """Return the code ``serve`` printed."""
        found = re.search(r"Setup code (\S+)", self.output())
        assert found, self.output()
        return found.group(1)

    def manage(self, *words: str, check: bool = True) -> str:
        """Run a command of manage.py on the same installation; return its output."""
        done = subprocess.run(
            [*self.prefix, sys.executable, "manage.py", *words],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def process_list(self) -> str:
        """Return commands and environments of every process of this installation."""
        marker = f"NMS_DATA_DIR={self.folder}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    environment = (entry / "environ").read_bytes()
                    if marker in environment.split(b"\0"):
                        found += [(entry / "cmdline").read_bytes(), environment]
                except OSError:
                    continue
        assert len(found) > 8, "serve runs at least five processes"
        return b"\n".join(found).decode(errors="replace")
