"""The main job in a browser, against the real processes."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser import chromium, listen, violations
from tests.conftest import PASSWORD
from tests.e2e.console import ROOT, Console, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
MARKED = "marked-user-7c1e"
MARKED_MAIL = "marked-mail-7c1e@example.net"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """A fresh installation, before its set-up."""
    yield from started(tmp_path / "data")


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """One that is set up and licensed, and has sent something."""
    folder = tmp_path_factory.mktemp("ready")
    (folder / "password").write_text(PASSWORD)
    for console in started(folder / "data"):
        provision(console, folder)
        yield console


def provision(console: Console, folder: Path) -> None:
    (folder / "sandbox.jwt").write_text(console.manage("sandbox_license"))
    words = ["--username", MARKED, "--password-file", str(folder / "password")]
    words += ["--license", str(folder / "sandbox.jwt")]
    console.manage("provision", *words)
    wait_for(lambda: telemetry_arrivals(console), 30, "something was sent")


def started(folder: Path) -> Iterator[Console]:
    folder.mkdir(mode=0o700)
    console = Console(folder, NMS_LOG_LEVEL="DEBUG")
    console.start()
    yield console
    console.stop()


def open_page(context: BrowserContext, console: Console, path: str) -> Page:
    page = context.new_page()
    page.set_default_timeout(5000)
    page.goto(f"{console.base}{path}")
    return page


def sign_in(context: BrowserContext, console: Console, name: str) -> Page:
    page = open_page(context, console, "/login")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    return page


def add_user(page: Page, console: Console, name: str) -> str:
    """Add a Viewer on the page; return the one-time link it shows."""
    page.goto(f"{console.base}/ui/settings/users/add")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Email").fill(f"{name}@example.net")
    page.get_by_role("radio", name="Viewer").check()
    page.get_by_role("button", name="Add user").click()
    return page.get_by_label("One-time link").inner_text()


def set_password(context: BrowserContext, link: str) -> None:
    page = context.new_page()
    page.goto(link)
    page.set_default_timeout(5000)
    page.locator("input[type=password]").fill(PASSWORD)
    page.get_by_role("button", name="Set password").click()
    expect(page.get_by_text("Your password is set")).to_be_visible()
    page.close()


def walk_wizard(page: Page, console: Console, license_file: Path) -> None:
    page.get_by_label("Setup code").fill(console.setup_code())
    page.get_by_label("User name").fill(MARKED)
    page.get_by_label("Email").fill(MARKED_MAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Save and continue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "What this installation shares"
    )
    expect(page.get_by_role("link", name="Opt out for all users")).to_be_visible()
    page.get_by_role("button", name="Save and continue").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Check the connection to F5"
    )
    page.get_by_role("button", name="Save and continue").click()
    page.locator("input[type=file]").set_input_files(license_file)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You are ready")
    page.get_by_role("button", name="Open the console").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")


def telemetry_arrivals(console: Console) -> list[dict[str, object]]:
    return console.sandbox.arrivals("vendor", "/ee/v1/telemetry")


def test_the_main_job(console: Console, browser: Browser, tmp_path: Path) -> None:
    license_file = tmp_path / "sandbox.jwt"
    license_file.write_text(console.manage("sandbox_license"))
    admin = browser.new_context()
    page = open_page(admin, console, "/")
    heard = listen(page)
    walk_wizard(page, console, license_file)

    # The sign-in of a second user is recorded, delivered and receipted.
    link = add_user(page, console, "vera")
    before = console.sandbox.stats()["records_unique"]
    began = time.monotonic()
    other = browser.new_context()
    set_password(other, link)
    tab = sign_in(other, console, "vera")
    wait_for(lambda: _logins(console) >= 2, 20, "the sign-in is at the sandbox")
    assert time.monotonic() - began <= 20
    assert console.sandbox.stats()["records_unique"] > before

    # The page shows, byte for byte, what the sandbox received.
    arrived = telemetry_arrivals(console)
    assert console.sandbox.stats()["batches_mutated"] == 0
    for one in arrived:
        body = bytes(one["body"])  # type: ignore[call-overload]
        batch = json.loads(body)["telemetryId"]
        page.goto(f"{console.base}/ui/settings/telemetry/batches/{batch}")
        shown = page.get_by_label("Document as sent").inner_text()
        assert shown.encode() == body
        expect(page.get_by_text(str(one["sha256"]), exact=True)).to_be_visible()

    # Nothing about anybody or anything else left with it.
    _nothing_marked_left(console)

    # Interaction data goes straight to the collector, until somebody opts out.
    wait_for(lambda: console.sandbox.arrivals("collector"), 10, "interaction data")
    page.goto(f"{console.base}/ui/")
    began = time.monotonic()
    page.get_by_role("link", name="Opt out for all users").click()
    expect(
        page.get_by_text("Interaction data is now off for all users")
    ).to_be_visible()
    time.sleep(max(0.0, 5 - (time.monotonic() - began)))
    quiet = len(console.sandbox.arrivals("collector"))
    tab.locator("#user-menu").evaluate("menu => menu.showPopover()")
    tab.locator("[data-track]").first.click()  # in the tab opened before
    answer = tab.goto(f"{console.base}/ui/settings/license")
    assert answer is not None
    assert "tracker" not in answer.text()
    assert console.collector not in answer.text()
    assert console.collector not in answer.headers["content-security-policy"]
    time.sleep(3)
    assert len(console.sandbox.arrivals("collector")) == quiet
    assert heard == []
    admin.close()
    other.close()
    assert console.stop() < 10


def _logins(console: Console) -> int:
    return sum(
        record["dataPoint"] == "login"
        for one in telemetry_arrivals(console)
        for record in json.loads(bytes(one["body"]))["telemetryRecords"]  # type: ignore[call-overload]
    )


def _nothing_marked_left(console: Console) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    marks = [MARKED, MARKED_MAIL, "vera", socket.gethostname(), "127.0.0.1"]
    marks += [str(console.folder), project["version"]]
    for one in console.sandbox.arrivals():
        if one["port"] == "vendor":
            text = one["body"] + json.dumps(one["headers"]).encode()
        else:
            text = one["body"]
        found = [mark for mark in marks if _stands_in(mark, text)]
        assert found == [], (one["path"], found)


def _stands_in(mark: str, text: bytes) -> bool:
    """As a word of its own: a host called `vm` is in many a Base64 text by chance."""
    word = rb"(?<![A-Za-z0-9_-])" + re.escape(mark.encode()) + rb"(?![A-Za-z0-9_-])"
    return re.search(word, text) is not None


PAGES = [
    "/ui/",
    "/ui/settings/license",
    "/ui/settings/license/add",
    "/ui/settings/license/history",
    "/ui/settings/license/as-of",
    "/ui/settings/license/reports",
    "/ui/settings/license/reports/next",
    "/ui/data-planes",
    "/ui/data-planes/tokens/issue",
    "/ui/nginx-usage",
    "/ui/settings/connectivity",
    "/ui/audit",
    "/ui/health",
    "/ui/settings/telemetry",
    "/ui/settings/web-analytics",
    "/ui/settings/connectivity",
    "/ui/settings/users",
    "/ui/settings/users/add",
    "/ui/profile",
    "/ui/help",
    "/privacy",
    "/nowhere",
]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible_and_keeps_its_policy(
    ready: Console, browser: Browser, theme: str
) -> None:
    context = browser.new_context(color_scheme="dark" if theme == "dark" else "light")
    page = sign_in(context, ready, MARKED)
    heard = listen(page)
    for path in PAGES:
        page.goto(f"{ready.base}{path}")
        assert violations(page) == [], path
    page.goto(f"{ready.base}/ui/docs")
    expect(page.locator(".swagger-ui .info")).to_be_visible()
    context.close()
    assert [line for line in heard if "404" not in line] == []


def test_the_sign_in_page_is_accessible(ready: Console, browser: Browser) -> None:
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = open_page(context, ready, "/login")
        heard = listen(page)
        assert violations(page) == []
        context.close()
        assert heard == []


def test_no_secret_is_in_a_log_a_page_a_task_or_a_process_list(
    ready: Console, browser: Browser
) -> None:
    sent = telemetry_arrivals(ready)[0]["headers"]
    token = dict(sent)["Authorization"].removeprefix("Bearer ")  # type: ignore[call-overload]
    secrets = [PASSWORD, token, token.rsplit(".", 1)[1]]
    secrets += [
        (ready.folder / name).read_text().strip()
        for name in ("secret.key", "seal.keys")
    ]
    places = {"the log": ready.output(), "the process list": ready.process_list()}
    context = browser.new_context()
    page = sign_in(context, ready, MARKED)
    for path in PAGES:
        page.goto(f"{ready.base}{path}")
        places[path] = page.content()
    context.close()
    with sqlite3.connect(ready.folder / "nms-admin.sqlite3") as database:
        rows = database.execute("SELECT payload FROM nms_admin_message").fetchall()
    places["the queue"] = repr(rows)
    found = [place for place, text in places.items() for one in secrets if one in text]
    assert found == []
    assert "eyJ" not in places["the log"]


def test_a_second_console_on_the_same_data_is_refused(ready: Console) -> None:
    said = ready.manage("serve", check=False)
    assert "A console already runs on" in said
