"""A receiver on a free port, and one that only keeps the bytes it got."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from egress.destinations import Destination
from sandbox.server import Sandbox

PATH = "/ee/v1/telemetry"


@pytest.fixture(scope="session")
def sandbox_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture
def box(sandbox_data: Path) -> Iterator[Sandbox]:
    with Sandbox(sandbox_data) as box:
        yield box


@pytest.fixture
def receiver(box: Sandbox) -> Destination:
    return Destination("telemetry", f"http://localhost:{box.vendor.port}{PATH}")


@dataclass
class Tap:
    """Accepts connections, keeps what came, answers with fixed bytes."""

    answer: bytes
    got: list[bytes] = field(default_factory=list)
    port: int = 0

    def received(self, exchanges: int = 1) -> bytes:
        """Wait for so many whole exchanges and return what came."""
        end = time.monotonic() + 3
        while len(self.got) < exchanges and time.monotonic() < end:
            time.sleep(0.01)
        return b"".join(self.got)

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(0.3)
                received = b""
                try:
                    while part := connection.recv(65536):
                        received += part
                        if received.count(b"\r\n\r\n"):
                            break
                    connection.sendall(self.answer)
                    while part := connection.recv(65536):
                        received += part
                except OSError:
                    pass
                self.got.append(received)


@pytest.fixture
def tap() -> Iterator[Callable[[bytes], Tap]]:
    listeners: list[socket.socket] = []

    def start(answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n") -> Tap:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        tap = Tap(answer, port=listener.getsockname()[1])
        threading.Thread(target=tap.serve, args=[listener], daemon=True).start()
        return tap

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.fixture
def authority(tmp_path: Path, settings) -> trustme.CA:
    """A certificate authority of the test, trusted through NMS_CA_BUNDLE."""
    made = trustme.CA(organization_name="Example Corp Inspection")
    path = tmp_path / "ca.pem"
    made.cert_pem.write_to_path(path)
    settings.NMS_CA_BUNDLE = str(path)
    return made


@pytest.fixture
def secure(
    authority: trustme.CA, sandbox_data: Path
) -> Iterator[Callable[..., Sandbox]]:
    started: list[Sandbox] = []

    def start(name: str = "localhost", **options: object) -> Sandbox:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name, **options).configure_cert(context)
        started.append(Sandbox(sandbox_data, tls=context).__enter__())
        return started[-1]

    yield start
    for box in started:
        box.__exit__(None, None, None)


def over_tls(box: Sandbox) -> str:
    return f"https://localhost:{box.vendor.port}/ee/v1"


@pytest.fixture
def black_hole() -> Iterator[int]:
    """The port of a listener whose queue is full: nobody gets an answer, not even no."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
            waiting.append(one)
        yield listener.getsockname()[1]
        for one in waiting:
            one.close()
