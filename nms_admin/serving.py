"""serving.json: with which settings the console on a data folder runs.

A command in a second terminal rarely has in its environment what the console was started
with. It takes it from here, as long as that console runs: otherwise it might send what
the console does not, or elsewhere.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from django.core.exceptions import ImproperlyConfigured

from nms_admin.env import documented_proxy

LOCK = "serve.lock"  # held by ``serve`` and the supervisor it becomes
FILE = "serving.json"
NAMES = (  # what it calls, what it may say, where its files are: never a secret
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
    "TERMINATE_URL",
    "USAGE_CHANNEL",
    "USAGE_BATCH_URL",
    "USAGE_DETAIL",
    "JWT_ALGORITHMS",
    "SEAL_KEYS_FILE",
    "OPERATION_MODE",
    "POLICY_FILE",
    "ANALYTICS_MODE",
    "HOLD_WINDOW",
    "RETENTION_DAYS",
)
QUIET = "DO_NOT_TRACK"
# Not written down, for there may be a password in them: a command has to be told.
SECRET = ("DATABASE_URL", "BROKER_URL", "PROXY_URL", "F5_API_KEY", "SECRET_KEY")


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
    found: dict[str, object] = {
        name: environ[f"NMS_{name}"] for name in NAMES if f"NMS_{name}" in environ
    }
    found["told"] = _told(environ)
    if QUIET in environ:
        found[QUIET] = environ[QUIET]
    draft = folder / f"{FILE}.{os.getpid()}"
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(found, indent=2) + "\n")
    draft.replace(folder / FILE)


def in_force(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the console that runs on a folder was told; empty when none runs.

    Raises:
        ImproperlyConfigured: It was told more than this environment says, of what is
            not written down.
    """
    try:
        found = json.loads((folder / FILE).read_text()) if _runs(folder) else {}
        told = [name for name in SECRET if name in found.get("told", [])]
    except (OSError, ValueError, AttributeError):
        return {}
    if missing := [name for name in told if name not in _told(environ)]:
        names = ", ".join(f"NMS_{name}" for name in missing)
        raise ImproperlyConfigured(
            f"The console that runs on {folder} was started with {names}, and this"
            " command was not. Set the same here, or stop the console."
        )
    return {name: str(found[name]) for name in (*NAMES, QUIET) if name in found}


def _told(environ: Mapping[str, str]) -> list[str]:
    said = {
        name
        for name in SECRET
        for end in ("", "_FILE")
        if f"NMS_{name}{end}" in environ
    }
    return sorted(said | ({"PROXY_URL"} if documented_proxy(environ) else set()))


def _runs(folder: Path) -> bool:
    with (folder / LOCK).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
