"""Take the pictures of docs/screenshots: real processes, sample data, Chromium.

    python scripts/screenshots.py [--all FOLDER]

``--all`` takes every page at 1440 and 390, light and dark, to look at, not to keep.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.browser import chromium
from tests.e2e.console import Console, wait_for

KEPT = Path(__file__).parent.parent / "docs" / "screenshots"
PASSWORD = "correct horse battery staple"  # noqa: S105
PAGES = {
    "overview": "/ui/",
    "license": "/ui/settings/license",
    "license-add": "/ui/settings/license/add",
    "license-history": "/ui/settings/license/history",
    "telemetry": "/ui/settings/telemetry",
    "web-analytics": "/ui/settings/web-analytics",
    "connectivity": "/ui/settings/connectivity",
    "users": "/ui/settings/users",
    "user-add": "/ui/settings/users/add",
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
        self, browser: Browser, folder: Path, looks: list[tuple[int, str]]
    ) -> None:
        self.browser, self.folder, self.looks = browser, folder, looks

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
            page.screenshot(path=path, full_page=True)
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
    accepted = wait_for(
        lambda: console.sandbox.stats()["records_unique"], 60, "delivery"
    )
    time.sleep(3)
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
            story(console, browser, Camera(browser, target, looks), folder)
        finally:
            console.stop()


if __name__ == "__main__":
    main()
