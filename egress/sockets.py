"""What a check needs of plain sockets, each bounded in time and size."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import re
import socket
import threading
import time
from collections.abc import Callable
from email.message import Message
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

MOST_HEAD = 16 * 1024
T = TypeVar("T")


def resolve(name: str, port: int, seconds: float) -> list[str]:
    """Return up to four addresses of a name, in the order of the host's resolver.

    Raises:
        TimeoutError: No DNS server answered in time.
        OSError: The name is not known.
    """
    found = _in_time(
        lambda: socket.getaddrinfo(name, port, type=socket.SOCK_STREAM), seconds
    )
    return list(dict.fromkeys(str(one[4][0]) for one in found))[:4]


def connect(addresses: list[str], port: int, seconds: float) -> socket.socket:
    """Return a connection to the first address that answers; all share the time.

    Raises:
        OSError: None answered; the error is that of the last one.
    """
    ends = time.monotonic() + seconds
    error = OSError("no address")
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        wait = max((ends - time.monotonic()) / left, 0.001)
        try:
            return socket.create_connection((address, port), timeout=wait)
        except OSError as refused:
            error = refused
    raise error


def source(addresses: list[str], port: int) -> str:
    """Return the address of this host that is used towards others; empty without one.

    It asks the routing table by a datagram socket, and nothing is sent.
    """
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with (
            contextlib.suppress(OSError),
            socket.socket(family, socket.SOCK_DGRAM) as s,
        ):
            s.connect((address, port))
            return str(s.getsockname()[0])
    return ""


def exchange(sock: Any, lines: list[str], seconds: float) -> tuple[int, Message]:
    """Send one head without a body; return the status and the headers that come back.

    Raises:
        OSError: The connection ended, or nothing whole came in time.
        ValueError: What came back is not HTTP.
    """
    ends = time.monotonic() + seconds
    head = [*lines, "User-Agent: nms-admin", "", ""]
    sock.settimeout(seconds)
    sock.sendall("\r\n".join(head).encode())
    got = b""
    while b"\r\n\r\n" not in got:
        sock.settimeout(max(ends - time.monotonic(), 0.001))
        part = sock.recv(4096)
        got += part
        if len(got) > MOST_HEAD or (got and not part):
            raise ValueError
        if not part:
            raise ConnectionResetError
    first, _, rest = got.partition(b"\r\n")
    status = re.fullmatch(rb"HTTP/1\.[01] ([1-5]\d\d)(?: .*)?", first)
    if status is None:
        raise ValueError
    try:
        return int(status[1]), http.client.parse_headers(io.BytesIO(rest))
    except http.client.HTTPException:
        raise ValueError from None


def proxy_login(proxy: str) -> dict[str, str]:
    """Return the header that carries the login of a proxy's URL; empty without one.

    The login is UTF-8, as browsers and curl send it (RFC 7617).
    """
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    coded = base64.b64encode(login.encode()).decode()
    return {"Proxy-Authorization": f"Basic {coded}"}


def _in_time(call: Callable[[], T], seconds: float) -> T:
    """Return what a call returns or raises; TimeoutError when it takes too long."""
    ended: list[T | OSError] = []

    def run() -> None:
        try:
            ended.append(call())
        except OSError as error:
            ended.append(error)
        except UnicodeError:
            ended.append(OSError("no name"))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not ended:
        raise TimeoutError
    if isinstance(ended[0], OSError):
        raise ended[0]
    return ended[0]
