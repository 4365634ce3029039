"""A receiver on a free port, and one that only keeps the bytes it got."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

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
