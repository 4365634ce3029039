"""Take the pictures of docs/screenshots: real processes, sample data, Chromium.

Those of docs/license-states.md are taken by the tests of its rows.

    python scripts/screenshots.py [--all FOLDER]

``--all`` takes every page at 1440 and 390, light and dark, to look at, not to keep.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests
from playwright.sync_api import Browser, BrowserContext, FloatRect, Page

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.browser import chromium
from tests.dataplanes.agent import FakeAgent
from tests.e2e.console import Console, wait_for

KEPT = Path(__file__).parent.parent / "docs" / "screenshots"
PASSWORD = "correct horse battery staple"  # noqa: S105
PAGES = {
    "overview": "/ui/",
    "license": "/ui/settings/license",
    "license-add": "/ui/settings/license/add",
    "license-history": "/ui/settings/license/history",
    "license-as-of": "/ui/settings/license/as-of?date=2027-09-20",
    "usage-reports": "/ui/settings/license/reports",
    "data-planes": "/ui/data-planes",
    "data-plane-token": "/ui/data-planes/tokens/issue",
    "nginx-usage": "/ui/nginx-usage",
    "telemetry": "/ui/settings/telemetry",
    "web-analytics": "/ui/settings/web-analytics",
    "connectivity": "/ui/settings/connectivity",
    "users": "/ui/settings/users",
    "user-add": "/ui/settings/users/add",
    "audit": "/ui/audit",
    "health": "/ui/health",
    "profile": "/ui/profile",
    "help": "/ui/help",
    "api": "/ui/docs",
    "privacy": "/privacy",
    "not-found": "/nowhere",
}
KEPT_LOOKS = [(1440, "light")]
ALSO_KEPT = {("telemetry", 1440, "dark"), ("license", 390, "light")}
WIDTHS = (1440, 390)


class Camera:
    """Takes one page in several looks."""

    def __init__(
        self, browser: Browser, folder: Path, looks: list[tuple[int, str]], most: int
    ) -> None:
        self.browser, self.folder, self.looks = browser, folder, looks
        self.most = most  # pixels from the top

    def take(self, page: Page, name: str) -> None:
        """Take the page as it is now in every look."""
        looks = self.looks + [
            (w, t) for n, w, t in ALSO_KEPT if n == name and (w, t) not in self.looks
        ]
        for width, theme in looks:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            page.wait_for_timeout(150)
            path = self.folder / f"{name}.{width}.{theme}.png"
            height = page.evaluate("document.documentElement.scrollHeight")
            part = FloatRect(x=0, y=0, width=width, height=min(height, self.most))
            page.screenshot(path=path, full_page=True, clip=part)
        page.set_viewport_size({"width": 1440, "height": 900})


def wizard(page: Page, console: Console, camera: Camera, license_file: Path) -> None:
    """Walk the five steps and take each."""
    page.goto(f"{console.base}/")
    camera.take(page, "setup-1")
    page.get_by_label("Setup code").fill(console.setup_code())
    page.get_by_label("User name").fill("maya")
    page.get_by_label("Email").fill("maya@example.net")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Save and continue").click()
    page.wait_for_url("**/setup/2")
    camera.take(page, "setup-2")
    page.get_by_role("button", name="Save and continue").click()
    page.wait_for_url("**/setup/3")
    camera.take(page, "setup-3")
    page.get_by_role("button", name="Save and continue").click()
    page.wait_for_url("**/setup/4")
    camera.take(page, "setup-4")
    page.get_by_role("button", name="Skip for now").click()
    page.wait_for_url("**/setup/5")
    camera.take(page, "setup-5")
    page.get_by_role("button", name="Open the console").click()
    page.wait_for_url("**/ui/")
    page.goto(f"{console.base}/ui/settings/license")
    camera.take(page, "license-unlicensed")
    page.goto(f"{console.base}/ui/settings/license/add")
    page.locator("input[type=file]").set_input_files(license_file)
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_url("**/ui/settings/license")


def people(console: Console, page: Page) -> None:
    """Add two users and sign in a few times, so that there is something to see."""
    for name, role in (("tom", "Operator"), ("vera", "Viewer")):
        page.goto(f"{console.base}/ui/settings/users/add")
        page.get_by_label("User name").fill(name)
        page.get_by_label("Email").fill(f"{name}@example.net")
        page.get_by_role("radio", name=role).check()
        page.get_by_role("button", name="Add user").click()
        page.get_by_label("One-time link").wait_for()


def sign_in_again(context: BrowserContext, console: Console) -> None:
    """Sign in with another browser."""
    page = context.new_page()
    page.goto(f"{console.base}/login")
    page.get_by_label("User name").fill("maya")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/ui/")
    context.close()


def instances(console: Console) -> None:
    """Report three weeks of a small fleet that grows, as NGINX Plus would."""
    start = datetime.now(UTC).replace(hour=9, minute=0, second=0, microsecond=0)
    for number in range(12):
        name = uuid.uuid5(uuid.NAMESPACE_DNS, f"edge-{number}").hex
        for days in range(21, 0, -1):
            if (number * 5 + days) % 9 == 0 or number * 2 > 26 - days:
                continue
            begins = int((start - timedelta(days=days)).timestamp())
            flow = {"received": 9_000_000 * number, "sent": 210_000_000 * number}
            report = {
                "version": "1.27.4" if number % 3 else "1.25.5",
                "uuid": name,
                "nap": "active" if number % 4 == 0 else "inactive",
                "http": {"client": flow | {"requests": 41_000 + number}},
                "stream": {"client": {"received": 0, "sent": 0}},
                "start_time": begins,
                "end_time": begins + 3600,
            }
            requests.post(f"{console.base}/api/nginx-usage", json=report, timeout=10)


def agents(console: Console, page: Page) -> list[FakeAgent]:
    """Issue a token and register three agents with it; they stay."""
    page.goto(f"{console.base}/ui/data-planes/tokens/issue")
    page.get_by_label("Name", exact=True).fill("Frankfurt")
    page.get_by_role("button", name="Issue token").click()
    token = page.locator("#agent-token").inner_text().strip()
    found = []
    for number in range(3):
        name = f"edge-{number + 1}.fra.example.net"
        system = str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
        agent = FakeAgent(console.agents, system, token, hostname=name, plus=True)
        found.append(agent.start())
        agent.registered()
    return found


def usage(console: Console, page: Page, camera: Camera) -> None:
    """Send usage, and take the report that was accepted."""
    page.goto(f"{console.base}/ui/settings/license")
    page.get_by_role("button", name="Send Usage to F5").click()
    page.get_by_text("accepted the usage report").first.wait_for(timeout=60000)
    camera.take(page, "usage-sent")
    page.goto(f"{console.base}/ui/settings/license/reports")
    page.locator("tbody a").first.click()
    camera.take(page, "usage-report")


def checks(console: Console, page: Page) -> None:
    """Run the connectivity checks, so that there is a result to see."""
    page.goto(f"{console.base}/ui/settings/connectivity")
    page.get_by_role("button", name="Run checks").click()
    page.get_by_text("Reachable").first.wait_for(timeout=60000)


def story(console: Console, browser: Browser, camera: Camera, folder: Path) -> None:
    """Set up, license, deliver, and take everything."""
    license_file = folder / "sandbox.jwt"
    license_file.write_text(
        console.manage(
            "sandbox_license", "--subscription", "SBX-00198432", "--days", "312"
        )
    )
    page = browser.new_context().new_page()
    page.set_default_timeout(15000)
    wizard(page, console, camera, license_file)
    people(console, page)
    for _ in range(3):
        sign_in_again(browser.new_context(), console)
    instances(console)
    agents(console, page)
    checks(console, page)
    accepted = wait_for(
        lambda: console.sandbox.stats()["records_unique"], 60, "delivery"
    )
    time.sleep(3)
    usage(console, page, camera)
    for name, path in PAGES.items():
        page.goto(f"{console.base}{path}")
        page.wait_for_timeout(800 if name == "api" else 100)
        camera.take(page, name)
    page.goto(f"{console.base}/ui/")
    page.get_by_role("button", name="User menu, maya").click()
    camera.take(page, "user-menu")
    page.goto(f"{console.base}/ui/settings/license")
    page.get_by_role("link", name="Terminate").click()
    camera.take(page, "license-terminate")
    other = browser.new_context().new_page()
    other.goto(f"{console.base}/login")
    camera.take(other, "login")
    other.get_by_label("User name").fill("maya")
    other.get_by_label("Password", exact=True).fill("wrong wrong wrong")
    other.get_by_role("button", name="Sign in").click()
    camera.take(other, "login-error")
    print(f"{accepted} records were accepted; pictures in {camera.folder}")


def states(folder: Path, *, every_look: bool) -> None:
    """Let the tests take each message of the License page and write its document."""
    for old in folder.glob("*.png"):
        old.unlink()
    (folder / "looks" if every_look else folder).mkdir(parents=True, exist_ok=True)
    tests = ["tests/licensing/test_catalogue.py", "-m", "browser"]
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *tests],
        cwd=KEPT.parent.parent,
        env=os.environ | {"NMS_TEST_PICTURES": str(folder.resolve())},
        check=True,
    )


def main() -> None:
    """Take the pictures that are kept, or all of them."""
    everything = len(sys.argv) == 3 and sys.argv[1] == "--all"
    target = Path(sys.argv[2]) if everything else KEPT
    target.mkdir(parents=True, exist_ok=True)
    looks = KEPT_LOOKS
    if everything:
        looks = [(width, theme) for width in WIDTHS for theme in ("light", "dark")]
    with (
        tempfile.TemporaryDirectory(prefix="nms-shots-") as name,
        chromium() as browser,
    ):
        folder = Path(name)
        console = Console(folder / "data")
        (folder / "data").mkdir()
        console.start()
        try:
            story(
                console,
                browser,
                Camera(browser, target, looks, 20_000 if everything else 1600),
                folder,
            )
        finally:
            console.stop()
    states(target / "states", every_look=everything)


if __name__ == "__main__":
    main()
