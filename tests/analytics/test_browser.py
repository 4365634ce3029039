from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, expect

from analytics import catalog, services
from analytics.models import Blocked, Choice
from common.models import Via
from tests.browser import chromium, listen, violations

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PAGE = "/ui/settings/web-analytics"
CONTROL = "a[data-track]"


class Collector(ThreadingHTTPServer):
    """A collector on a free port that keeps what arrives, and when."""

    daemon_threads = True

    def __init__(self) -> None:
        self.got: list[tuple[float, dict[str, str], str]] = []
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://localhost:{self.server_port}"

    def events(self) -> list[dict[str, str]]:
        """Return the events in the order they arrived."""
        return [event for _, _, body in self.got for event in json.loads(body)["data"]]

    def wait_for(self, count: int) -> None:
        """Wait until that many events have arrived."""
        end = time.monotonic() + 8
        while len(self.events()) < count:
            assert time.monotonic() < end, self.got
            time.sleep(0.02)


class Handler(BaseHTTPRequestHandler):
    """Keep one request and answer 200."""

    server: Collector

    def do_POST(self) -> None:
        """Keep it."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.got.append((time.monotonic(), dict(self.headers), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""


@pytest.fixture
def collector(settings) -> Iterator[Collector]:
    server = Collector()
    settings.NMS_COLLECTOR_URL = server.url
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def open_as(browser, live_server, collector, noticed, ada, vera):
    """Return a function that opens the page in a new browser of a user."""
    contexts: list[BrowserContext] = []

    def open_page(name, path=PAGE, **options):
        client = Client()
        client.force_login(
            {"ada": ada, "vera": vera}[name],
            backend="django.contrib.auth.backends.ModelBackend",
        )
        context = browser.new_context(**options)
        contexts.append(context)
        context.add_cookies(
            [
                {
                    "name": "nms-session",
                    "value": client.cookies["nms-session"].value,
                    "url": live_server.url,
                }
            ]
        )
        page = context.new_page()
        page.set_default_timeout(5000)
        page.heard = listen(page)
        page.goto(live_server.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()


def select(page):
    """Select a named control without leaving the page."""
    page.evaluate(
        "css => { const a = document.querySelector(css);"
        "a.addEventListener('click', e => e.preventDefault(), {once: true}); a.click(); }",
        CONTROL,
    )


def test_page_views_and_clicks_arrive_with_the_fields_of_the_catalogue_alone(
    open_as, collector
):
    page = open_as("vera")
    collector.wait_for(1)
    select(page)
    collector.wait_for(2)
    view, click = collector.events()
    allowed = catalog.allowed(catalog.names())
    assert set(view) == set(allowed["page_view"]) - {"refr"}  # opened from nowhere
    assert set(click) == set(allowed["click"])
    assert (view["e"], view["page"]) == ("pv", "ui-web-analytics")
    assert (click["se_ca"], click["se_la"]) == ("click", "ui-web-analytics")
    assert click["se_ac"].startswith("nav:")
    assert page.heard == []


def test_a_page_reached_by_a_link_names_where_from(open_as, collector):
    page = open_as("vera")
    collector.wait_for(1)
    page.click(f"nav a[href='{PAGE}']")
    collector.wait_for(3)
    views = [event for event in collector.events() if event["e"] == "pv"]
    assert views[-1]["refr"] == "ui-web-analytics"
    assert "nav:web-analytics" in {event.get("se_ac") for event in collector.events()}


def test_neither_cookies_nor_referrer_nor_names_reach_the_collector(
    open_as, collector, settings
):
    page = open_as("vera", f"{PAGE}?canary=secret-path")
    page.context.add_cookies(
        [{"name": "canary", "value": "secret-cookie", "url": collector.url}]
    )
    select(page)
    collector.wait_for(2)
    for _, headers, body in collector.got:
        names = {name.lower() for name in headers}
        assert not names & {"cookie", "referer", "authorization", "x-csrftoken"}
        everything = body + json.dumps(headers)
        for word in (
            "secret-path",
            "secret-cookie",
            "vera",
            "example.net",
            settings.VERSION,
        ):
            assert word not in everything.replace("127.0.0.1", ""), word
    assert page.evaluate("Object.keys(localStorage).length") == 0
    assert {cookie["name"] for cookie in page.context.cookies()} <= {
        "nms-session",
        "nms-csrf",
        "canary",
    }


def test_a_tab_of_another_user_stops_within_five_seconds_of_the_opt_out(
    open_as, collector
):
    tab = open_as("vera")
    collector.wait_for(1)
    select(tab)
    collector.wait_for(2)
    admin = open_as("ada")
    collector.wait_for(3)
    admin.click("#privacy-banner a:has-text('Opt out for all users')")
    expect(admin.locator(".n-messages")).to_contain_text(
        "Interaction data is now off for all users."
    )
    off_at = time.monotonic()
    while time.monotonic() < off_at + 7:
        select(tab)
        time.sleep(0.2)
    late = [at - off_at for at, _, _ in collector.got if at > off_at + 5]
    assert late == []
    before = len(collector.got)
    tab.reload()
    assert tab.locator("script[src*=tracker]").count() == 0
    time.sleep(1)
    assert len(collector.got) == before
    assert admin.heard == []
    assert all("410 (Gone)" in line for line in tab.heard)


def test_the_switch_of_the_user_menu_works_by_keyboard_with_and_without_scripts(
    open_as, now
):
    page = open_as("ada")
    page.locator("[popovertarget=user-menu]").press("Enter")
    page.locator("#menu-interaction-data").press("Space")
    expect(page.locator(".n-messages")).to_contain_text(
        "Interaction data is now off for all users."
    )
    assert services.is_on() is False
    plain = open_as("ada", java_script_enabled=False)
    plain.locator("#page-interaction-data").click()
    expect(plain.locator(".n-messages")).to_contain_text(
        "Interaction data is now on for all users."
    )
    assert services.is_on() is True


def test_an_answer_given_meanwhile_is_shown_in_the_page(open_as, now):
    page = open_as("ada")
    services.set_choice(collect=True, by="ada2", via=Via.SETTINGS, now=now)
    page.click("#page-interaction-data")
    expect(page.locator("#main [role=alert]")).to_contain_text("ada2 chose On")
    assert Choice.objects.count() == 1


def test_off_a_rogue_script_cannot_reach_the_collector_and_is_counted(
    open_as, collector, now
):
    services.set_choice(collect=False, by="ada", via=Via.API, now=now)
    page = open_as("vera")
    blocked = page.evaluate(
        "url => fetch(url, {method: 'POST', mode: 'no-cors', body: 'x'}).then(() => false, () => true)",
        collector.url,
    )
    assert blocked
    assert collector.got == []
    end = time.monotonic() + 5
    while not Blocked.objects.filter(directive="connect-src").exists():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("header", ["Sec-GPC", "DNT"])
def test_a_browser_that_asks_not_to_be_tracked_sends_nothing(
    open_as, collector, header
):
    page = open_as("vera", extra_http_headers={header: "1"})
    assert page.locator("script[src*=tracker]").count() == 0
    time.sleep(0.5)
    assert collector.got == []


def test_the_page_shows_live_what_another_tab_sends(open_as, collector):
    page = open_as("vera")
    other = page.context.new_page()
    other.goto(page.url)
    select(other)
    expect(page.locator("#live-event")).to_contain_text('"se_ca": "click"')
    shown = json.loads(page.locator("#live-event").inner_text())
    collector.wait_for(3)
    assert shown in collector.events()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_have_no_accessibility_finding_and_no_blocked_part(open_as, theme, now):
    page = open_as("ada", color_scheme=theme)
    origin = page.url.removesuffix(PAGE)
    found = {}
    for path in (PAGE, "/privacy", f"{PAGE}/opt-out", "/ui/help"):
        page.goto(origin + path)
        found[path] = violations(page)
    services.set_choice(collect=False, by="ada", via=Via.API, now=now)
    page.goto(origin + PAGE)
    found["off"] = violations(page)
    assert found == {name: [] for name in found}
    page.set_viewport_size({"width": 390, "height": 800})
    for path in ("/privacy", "/ui/help"):
        page.goto(origin + path)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.heard == []
