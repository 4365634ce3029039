"""HTTP/1.1 as bytes: read a request, write an answer, break off on purpose.

Own code instead of ``http.server``: faults need the bare socket, and the
benchmark needs a receiver that is not the slow side.
"""

from __future__ import annotations

import hashlib
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

MAX_HEAD = 65_536
MAX_BODY = 64 * 1024 * 1024
REASONS = {status.value: status.phrase for status in HTTPStatus}


class Refused(Exception):
    """A request that is not taken; carries the status to answer with."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Answer(NamedTuple):
    """One answer before it is written."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Request:
    """One request as it arrived, and what became of it.

    ``host`` is the listener, "vendor" or "collector"; ``headers`` are as they
    came, ``fields`` the same by lower-case name. ``status`` is 0 while, or if,
    nothing was answered; ``fault`` is the mode that was played on it, ``args``
    what its rule says.
    """

    host: str
    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    fields: dict[str, str] = field(init=False)
    at: float = field(default_factory=time.time)
    body: bytes = b""
    n: int = 0
    status: int = 0
    fault: str | None = None
    args: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fields = {name.lower(): value for name, value in self.headers}

    @cached_property
    def path(self) -> str:
        """The target's path without the query, also of an absolute target."""
        return urlsplit(self.target).path

    @cached_property
    def sha256(self) -> str:
        """The hex digest of the body."""
        return hashlib.sha256(self.body).hexdigest()

    @property
    def keeps_alive(self) -> bool:
        """Whether the client means to send another request."""
        asked = self.fields.get("connection", "").lower()
        return self.version == "HTTP/1.1" and asked != "close"


def as_json(value: object, status: int = 200) -> Answer:
    """Return an answer with compact JSON in it."""
    return Answer(status, json.dumps(value, separators=(",", ":")).encode())


def refusal(status: int, message: str) -> Answer:
    """Return an error in the gateway's form, ``{"code", "message"}``."""
    return as_json({"code": status, "message": message}, status)


def read_head(stream: BinaryIO, host: str) -> Request | None:
    """Read up to the empty line; None when the client has closed.

    Raises:
        Refused: It is not HTTP/1.x, or longer than 64 KiB.
    """
    first = stream.readline(MAX_HEAD)
    if not first.strip():
        return None
    words = first.decode("latin-1").split()
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise Refused(400, "This is not an HTTP/1.1 request.")
    headers: list[tuple[str, str]] = []
    size = 0
    while (line := stream.readline(MAX_HEAD)) not in (b"\r\n", b"\n"):
        size += len(line)
        if not line.endswith(b"\n") or size > MAX_HEAD:
            raise Refused(431, "The headers are cut off or longer than 64 KiB.")
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name.strip(), value.strip()))
    return Request(host, words[0], words[1], words[2], headers)


def read_body(stream: BinaryIO, request: Request) -> bytes:
    """Read the body a head announces, by length or in chunks.

    Raises:
        Refused: The length is unreadable, beyond 64 MiB, or not all came.
    """
    if request.fields.get("transfer-encoding", "").lower() == "chunked":
        return _read_chunks(stream)
    text = request.fields.get("content-length", "0")
    if not (text.isascii() and text.isdigit()):
        raise Refused(400, "Content-Length is not a number.")
    return _read_exactly(stream, int(text))


def _read_chunks(stream: BinaryIO) -> bytes:
    body = bytearray()
    while size := _chunk_size(stream.readline(MAX_HEAD)):
        body += _read_exactly(stream, size)
        if len(body) > MAX_BODY:
            raise Refused(413, "The body is longer than 64 MiB.")
        stream.readline(MAX_HEAD)
    while stream.readline(MAX_HEAD) not in (b"\r\n", b"\n", b""):
        pass
    return bytes(body)


def _chunk_size(line: bytes) -> int:
    try:
        size = int(line.split(b";")[0], 16)
    except ValueError:
        size = -1
    if size < 0:
        raise Refused(400, "A chunk has no readable size.")
    return size


def _read_exactly(stream: BinaryIO, length: int) -> bytes:
    if length > MAX_BODY:
        raise Refused(413, "The body is longer than 64 MiB.")
    body = stream.read(length)
    if len(body) < length:
        raise Refused(400, "The body ended before its announced length.")
    return body


def encode(answer: Answer, *, close: bool = False, bodyless: bool = False) -> bytes:
    """Return the bytes of an answer.

    Args:
        answer: What to say. 1xx, 204 and 304 never carry a body.
        close: Announce that the connection ends after it.
        bodyless: The request was a HEAD: announce the length, send no body.
    """
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    lines = [
        f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Unknown')}",
        "Server: nms-sandbox",
        f"Date: {date}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        *(f"{name}: {value}" for name, value in answer.headers),
    ]
    empty = answer.status < 200 or answer.status in (204, 304)
    if not empty:
        lines.append(f"Content-Type: {answer.content_type}")
        lines.append(f"Content-Length: {len(answer.body)}")
    if close:
        lines.append("Connection: close")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head if empty or bodyless else head + answer.body


class Exchange:
    """One request on its connection: what an answer or a fault can do there."""

    def __init__(
        self, sock: socket.socket, request: Request, stop: threading.Event
    ) -> None:
        self.sock = sock
        self.request = request
        self.stop = stop

    def send(self, answer: Answer) -> bool:
        """Send a whole answer; return whether the connection goes on."""
        self.request.status = answer.status
        goes_on = self.request.keeps_alive
        bodyless = self.request.method == "HEAD"
        self.sock.sendall(encode(answer, close=not goes_on, bodyless=bodyless))
        return goes_on

    def send_raw(
        self, chunks: Iterable[bytes], *, status: int = 200, pause: float = 0.0
    ) -> None:
        """Send bytes as they are, waiting between them, until the end or a stop."""
        self.request.status = status
        for chunk in chunks:
            self.sock.sendall(chunk)
            if self.stop.wait(pause) if pause else self.stop.is_set():
                return

    def client_left(self) -> bool:
        """Whether the client closed while it waited for its answer."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))

    def reset(self) -> None:
        """Let the connection end with an RST instead of a goodbye."""
        self.sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
