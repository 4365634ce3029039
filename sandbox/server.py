"""Sockets: two listeners, vendor and collector, a thread per connection."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import socketserver
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from sandbox.app import App
from sandbox.control import Control, is_control
from sandbox.faults import Faults, play
from sandbox.store import Store
from sandbox.tokens import make_keys_elsewhere
from sandbox.wire import (
    Exchange,
    Refused,
    Request,
    encode,
    read_body,
    read_head,
    refusal,
)

if TYPE_CHECKING:
    import ssl

IDLE_SECONDS = 75.0


class CannotStart(Exception):
    """The sandbox cannot listen where it was told to; says why."""


class Connection(socketserver.BaseRequestHandler):
    """One client connection: requests one after the other until it ends."""

    server: Listener

    def handle(self) -> None:
        """Serve the connection until either side ends it."""
        sock: socket.socket = self.request
        with contextlib.suppress(OSError):  # the client left, or a fault cut it off
            sock.settimeout(IDLE_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.server.tls:
                cast("ssl.SSLSocket", sock).do_handshake()
            with sock.makefile("rb", 65_536) as stream:
                self._serve(sock, cast("Any", stream))

    def _serve(self, sock: socket.socket, stream: Any) -> None:
        box, host = self.server.box, self.server.host
        try:
            while request := read_head(stream, host):
                if not box.serve(request, sock, stream):
                    return
        except Refused as refused:
            answer = refusal(refused.status, str(refused))
            sock.sendall(encode(answer, close=True))
            _linger(sock)


def _linger(sock: socket.socket) -> None:
    """Read on for up to a second, so that a reset does not overtake the answer."""
    sock.shutdown(socket.SHUT_WR)
    sock.settimeout(1)
    for _ in range(1_024):
        if not sock.recv(65_536):
            return


class Listener(socketserver.ThreadingTCPServer):
    """One port of the sandbox."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(
        self,
        box: Sandbox,
        host: str,
        address: tuple[str, int],
        tls: ssl.SSLContext | None,
    ) -> None:
        self.box = box
        self.host = host
        self.tls = tls
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, Connection)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; its TLS handshake happens in its own thread."""
        sock, peer = super().get_request()
        if self.tls:
            wrapped = self.tls.wrap_socket(
                sock, server_side=True, do_handshake_on_connect=False
            )
            return wrapped, peer
        return sock, peer

    def shutdown_request(self, request: Any) -> None:
        """Close without a goodbye of our own: a reset fault must stay a reset."""
        self.close_request(request)


class Sandbox:
    """Vendor and collector on two ports of this machine.

    Usable as a context manager; ``store`` and ``faults`` may be used directly
    by whoever runs it in a thread.
    """

    def __init__(
        self,
        data: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        collector_port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Make the keys, bind both ports and start to serve.

        Raises:
            CannotStart: The host is not a loopback address, or a port is taken.
        """
        _require_loopback(host)
        self.data = data.resolve()
        self.jwks_file = make_keys_elsewhere(self.data)
        self.store = Store()
        self.faults = Faults()
        self.stop = threading.Event()
        self._app = App(self.store, self.data)
        self._control = Control(self.store, self.faults)
        self.vendor = self._listen("vendor", host, port, tls)
        try:
            self.collector = self._listen("collector", host, collector_port, tls)
        except CannotStart:
            self.vendor.server_close()
            raise
        self._threads = [
            threading.Thread(target=listener.serve_forever, daemon=True)
            for listener in (self.vendor, self.collector)
        ]
        for thread in self._threads:
            thread.start()

    def _listen(
        self, name: str, host: str, port: int, tls: ssl.SSLContext | None
    ) -> Listener:
        try:
            return Listener(self, name, (host, port), tls)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise CannotStart(
                f"The {name} cannot listen on {host} port {port}: {reason}."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and let every waiting fault end."""
        self.stop.set()
        for listener, thread in zip(
            (self.vendor, self.collector), self._threads, strict=True
        ):
            listener.shutdown()
            listener.server_close()
            thread.join()

    def serve(self, request: Request, sock: socket.socket, stream: Any) -> bool:
        """Serve one request whose head was read; return whether to go on."""
        exchange = Exchange(sock, request, self.stop)
        if is_control(request):
            request.body = read_body(stream, request)
            return exchange.send(self._control.answer(request))
        rule = self.faults.take(request)
        request.fault = rule.mode if rule else None
        if request.fault == "refuse_after_accept":
            self.store.add(request)
            return False
        if request.fields.get("expect", "").lower() == "100-continue":
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = read_body(stream, request)
        self.store.add(request)
        if rule is None:
            return exchange.send(self._app.answer(request))
        return play(rule, exchange, lambda: self._app.answer(request))


def _require_loopback(host: str) -> None:
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise CannotStart(
            f"The sandbox listens on loopback addresses only, not on {host}."
        )
