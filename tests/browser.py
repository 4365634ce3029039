"""Chromium for tests: where it is, how it starts, and what axe says about a page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
AXE = ROOT / "node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium, or skip the test with the reason."""
    path = (
        os.environ.get("CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
    )
    if not path:
        pytest.skip("Chromium was not found: install it or set CHROMIUM.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def violations(page: Page) -> list[str]:
    """Return what axe finds on the page as it is now, one line a finding."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found = page.evaluate(
        "rules => axe.run({runOnly: rules}).then(result => result.violations.flatMap("
        "v => v.nodes.map(n => v.id + ' ' + n.target + ': ' + n.failureSummary)))",
        RULES,
    )
    return list(found)


def listen(page: Page) -> list[str]:
    """Return a list that fills with the page's errors, refused by the CSP or not."""
    heard: list[str] = []
    page.on(
        "console",
        lambda message: heard.append(message.text) if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: heard.append(str(error)))
    return heard
