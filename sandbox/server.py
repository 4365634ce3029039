"""Sockets: two listeners, vendor and collector, a thread per connection."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Self

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


class Listener:
    """One port of the sandbox: a thread that accepts, and one per connection."""

    def __init__(
        self,
        box: Sandbox,
        name: str,
        address: tuple[str, int],
        tls: ssl.SSLContext | None,
    ) -> None:
        self.box = box
        self.name = name
        self.tls = tls
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.sock = socket.create_server(address, family=family, backlog=256)
        self.port = int(self.sock.getsockname()[1])
        self.thread = threading.Thread(target=self._accept, daemon=True)

    def _accept(self) -> None:
        while not self.box.stop.is_set():
            try:
                sock, _ = self.sock.accept()
            except OSError:  # out of descriptors, or gone before it was accepted
                self.box.stop.wait(0.1)
                continue
            threading.Thread(target=self._connect, args=(sock,), daemon=True).start()

    def close(self) -> None:
        """Stop accepting; the box's stop is set already."""
        with contextlib.suppress(OSError):  # wake it up
            socket.create_connection(self.sock.getsockname()[:2], 1).close()
        self.thread.join()
        self.sock.close()

    def _connect(self, sock: socket.socket) -> None:
        """Serve one connection until either side ends it."""
        with sock, contextlib.suppress(OSError):  # the client left, or a fault did it
            sock.settimeout(IDLE_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is None:
                self._serve(sock)
            else:
                with self.tls.wrap_socket(sock, server_side=True) as secured:
                    self._serve(secured)

    def _serve(self, sock: socket.socket) -> None:
        with sock.makefile("rb") as stream:
            try:
                while request := read_head(stream, self.name):
                    if self.box.stop.is_set():
                        return
                    if not self.box.serve(request, sock, stream):
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
            self.vendor.sock.close()
            raise
        self.vendor.thread.start()
        self.collector.thread.start()

    def _listen(
        self, name: str, host: str, port: int, tls: ssl.SSLContext | None
    ) -> Listener:
        try:
            return Listener(self, name, (host, port), tls)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
        except OverflowError:
            reason = "Ports go from 0 to 65535"
        raise CannotStart(f"The {name} cannot listen on {host} port {port}: {reason}.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and let every waiting fault end."""
        self.stop.set()
        self.vendor.close()
        self.collector.close()

    def serve(self, request: Request, sock: socket.socket, stream: BinaryIO) -> bool:
        """Serve one request whose head was read; return whether to go on."""
        exchange = Exchange(sock, request, self.stop)
        if is_control(request):
            request.body = read_body(stream, request)
            return exchange.send(self._control.answer(request))
        rule = self.faults.take(request)
        if rule:
            request.fault, request.args = rule.mode, rule.args
        if request.fault == "refuse_after_accept":
            self.store.add(request)
            return False
        if request.fields.get("expect", "").lower() == "100-continue":
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            request.body = read_body(stream, request)
        finally:
            self.store.add(request)  # also when its body was cut off
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
