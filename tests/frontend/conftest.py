"""What the front-end tests share: the built files and one browser."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests import browser as tools

ROOT = tools.ROOT
APPS = ["analytics", "audit", "common", "egress", "licensing", "nms_admin", "telemetry"]


def templates() -> list[Path]:
    """Return every template of the product."""
    return sorted((ROOT / "templates").rglob("*.html"))


def modules() -> list[Path]:
    """Return every module of the product."""
    return sorted(path for app in APPS for path in (ROOT / app).rglob("*.py"))


def scripts() -> list[Path]:
    """Return our own scripts."""
    return sorted((ROOT / "static/js").glob("*.js"))


def markup(path: Path) -> str:
    """Return a template without its comments."""
    return re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)


@pytest.fixture(scope="session")
def built() -> Path:
    """The folder of built files, made anew when a source is newer."""
    folder = ROOT / "static/build"
    sources = [*templates(), *scripts(), *(ROOT / "frontend").iterdir()]
    sources += [*(ROOT / "static/css").iterdir(), ROOT / "package-lock.json"]
    newest = max(path.stat().st_mtime for path in sources)
    made = folder / "app.css"
    if not made.exists() or made.stat().st_mtime < newest:
        build = ROOT / "frontend/build.mjs"
        if not (ROOT / "node_modules/purgecss").exists() or not shutil.which("node"):
            pytest.fail("The front end is not built: run `make assets` (it needs npm).")
        done = subprocess.run(
            ["node", build], capture_output=True, text=True, timeout=60, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a module."""
    with tools.chromium() as started:
        yield started
