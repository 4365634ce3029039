"""The page in Chromium: nothing axe objects to, and the ledger without reloads."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from common import setup
from telemetry import delivery
from tests import make
from tests.browser import chromium, listen, violations
from tests.conftest import PASSWORD
from tests.telemetry.conftest import record

PAGE = "/ui/settings/telemetry"


@pytest.fixture
def now() -> datetime:
    """Pages ask the clock: the real one."""
    return timezone.now()


@pytest.fixture
def history(transactional_db, receiver, clock) -> None:
    """One accepted batch, one refused, one that is tried again."""
    row = setup.current()
    row.finished_at = row.claimed_at = clock.now - timedelta(days=3)
    row.save()
    make.license(clock.now)
    for fault in ((), ("status", 422), ("status", 503)):
        if fault:
            receiver.fails(fault[0], times=1, status=fault[1])
        record(1, clock.now)
        delivery.deliver(clock)
    record(1, clock.now)


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_page_is_accessible_and_its_ledger_alive(
    live_server, ada, history, theme, width
) -> None:
    with chromium() as browser:
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=theme
        )
        page.goto(f"{live_server.url}/login")
        page.fill("input[name=username]", "ada")
        page.fill("input[name=password]", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/ui/**")
        page.route("**/com.snowplowanalytics.snowplow/**", lambda route: route.abort())
        page.goto(live_server.url + PAGE)
        heard = listen(page)
        page.locator("#ledger tbody[id] a").first.click()
        page.wait_for_selector("tr.n-detail")
        assert violations(page) == []
        wide = "document.documentElement.scrollWidth - window.innerWidth"
        assert page.evaluate(wide) <= 0
        page.locator("#ledger tbody[id] a[aria-expanded=true]").click()
        page.wait_for_selector("tr.n-detail", state="detached")
        page.select_option("#ledger-status", "refused")
        page.wait_for_url("**status=refused**")
        assert page.locator("#ledger tbody").count() == 1
        assert [one for one in heard if "ERR_FAILED" not in one] == []
