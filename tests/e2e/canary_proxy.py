"""A forward proxy that wants a password, and keeps what it could read."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading


class Proxy:
    """A forward proxy that wants a password; keeps the bytes it could read."""

    def __init__(self, login: str, port: int) -> None:
        self.wants = base64.b64encode(login.encode()).decode()
        self.behind, self.refuses = port, False
        self.heads: list[bytes] = []
        self.passed: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=[sock], daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (part := sock.recv(4096)):
                    return
                head += part
            self.heads.append(head)
            right = f"Proxy-Authorization: Basic {self.wants}\r\n".encode() in head
            if self.refuses or not right:
                sock.sendall(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self.behind)) as vendor:
                sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=self._pump, args=[vendor, sock])
                back.start()
                self._pump(sock, vendor)
                back.join()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := one.recv(65536):
                self.passed.append(part)
                other.sendall(part)
            other.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
