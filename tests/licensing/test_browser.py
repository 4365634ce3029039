"""Settings > License in Chromium: focus, following, dialog, no JavaScript, axe."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from common import choices
from common.models import Via
from licensing import connection, entitlements, services
from licensing.models import License
from nms_admin.models import User
from sandbox.server import Sandbox
from telemetry.models import Event
from tests import make
from tests.browser import chromium, listen, violations

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PAGE = "/ui/settings/license"
Open = Callable[..., Page]
FOCUS = "document.activeElement.textContent.trim()"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def visit(
    browser: Browser,
    live_server,
    ada: User,
    signed_in: Callable[[User], Client],
    settings: Any,
) -> Iterator[Open]:
    """Return a function that opens a page as ada in a browser of her own."""
    settings.NMS_COLLECTOR_URL = ""
    cookie = signed_in(ada).cookies[settings.SESSION_COOKIE_NAME].value
    Event.objects.all().delete()
    contexts = []

    def open_page(path: str = PAGE, *, width: int = 1440, **options: Any) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, **options
        )
        contexts.append(context)
        context.set_default_timeout(8000)
        name = settings.SESSION_COOKIE_NAME
        context.add_cookies([{"name": name, "value": cookie, "url": live_server.url}])
        page = context.new_page()
        page.goto(live_server.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def today() -> datetime:
    return timezone.now()


def chosen(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "nginx.jwt"
    path.write_text(content)
    return path


def add(page: Page, file: Path) -> None:
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Add", exact=True).click()


def test_from_get_started_to_ready(
    visit: Open, today: datetime, tmp_path: Path, settings: Any
) -> None:
    make.keys_file()
    with Sandbox(tmp_path / "sandbox") as box:
        url = f"http://localhost:{box.vendor.port}/ee/v1/entitlements"
        settings.NMS_ENTITLEMENTS_URL = url
        page = visit()
        heard = listen(page)
        page.get_by_role("link", name="Get Started").click()
        add(page, chosen(tmp_path, make.token(today)))
        said = f"License {make.SUBSCRIPTION} was added."
        expect(page.get_by_text(said)).to_be_visible()
        assert page.evaluate(FOCUS) == said
        expect(page.get_by_text("Asking localhost")).to_be_visible()
        found = services.current()
        assert found is not None
        assert entitlements.fetch(found.pk, timezone.now)
    expect(page.get_by_text("Ready, done")).to_be_attached()
    expect(page.get_by_text("NGINX instances")).to_be_visible()
    assert (
        page.get_by_role("heading", name="Entitlements and usage", exact=True).count()
        == 1
    )
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(1500)
    assert asked == []
    assert violations(page) == []
    assert heard == []


def test_a_refusal_takes_the_focus_and_keeps_the_page(
    visit: Open, today: datetime, tmp_path: Path
) -> None:
    make.keys_file()
    page = visit(f"{PAGE}/add")
    add(page, chosen(tmp_path, make.token(today, aud="urn:f5:other")))
    assert "This token is for another service" in page.evaluate(FOCUS)
    assert violations(page) == []
    assert not License.objects.exists()


def test_the_switch_turns_off_and_on_again(visit: Open, today: datetime) -> None:
    make.license(today)
    page = visit()
    switch = page.get_by_role("switch", name="Enable Continuous Connection")
    switch.click()
    expect(page.get_by_text("Continuous Connection is now off.")).to_be_visible()
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.press("Space")
    expect(page.get_by_text("Continuous Connection is now on.")).to_be_visible()
    expect(switch).to_have_attribute("aria-checked", "true")


def test_with_events_waiting_the_switch_asks_first(
    visit: Open, today: datetime
) -> None:
    page = visit()
    for _ in range(12):
        Event.objects.create(data_point="login", occurred_at=today)
    page.get_by_role("switch", name="Enable Continuous Connection").click()
    expect(page.get_by_role("button", name="Turn off and delete 12")).to_be_visible()
    assert page.evaluate(FOCUS) == "Turn off Continuous Connection?"
    assert violations(page) == []
    page.get_by_role("link", name="Keep it on").click()
    assert services.connection_on()
    assert Event.objects.count() == 12


def test_the_dialog_terminates_only_what_was_typed(
    visit: Open, today: datetime
) -> None:
    make.license(today)
    page = visit()
    page.get_by_role("link", name="Terminate").click()
    assert page.evaluate(FOCUS) == "Keep license"
    assert violations(page) == []
    page.keyboard.press("Escape")
    assert page.evaluate(FOCUS) == "Terminate"
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill(make.SUBSCRIPTION)
    dialog.get_by_role("button", name="Terminate license").click()
    expect(page.get_by_text("No license yet")).to_be_visible()
    assert services.current() is None


def test_everything_works_without_javascript(
    visit: Open, today: datetime, tmp_path: Path
) -> None:
    make.keys_file()
    page = visit(java_script_enabled=False)
    page.get_by_role("link", name="Get Started").click()
    add(page, chosen(tmp_path, make.token(today)))
    expect(page.get_by_text(f"{make.SUBSCRIPTION} was added.")).to_be_visible()
    page.get_by_role("switch", name="Enable Continuous Connection").click()
    expect(page.get_by_text("Continuous Connection is now off.")).to_be_visible()
    page.get_by_role("link", name="Terminate").click()
    page.get_by_role("textbox").fill("something else")
    page.get_by_role("button", name="Terminate license").click()
    expect(page.get_by_text("Nothing was changed.")).to_be_visible()
    page.get_by_role("textbox").fill(make.SUBSCRIPTION)
    page.get_by_role("button", name="Terminate license").click()
    expect(page.get_by_text("No license yet")).to_be_visible()


COVERED = """element => {
  element.scrollIntoView({block: "center", behavior: "instant"})
  const box = element.getBoundingClientRect()
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)
  return !(top && (element.contains(top) || top.contains(element)))
}"""


# The titles of the banners that overlap a form, a file field or a button of the page
# somewhere while it is scrolled from its top to its end.
OVERLAPS = """() => {
  const apart = (a, b) => a.right <= b.left || b.right <= a.left
    || a.bottom <= b.top || b.bottom <= a.top
  const banners = [...document.querySelectorAll(".n-consent, .n-note")]
  const others = [...document.querySelectorAll("main form, main .n-drop, main .btn")]
  const found = new Set()
  for (let y = 0; y <= document.documentElement.scrollHeight; y += 200) {
    scrollTo({top: y, behavior: "instant"})
    for (const banner of banners)
      for (const other of others)
        if (!banner.contains(other) && !other.contains(banner)
            && !apart(banner.getBoundingClientRect(), other.getBoundingClientRect()))
          found.add(banner.innerText.split("\\n")[0])
  }
  return [...found]
}"""
BANNERS = ".n-consent, .n-note"
STICK = """css => {
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(css)
  document.adoptedStyleSheets = [sheet]
}"""


def crowded(today: datetime) -> None:
    """An expired license, nobody's answer yet, and a database that was restored."""
    make.license(today - timedelta(days=200), days=50)
    later = {choices.CONNECTION: {"number": 7, "value": True}}
    (Path(site.NMS_DATA_DIR) / "choices.json").write_text(json.dumps(later))
    assert connection.check_restore(today)


def stands_free(page: Page, width: int) -> None:
    """Nothing lies over a control of the page's forms, and nothing scrolls sideways."""
    controls = page.locator("main form :is(summary, button, a, textarea, label)")
    for control in controls.all():
        if control.is_visible():
            assert not control.evaluate(COVERED), control.inner_text()
    assert page.evaluate(OVERLAPS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [320, 390, 1440])
def test_no_banner_covers_the_form(visit: Open, today: datetime, width: int) -> None:
    """With everything that may stand above it: notice, restored, expired, refusal."""
    crowded(today)
    page = visit(width=width)
    expect(page.get_by_role("link", name="Opt out for all users")).to_be_visible()
    expect(page.get_by_text("because the database was restored")).to_be_visible()
    expect(page.get_by_text("License expired and grace has ended")).to_be_visible()
    assert page.locator(BANNERS).count() >= 3
    stands_free(page, width)
    page.get_by_role("link", name="Replace license").first.click()
    expect(page.get_by_role("link", name="Opt out for all users")).to_be_visible()
    stands_free(page, width)
    page.locator("details").evaluate_all("all => all.map(one => one.open = true)")
    page.locator("textarea").fill("no license")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("This is not a license file")).to_be_visible()
    stands_free(page, width)


@pytest.mark.parametrize("width", [320, 390])
def test_a_banner_over_the_form_would_be_seen(
    visit: Open, today: datetime, width: int
) -> None:
    """The same checks on a page whose notice sticks to the bottom of the screen."""
    crowded(today)
    page = visit(f"{PAGE}/add", width=width)
    stuck = ".n-consent { position: fixed; bottom: 0; left: 0; z-index: 99 }"
    page.evaluate(STICK, stuck)
    assert page.evaluate(OVERLAPS) != []


@pytest.mark.parametrize("width", [320, 1440])
def test_43580_an_expired_license_is_replaced_or_terminated_on_the_page(
    visit: Open, today: datetime, tmp_path: Path, width: int
) -> None:
    make.license(today - timedelta(days=200), days=50)
    page = visit(width=width)
    page.get_by_role("link", name="Replace license").first.click()
    add(page, chosen(tmp_path, make.token(today, sub="SBX-22222222")))
    expect(page.get_by_text("License SBX-22222222 replaced the one")).to_be_visible()
    License.objects.update(ends_at=today - timedelta(days=200))
    page.reload()
    expect(page.get_by_text("License expired and grace has ended")).to_be_visible()
    page.get_by_role("link", name="Terminate").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("SBX-22222222")
    dialog.get_by_role("button", name="Terminate license").click()
    expect(page.get_by_text("No license yet")).to_be_visible()


def waits(today: datetime) -> None:
    content = make.token(today).encode()
    Path(site.NMS_JWKS_FILE).unlink(missing_ok=True)
    services.apply_license(content=content, by="ada", via=Via.SETTINGS, now=today)


STATES: dict[str, Callable[[datetime], object]] = {
    "none": lambda today: None,
    "waiting": waits,
    "not-yet": lambda today: make.license(today, iat=int(today.timestamp()) + 864_000),
    "seven": lambda today: make.license(today, days=5),
    "grace": lambda today: make.license(today - timedelta(days=60), days=30),
    "expired": lambda today: make.license(today - timedelta(days=200), days=50),
}


@pytest.mark.parametrize("state", STATES)
def test_each_state_passes_axe_and_fits_the_screen(
    visit: Open, today: datetime, state: str
) -> None:
    STATES[state](today)
    for scheme, width in (("light", 1440), ("dark", 390), ("light", 320)):
        page = visit(width=width, color_scheme=scheme)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("path", ["/add", "/history", "/terminate"])
def test_the_other_pages_pass_axe(visit: Open, today: datetime, path: str) -> None:
    make.license(today)
    for scheme, width in (("dark", 1440), ("light", 390)):
        page = visit(f"{PAGE}{path}", width=width, color_scheme=scheme)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
