"""A receiver on this host that counts: ``python -m bench.sink``.

It counts our logins and what peers name ``bench_id``, answers every POST at once with
the receipt our product asks for, and honours ``Idempotency-Key``. ``GET /stats`` tells what it got, ``GET /reset`` forgets it,
``GET /mode?503``, ``/mode?lost=10`` and ``/mode?ok`` say what goes wrong next.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT = re.compile(rb'(?:"dataPoint":"login","id"|"bench_id"): ?"([^"]+)"')
LENGTH = re.compile(rb"\r\ncontent-length: ?(\d+)", re.IGNORECASE)
KEY = re.compile(rb"\r\nidempotency-key: ?([^\r]+)", re.IGNORECASE)


@dataclass
class Got:
    """What arrived since the last reset.

    ``effects`` counts what a receiver that honours keys did twice; ``wire`` what came
    twice over the wire. Times are those of ``time.monotonic``, in seconds.
    """

    posts: int = 0
    rejected: int = 0
    unique: int = 0
    effects: int = 0
    wire: int = 0
    first: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    lose: int = 0
    refuse: bool = False
    seen: set[bytes] = field(default_factory=set)
    keys: set[bytes] = field(default_factory=set)

    def count(self, events: list[bytes], key: bytes) -> None:
        """Count the events of one POST."""
        known = len(self.seen)
        self.seen.update(events)
        new = len(self.seen) - known
        self.posts += 1
        self.unique += new
        self.wire += len(events) - new
        if not key or key not in self.keys:
            self.effects += len(events) - new
        if key:
            self.keys.add(key)
        if new:
            self.last_at = time.monotonic()
            if not self.first_at:
                self.first, self.first_at = new, self.last_at


got = Got()


class Sink(asyncio.Protocol):
    """One connection, kept alive."""

    def connection_made(self, transport: Any) -> None:
        """Start with nothing read."""
        self.transport, self.buffer = transport, bytearray()

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self.buffer[:end])
            length = LENGTH.search(head)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self.buffer) < size:
                return
            body = bytes(self.buffer[end + 4 : size])
            del self.buffer[:size]
            self.answer(head, body)

    def answer(self, head: bytes, body: bytes) -> None:
        """Count a POST, or carry out what a GET says."""
        if head.startswith(b"GET"):
            self.reply(control(head.split(b" ", 2)[1].decode()))
            return
        if got.refuse:
            got.rejected += 1
            self.reply({}, b"503 Service Unavailable")
            return
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        found = KEY.search(head)
        key = found[1] if found else b""
        got.count(EVENT.findall(body), key)
        if got.lose > 0:
            got.lose -= 1
            self.transport.close()
            return
        self.reply({"telemetryId": key.decode(), "receiptId": str(got.posts)})

    def reply(self, content: dict[str, Any], status: bytes = b"200 OK") -> None:
        """Write one answer."""
        body = json.dumps(content).encode()
        kind = b"Content-Type: application/json\r\nContent-Length: %d" % len(body)
        self.transport.write(b"HTTP/1.1 %s\r\n%s\r\n\r\n%s" % (status, kind, body))


def control(path: str) -> dict[str, Any]:
    """Do what a GET asks for and return what was counted."""
    if path == "/reset":
        vars(got).update(vars(Got()))
    if path.startswith("/mode?"):
        got.refuse = path.endswith("503")
        got.lose = int(path.partition("lost=")[2] or 0)
    return {k: v for k, v in vars(got).items() if k not in ("seen", "keys")}


class Tap:
    """What the benchmark sees of a running sink."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, path: str) -> dict[str, Any]:
        """Return what it counted, after doing what the path says."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return dict(json.load(answer))

    def rate(self, wanted: int, seconds: float = 120) -> float:
        """Wait for so many unique events; return events a second since the first POST.

        Raises:
            TimeoutError: They did not come in time.
        """
        ends = time.monotonic() + seconds
        while (stats := self.ask("/stats"))["unique"] < wanted:
            if time.monotonic() > ends:
                raise TimeoutError(f"{stats['unique']} of {wanted} events: {stats}")
            time.sleep(0.25)  # often would take from the time of those measured
        return float(
            (stats["unique"] - stats["first"]) / (stats["last_at"] - stats["first_at"])
        )


@contextmanager
def running() -> Iterator[Tap]:
    """Start a sink on a free port of this host; end it afterwards."""
    command = [sys.executable, "-m", "bench.sink"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield Tap(int(process.stdout.readline()))
        finally:
            process.terminate()


async def serve() -> None:
    """Listen on a free port and print it."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
