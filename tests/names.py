"""The world outside of this host: what a name server answers, and where a way leads."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any

NAME, PUBLIC = "keys.vendor.example", "159.60.126.21"
_resolve, _connect = socket.getaddrinfo, socket.create_connection


@dataclass
class World:
    """A name server that knows one name, and a way to one public address.

    ``answers`` holds the addresses of each answer in turn, the last one for good. What
    stands at ``PUBLIC`` is a server of the test on loopback. ``asked`` counts the
    questions; ``ways`` are the addresses something was connected to by this host.
    """

    answers: list[list[str]] = field(default_factory=lambda: [[PUBLIC]])
    asked: int = 0
    ways: list[str] = field(default_factory=list)

    def resolve(self, host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != NAME:
            return _resolve(host, port, *args, **options)
        self.asked += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            (
                socket.AF_INET6 if ":" in one else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (one, port, 0, 0) if ":" in one else (one, port),
            )
            for one in addresses
        ]

    def connect(self, address: tuple[str, int], *args: Any, **options: Any) -> Any:
        self.ways.append(address[0])
        if address[0] == PUBLIC:
            address = ("127.0.0.1", address[1])
        return _connect(address, *args, **options)
