"""The shell and every part in Chromium: axe, the policy, keyboard, no JavaScript."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from nms_admin.models import User
from tests.browser import listen, violations

pytestmark = [
    pytest.mark.browser,
    pytest.mark.urls("tests.frontend.urls"),
    pytest.mark.django_db(transaction=True),
]
Open = Callable[..., Page]


@pytest.fixture
def visit(
    built: Path,
    browser: Browser,
    live_server,
    ada: User,
    signed_in: Callable[[User], Client],
) -> Iterator[Open]:
    """Return a function that opens a page of parts as ada."""
    cookie = signed_in(ada).cookies[settings.SESSION_COOKIE_NAME].value
    contexts = []

    def open_page(path: str, *, width: int = 1440, **options: Any) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, **options
        )
        contexts.append(context)
        context.set_default_timeout(5000)
        name = settings.SESSION_COOKIE_NAME
        context.add_cookies([{"name": name, "value": cookie, "url": live_server.url}])
        page = context.new_page()
        page.goto(f"{live_server.url}/parts/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["shell", "forms", "solo"])
def test_parts_pass_axe_and_the_policy(visit: Open, name: str, scheme: str) -> None:
    for width in (1440, 390, 320):
        page = visit(name, width=width, color_scheme=scheme)
        heard = listen(page)
        page.reload()
        assert violations(page) == []
        assert heard == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_open_menu_and_dialog_pass_axe(visit: Open) -> None:
    page = visit("shell")
    page.click(".n-avatar-btn")
    assert page.is_visible("text=Sign out")
    assert violations(page) == []
    page.keyboard.press("Escape")
    assert not page.is_visible("text=Sign out")
    page.click("[data-dialog=term]")
    assert violations(page) == []


def test_enter_in_the_typed_match_keeps_the_license(visit: Open) -> None:
    page = visit("shell")
    page.click("[data-dialog=term]")
    assert page.evaluate("document.activeElement.textContent") == "Keep license"
    confirm = page.locator("[data-need=term-typed]")
    assert confirm.get_attribute("aria-disabled") == "true"
    page.fill("#term-typed", "A-S00198432")
    assert confirm.get_attribute("aria-disabled") == "false"
    page.keyboard.press("Enter")
    assert not page.is_visible("#term")
    assert page.url.endswith("/parts/shell")
    assert page.evaluate("document.activeElement.textContent") == "Terminate"


def test_focus_moves_to_the_message_of_the_last_action(visit: Open) -> None:
    page = visit("shell?say=Saved.")
    assert page.evaluate("document.activeElement.textContent").strip() == "Saved."
    assert page.locator("main .n-note").first.inner_text() == "Saved."


def test_dropping_a_file_only_fills_the_input(visit: Open, tmp_path: Path) -> None:
    page = visit("forms")
    chosen = tmp_path / "license.jwt"
    chosen.write_text("a.b.c")
    page.set_input_files("#file", chosen)
    row = page.locator("[data-file-of=file]")
    assert "license.jwt" in row.inner_text()
    page.click("[data-remove=file]")
    assert not row.is_visible()
    assert page.evaluate("document.getElementById('file').files.length") == 0


def test_password_can_be_shown(visit: Open) -> None:
    page = visit("forms")
    page.click("[data-show=id_password]")
    assert page.get_attribute("#id_password", "type") == "text"
    assert page.get_attribute("[data-show=id_password]", "aria-pressed") == "true"


def test_copying_is_announced(visit: Open) -> None:
    page = visit("shell", permissions=["clipboard-read", "clipboard-write"])
    page.click("[data-copy=payload]")
    expect(page.locator("#live")).to_have_text("Copied")
    assert "nms-telemetry" in page.evaluate("navigator.clipboard.readText()")


def test_lost_connection_is_said_until_it_is_back(visit: Open) -> None:
    page = visit("shell")
    page.context.set_offline(True)
    page.click("#s1")
    page.wait_for_selector("#bar-offline", state="visible")
    page.context.set_offline(False)
    page.wait_for_selector("#bar-offline", state="hidden", timeout=8000)


def test_refused_request_is_said(visit: Open) -> None:
    page = visit("shell")
    page.click("#s1")
    page.wait_for_selector("#bar-failed", state="visible")
    page.click("[data-hide=bar-failed]")
    assert not page.is_visible("#bar-failed")


def test_htmx_requests_carry_the_token_of_the_page(visit: Open) -> None:
    page = visit("shell")
    with page.expect_request("**/x") as sent:
        page.click("#s1")
    token = page.get_attribute("meta[name=csrf-token]", "content")
    assert sent.value.headers["x-csrftoken"] == token


def test_the_end_of_the_session_is_announced_and_put_off(visit: Open) -> None:
    assert not visit("forms?ends=1800").is_visible("#bar-session")
    page = visit("forms?ends=100")
    assert "You will be signed out at" in page.inner_text("#bar-session")
    assert violations(page) == []
    with page.expect_request("**/parts/forms?ends=100"):
        page.click("[data-stay]")
    expect(page.locator("#live")).to_have_text("You stay signed in")


def test_all_controls_are_there_without_javascript(visit: Open) -> None:
    page = visit("forms", java_script_enabled=False)
    box = page.locator("#file").bounding_box()
    assert box is not None
    assert box["width"] > 100
    assert not page.is_visible("[data-show=id_password]")
    page = visit("shell", java_script_enabled=False)
    page.click(".n-avatar-btn")
    assert page.is_visible("text=Sign out")
