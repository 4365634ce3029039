"""What a small and a large window show without scrolling for nothing, in Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page

from nms_admin.models import User
from tests import make
from tests.browser import violations

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Open = Callable[..., Page]
HISTORY = "/ui/settings/license/history"
SCROLLS = """() => [document.documentElement.scrollHeight - innerHeight,
  document.documentElement.scrollWidth - innerWidth,
  document.querySelector('.n-tabs').offsetHeight
    - document.querySelector('.n-tabs').clientHeight,
  getComputedStyle(document.querySelector('.n-tabs')).overflowY]"""
LABELS = """[...document.querySelectorAll('td:not(:first-child)')].map(one =>
  [getComputedStyle(one).display,
   getComputedStyle(one, '::before').fontFamily.split(',')[0]])"""


@pytest.fixture
def visit(
    browser: Browser,
    live_server: Any,
    built: Path,
    ada: User,
    finished: None,
    signed_in: Callable[[User], Client],
) -> Iterator[Open]:
    """Return a function that opens a page as ada in a window of a width."""
    name = settings.SESSION_COOKIE_NAME
    cookie = signed_in(ada).cookies[name].value
    contexts = []

    def open_page(path: str, width: int, **options: Any) -> Page:
        viewport = {"width": width, "height": 900}
        context = browser.new_context(viewport=viewport, **options)
        contexts.append(context)
        context.add_cookies([{"name": name, "value": cookie, "url": live_server.url}])
        page = context.new_page()
        page.goto(f"{live_server.url}{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_a_short_page_and_its_tabs_do_not_scroll(visit: Open, width: int) -> None:
    page = visit(HISTORY, width, color_scheme="dark")
    assert page.evaluate(SCROLLS) == [0, 0, 0, "hidden"]
    assert violations(page) == []


def test_a_cell_of_several_parts_stays_one_text_on_a_phone(
    visit: Open, now: datetime
) -> None:
    make.license(now - timedelta(days=3))
    make.license(now)
    page = visit(HISTORY, 390)
    found = page.evaluate(LABELS)
    columns = page.locator("thead th").count()
    assert len(found) == 2 * (columns - 1)
    assert {tuple(one) for one in found} == {("flow-root", "Inter")}
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert violations(page) == []
