"""What works while a delivery waits for an answer that does not come."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from sandbox.app import BULK
from tests.browser import chromium
from tests.conftest import PASSWORD
from tests.e2e.console import Console, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """A console with a license, whose administrator is ada."""
    console = Console(tmp_path / "data")
    console.folder.mkdir(mode=0o700)
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "password").chmod(0o600)
    console.start()
    license_file = tmp_path / "sandbox.jwt"
    license_file.write_text(console.manage("sandbox_license"))
    words = ["--username", "ada", "--password-file", str(tmp_path / "password")]
    console.manage("provision", *words, "--license", str(license_file))
    yield console
    console.stop()


def post(console: Console, path: str) -> None:
    """Post to the API as ada."""
    login = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    data = json.dumps({}).encode()
    with urlopen(Request(console.base + path, data, headers, method="POST")) as answer:
        assert 200 <= answer.status < 300


def test_checks_end_within_35_seconds_while_a_delivery_hangs(console: Console) -> None:
    console.sandbox.fault({"path": "/", "mode": "hang", "args": {"seconds": 120}})
    post(console, "/api/platform/v1/report/send")
    wait_for(lambda: console.sandbox.arrivals("vendor", BULK), 20, "the upload began")
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{console.base}/login")
        page.get_by_label("User name").fill("ada")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.goto(f"{console.base}/ui/settings/connectivity")
        began = time.monotonic()
        page.get_by_role("button", name="Run checks").click()
        page.get_by_text("Checking").first.wait_for(timeout=5_000)
        page.locator(".n-chain").get_by_text("No answer in").first.wait_for(
            timeout=30_000
        )
        assert time.monotonic() - began < 35
