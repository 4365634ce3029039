"""Every connection this process opens, as Python's audit hooks see it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_watchers: list[list[tuple[str, int]]] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and _watchers:
        address = arguments[1]
        if isinstance(address, tuple):
            for seen in _watchers:
                seen.append((str(address[0]), int(address[1])))


sys.addaudithook(_hook)


@contextmanager
def connections() -> Iterator[list[tuple[str, int]]]:
    """Collect ``(host, port)`` of every TCP or UDP connection opened in the block.

    The database driver for PostgreSQL is C code and does not pass here.
    """
    seen: list[tuple[str, int]] = []
    _watchers.append(seen)
    try:
        yield seen
    finally:
        _watchers.remove(seen)
