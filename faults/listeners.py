"""Servers that keep every byte they are given, and speak TLS badly or not at all."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Self


class Tap:
    """Accepts connections, keeps what came, answers with fixed bytes or not at all.

    Args:
        answer: Sent when a whole head has come; None keeps silent until the end.
        tls: The context it speaks TLS with.
    """

    def __init__(
        self, answer: bytes | None = b"", tls: ssl.SSLContext | None = None
    ) -> None:
        self.answer, self.tls = answer, tls
        self.got: list[bytes] = []
        self.failed: list[str] = []
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.sock.getsockname()[1])
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def holds(self, secrets: list[bytes]) -> int:
        """Return how many of its clients told it one of these."""
        time.sleep(0.1)
        return sum(any(one in got for one in secrets) for got in self.got)

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        received = bytearray()
        self.got.append(b"")
        number = len(self.got) - 1
        client.settimeout(40)
        try:
            with client:
                speaks = (
                    self.tls.wrap_socket(client, server_side=True)
                    if self.tls
                    else client
                )
                with speaks:
                    self._keep(speaks, received)
        except OSError as error:
            self.failed.append(str(error))
        self.got[number] = bytes(received)

    def _keep(self, client: socket.socket, received: bytearray) -> None:
        while part := client.recv(65_536):
            received += part
            if b"\r\n\r\n" in received and self.answer is not None:
                client.sendall(self.answer)
                return
            if not received.startswith((b"POST", b"CONNECT")) and self.answer:
                client.sendall(self.answer)
                return


Context = Callable[[], ssl.SSLContext]
