"""Whoever leaves the set-up after any step has sent nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import chromium, listen, violations
from tests.conftest import PASSWORD
from tests.e2e.console import Console

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
HEADINGS = (
    "Create the first administrator",
    "What this installation shares",
    "Check the connection to F5",
    "Add your license",
    "You are ready",
)


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    started = Console(tmp_path / "data")
    (tmp_path / "data").mkdir(mode=0o700)
    started.start()
    yield started
    started.stop()


def answer(page: Page, step: int, console: Console, license_file: Path) -> None:
    if step == 0:
        page.get_by_label("Setup code").fill(console.setup_code())
        page.get_by_label("User name").fill("ada")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
    if step == 3:
        page.locator("input[type=file]").set_input_files(license_file)
        page.get_by_role("button", name="Add", exact=True).click()
    else:
        page.get_by_role("button", name="Save and continue").click()


def test_a_wizard_left_after_any_step_has_sent_nothing(
    console: Console, tmp_path: Path
) -> None:
    license_file = tmp_path / "sandbox.jwt"
    license_file.write_text(console.manage("sandbox_license"))
    with chromium() as browser:
        page = browser.new_page(reduced_motion="reduce")  # no colour in between
        page.set_default_timeout(5000)
        heard = listen(page)
        response = page.goto(f"{console.base}/")
        for step, heading in enumerate(HEADINGS):
            expect(page.get_by_role("heading", level=1)).to_have_text(heading)
            response = page.reload()
            assert response is not None
            assert "tracker.js" not in response.text()
            assert console.collector not in response.headers["content-security-policy"]
            console.manage("outbox", "drain", "--once")
            stats = console.sandbox.stats()
            assert stats["requests_vendor"] == stats["requests_collector"] == 0
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                assert violations(page) == [], heading
            if step < 4:
                answer(page, step, console, license_file)
        assert heard == []
