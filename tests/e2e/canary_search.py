"""Where it is searched: what is left on this host, and what left it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests import canaries
from tests.e2e.canary_world import Installation


def left_behind(at: Installation) -> dict[str, bytes]:
    """Return what is on this host, by what people call it: files, rows, processes."""
    found = {"output of all processes": at.console.log.read_bytes()}
    for file in at.console.folder.rglob("*"):
        if file.is_file() and file != at.console.log:
            found[f"file {file.relative_to(at.console.folder)}"] = file.read_bytes()
    found["dump"] = at.database.dump()
    for table in at.database.tables():
        values = [
            canaries.opened(value if isinstance(value, bytes) else str(value).encode())
            for row in at.database.execute(f'SELECT * FROM "{table}"')
            for value in row
        ]
        found[f"table {table}"] = b"\n".join(values)
    for number, (command, environment) in processes(at).items():
        found[f"command line of {number}"] = command
        found[f"environment of {number}"] = environment
    return found


def processes(at: Installation) -> dict[str, tuple[bytes, bytes]]:
    """Return command line and environment of every process of this installation."""
    marker, found = f"NMS_DATA_DIR={at.console.folder}".encode(), {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                environment = (entry / "environ").read_bytes()
                if marker in environment.split(b"\0"):
                    found[entry.name] = (entry / "cmdline").read_bytes(), environment
    return found


def vendor_side(at: Installation) -> dict[str, bytes]:
    """Return what left: each header by its name, every body, what the proxy read."""
    found: dict[str, bytes] = {}
    for one in at.vendor.store.arrivals():
        parts = {name: value.encode() for name, value in one.headers}
        parts |= {"body": canaries.opened(one.body), "path": one.target.encode()}
        for part, content in parts.items():
            place = f"vendor: {part}"
            found[place] = found.get(place, b"") + content + b"\n"
    own = [(one["headers"], one["body"]) for one in at.console.sandbox.arrivals()]
    found["the sandbox's own receiver"] = repr(own).encode()
    for head in at.proxy.heads:
        first, *lines = head.split(b"\r\n")
        for line in [b"line: " + first, *lines]:
            name, _, value = line.partition(b": ")
            place = f"proxy: {name.decode()}"
            found[place] = found.get(place, b"") + value + b"\n"
    found["bytes through the proxy"] = b"".join(at.proxy.passed)
    return found
