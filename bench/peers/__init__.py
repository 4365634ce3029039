"""The libraries others would take instead, each in an environment with exact pins."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / "var" / "bench"


def python(name: str) -> str:
    """Return the interpreter of an environment, made when it is not there yet.

    Args:
        name: ``django``, ``posthog`` or ``segment``: a file under ``requirements``.
    """
    pins = HERE / "requirements" / f"{name}.txt"
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = CACHE / f"{name}-{digest}"
    found = folder / "bin" / "python"
    if not (folder / "made").exists():
        print(f"Making the environment of {name} ...", file=sys.stderr, flush=True)
        venv.create(folder, clear=True, with_pip=True)
        pip = [found, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "-r", pins], check=True)
        (folder / "made").touch()
    return str(found)


def version(name: str, package: str) -> str:
    """Return the pinned version of a package."""
    pins = (HERE / "requirements" / f"{name}.txt").read_text().split()
    return next(pin for pin in pins if pin.startswith(f"{package}==")).replace(
        "==", " "
    )


def environment(**more: str) -> dict[str, str]:
    """Return the environment variables of a peer: none of ours, and ``more``."""
    ours = ("NMS_", "DJANGO_", "PYTHON")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    return {**kept, "PYTHONPATH": str(HERE), **more}
