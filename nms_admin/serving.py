"""serving.json: with which addresses the console on a data folder runs.

A command in a second terminal rarely has the ports in its environment that the console
was started with. It takes them from here, as long as that console runs.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO

LOCK = "serve.lock"  # held by ``serve`` and the supervisor it becomes
FILE = "serving.json"
NAMES = (  # addresses and files, never a secret
    "BIND",
    "PORT",
    "PUBLIC_URL",
    "TLS_CERT",
    "TLS_KEY",
    "DPM_BIND",
    "SANDBOX_PORT",
    "SANDBOX_COLLECTOR_PORT",
    "F5_API_URL",
    "F5_SECURE_API_URL",
    "TELEMETRY_URL",
    "ENTITLEMENTS_URL",
    "JWKS_URL",
    "JWKS_FILE",
    "CA_BUNDLE",
    "COLLECTOR_URL",
)


class AlreadyRunning(Exception):
    """A console holds the data folder; the text says which, and what to do."""


def hold(folder: Path) -> IO[str]:
    """Hold the data folder for this process until the file is closed.

    Raises:
        AlreadyRunning: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = (folder / LOCK).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise AlreadyRunning(
            f"A console already runs on {folder} (process {owner}). Stop it first, or"
            " give this one a folder of its own with NMS_DATA_DIR."
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def runs(folder: Path) -> bool:
    """Return whether a console holds the data folder now."""
    try:
        return _runs(folder)
    except OSError:
        return False


def remember(folder: Path, environ: Mapping[str, str]) -> None:
    """Write down what this console's environment says; readable by its user alone."""
    found = {name: environ[f"NMS_{name}"] for name in NAMES if f"NMS_{name}" in environ}
    draft = folder / f"{FILE}.{os.getpid()}"
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(found, indent=2) + "\n")
    draft.replace(folder / FILE)


def in_force(folder: Path) -> dict[str, str]:
    """Return what the console that runs on a folder was told; empty when none runs."""
    try:
        if not _runs(folder):
            return {}
        found = json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return {name: str(found[name]) for name in NAMES if name in found}


def _runs(folder: Path) -> bool:
    with (folder / LOCK).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
