"""Each message of Settings > License is reached, says its three parts, and is shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any, Literal

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from playwright.sync_api import Browser, Locator, Page

from nms_admin.models import User
from sandbox.server import Sandbox
from tests.browser import ROOT, chromium, violations
from tests.licensing.catalogue import ADD, PAGE, REFUSED, ROWS, Row, Scene, document
from tests.usage.conftest import sandbox_data  # noqa: F401  (a fixture)

DOCUMENT = ROOT / "docs/license-states.md"
SENDS = {ADD: ADD, PAGE: f"{PAGE}/acknowledgement"}  # page -> where its form goes
LOOKS: dict[str, tuple[int, Literal["light", "dark"]]] = {
    "light": (1440, "light"),
    "dark": (1440, "dark"),
    "small": (390, "dark"),
    "smallest": (320, "light"),
}
JUDGED = ("light", "small")  # by axe: every other row each, all when pictures are taken
# The rows of the prototype, design/license-states.html, in its order.
PROTOTYPE = [
    "expires-30",
    "grace",
    "grace-ended",
    "signature",
    "audience",
    "certificate",
    "unreachable",
    "not-valid-yet",
    "already-in-use",
    "report-accepted",
    "report-not-accepted",
    "connection-off",
]
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@pytest.fixture
def scene(
    request: pytest.FixtureRequest,
    sandbox_data: Path,  # noqa: F811
    settings: Any,
    now: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:
    """An installation on 23 Nov 2026, noon, with a sandbox of its own."""
    port = 8001 if pictures() else 0
    settings.NMS_COLLECTOR_URL = ""
    with Sandbox(sandbox_data, port=port) as box, time_machine.travel(now) as traveller:
        vendor = f"http://localhost:{box.vendor.port}/ee/v1"
        settings.NMS_F5_API_URL = vendor
        settings.NMS_TELEMETRY_URL = f"{vendor}/telemetry"
        settings.NMS_ENTITLEMENTS_URL = f"{vendor}/entitlements"
        settings.NMS_TERMINATE_URL = f"{vendor}/licenses/terminate"
        sign_in = request.getfixturevalue("signed_in")
        ada = request.getfixturevalue("ada")
        yield Scene(sign_in(ada), box, settings, traveller, monkeypatch)


def pictures() -> str:
    """Return the folder pictures go to; empty when none are taken."""
    return os.environ.get("NMS_TEST_PICTURES", "")


def shown(row: Row, scene: Scene, client: Client) -> str:
    """Return the page of a row as its markup, after what leads there."""
    answer = client.get(row.path)
    if row.upload:
        file = SimpleUploadedFile(row.upload.name, row.upload.content(scene))
        to = SENDS[row.upload.form]
        answer = client.post(to, {row.upload.field: file}, follow=True)
        assert answer.status_code == (422 if to == ADD else 200)
    else:
        assert answer.status_code == 200
    return str(answer.content.decode())


def text(page: str) -> str:
    bare = re.sub(r"<(script|svg)\b.*?</\1>", "", page, flags=re.S)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", bare)))


def offers(page: str) -> set[str]:
    """Return the words on every link, button and label of a page."""
    found = [
        inside
        for tag in ("a", "button", "label", "strong")
        for inside in re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", page, re.S)
    ]
    return {text(inside).strip() for inside in found}


@pytest.mark.django_db
@every_row
def test_each_row_says_what_happened_what_works_and_what_is_next(
    scene: Scene, row: Row
) -> None:
    row.reach(scene)
    page = shown(row, scene, scene.client)
    said = text(page)
    for words in (row.title, *row.words):
        assert words in said, words
    assert {*row.steps, *row.shared} - offers(page) == set()


@pytest.mark.django_db
@every_row
def test_a_viewer_reads_it_without_what_a_viewer_may_not_do(
    scene: Scene, row: Row, vera: User, signed_in: Callable[[User], Client]
) -> None:
    row.reach(scene)
    client = signed_in(vera)
    if row.path == ADD:
        assert client.get(ADD).status_code == 403
        return
    page = str(client.get(row.path).content.decode())
    assert (row.title in text(page)) is row.others
    assert offers(page) & set(row.steps) == set()
    assert set(row.shared) - offers(page) == set()


def test_every_row_of_the_prototype_is_here_and_has_a_next_step() -> None:
    rows = {row.name: row for row in ROWS}
    assert len(rows) == len(ROWS)
    for name in PROTOTYPE:
        assert rows[name].steps or rows[name].shared, name


def test_every_code_of_a_refusal_has_a_row() -> None:
    documented = (ROOT / "docs/license.md").read_text()
    table = documented.split("## When a license is refused")[1].split("\n## ")[0]
    codes = set(re.findall(r"^\| `(\w+)`", table, re.M))
    rows = [row for row in ROWS if row.group == REFUSED]
    assert {re.match(r"`(\w+)`", row.when)[1] for row in rows} == codes


def test_the_document_shows_every_row_and_every_picture_is_there() -> None:
    assert DOCUMENT.read_text() == document()
    folder = DOCUMENT.parent / "screenshots/states"
    kept = {path.stem for path in folder.glob("*.png")}
    assert kept == {row.name for row in ROWS}
    assert sum(path.stat().st_size for path in folder.glob("*.png")) < 1_500_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started
    if pictures():
        DOCUMENT.write_text(document())


@pytest.fixture
def visit(
    browser: Browser, live_server: Any, scene: Scene
) -> Iterator[Callable[[Row], Page]]:
    """Return a function that opens a row as ada sees it."""
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, reduced_motion="reduce"
    )
    context.set_default_timeout(8000)
    context.clock.install(time=scene.now)

    def open_row(row: Row) -> Page:
        for name, morsel in scene.client.cookies.items():
            context.add_cookies(
                [{"name": name, "value": morsel.value, "url": live_server.url}]
            )
        page = context.new_page()
        page.goto(live_server.url + (row.upload.form if row.upload else row.path))
        if row.upload:
            page.locator("input[type=file]").set_input_files(
                {
                    "name": row.upload.name,
                    "mimeType": "application/octet-stream",
                    "buffer": row.upload.content(scene),
                }
            )
            page.get_by_role("button", name="Add", exact=True).click()
            page.wait_for_load_state()
        return page

    yield open_row
    context.close()


def picture_of(page: Page, row: Row) -> Locator:
    """Return the part of a page its picture shows."""
    if row.picture:
        return page.locator(row.picture).first
    return page.locator(".n-note").filter(has_text=row.title).first


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
@every_row
def test_each_row_is_seen_whole_and_passes_axe(
    visit: Callable[[Row], Page], scene: Scene, row: Row
) -> None:
    row.reach(scene)
    page = visit(row)
    part = picture_of(page, row)
    judged = JUDGED if pictures() else (JUDGED[ROWS.index(row) % 2],)
    for look, (width, theme) in LOOKS.items():
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=theme)
        part.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if look in judged:
            assert violations(page) == []
        if folder := pictures():
            keep(page, part, Path(folder), row.name, look)


# The folder of a test says nothing to a reader, and would be another in each picture.
NO_FOLDER = """document.querySelectorAll("pre").forEach(one => {
  one.textContent = one.textContent.replace(/NMS_DATA_DIR=\\S+/, "NMS_DATA_DIR=/srv/nms")
})"""


def keep(page: Page, part: Locator, folder: Path, name: str, look: str) -> None:
    """Take the picture; only the light one is kept among those of the docs."""
    path = folder / (f"{name}.png" if look == "light" else f"looks/{name}.{look}.png")
    if look == "light" or (folder / "looks").exists():
        page.evaluate("document.activeElement.blur()")
        page.evaluate(NO_FOLDER)
        part.screenshot(path=path, animations="disabled")
