"""Each shared part, rendered as pages include it."""

from __future__ import annotations

import re

import pytest
from django.template import engines
from django.template.loader import render_to_string
from django.test import RequestFactory

from tests.frontend.gallery import DAYS, Form


def part(name: str, **context: object) -> str:
    request = RequestFactory().get("/ui/")
    return render_to_string(f"components/_{name}.html", context, request=request)


def test_switch_is_a_button_that_sends_the_other_value() -> None:
    on = part("switch", id="cc", label="Enable", on=True, action="/x", help="Why.")
    assert '<form class="n-switch" method="post" action="/x"' in on
    assert 'type="submit" role="switch" id="cc" name="enabled" value="0"' in on
    assert 'aria-checked="true" aria-describedby="cc-help"' in on
    off = part("switch", id="cc", label="Enable", on=False, action="/x")
    assert 'value="1" aria-checked="false"' in off
    assert "csrfmiddlewaretoken" in off


def test_switch_without_an_action_is_text_with_a_lock() -> None:
    shown = part("switch", id="cc", label="Enable", on=True, help="Since 14 Nov 2026.")
    assert "On" in shown
    assert "#lock" in shown
    assert not re.search(r"<(form|button|input)", shown)


def test_undecided_switch_says_so() -> None:
    shown = part("switch", id="cc", label="Collect", on=None, action="/x")
    assert "Not chosen" in shown
    assert 'value="1" aria-checked="false"' in shown


def test_field_ties_label_hint_and_error_to_its_input() -> None:
    field = Form({"name": ""})["name"]
    shown = part("field", field=field)
    assert '<label class="form-label" for="id_name">User name</label>' in shown
    assert 'aria-describedby="id_name_helptext id_name_error"' in shown
    assert 'aria-invalid="true"' in shown
    assert 'id="id_name_helptext"' in shown
    assert 'id="id_name_error"' in shown


def test_password_field_can_be_shown_and_is_never_filled_in() -> None:
    shown = part("field", field=Form({"password": "hidden words"})["password"])
    assert 'data-show="id_password"' in shown
    assert "hidden words" not in shown


def test_check_box_is_a_switch_and_radio_buttons_are_cards() -> None:
    assert 'role="switch"' in part("field", field=Form()["on"])
    cards = part("field", field=Form()["role"])
    assert cards.count('class="n-choice"') == 2
    assert "<fieldset" in cards


def test_error_summary_links_to_the_fields() -> None:
    shown = part("error_summary", form=Form({"name": ""}))
    assert '<a href="#id_name">User name</a>: This field is required.' in shown
    assert 'role="alert" tabindex="-1" data-focus' in shown
    assert part("error_summary", form=Form()).strip() == ""


@pytest.mark.parametrize(
    ("used", "kind"), [(12, ""), (48, "n-warn"), (60, "n-warn"), (72, "n-bad")]
)
def test_meter_turns_amber_at_80_and_red_over_100_percent(used: int, kind: str) -> None:
    shown = part("meter", label="NGINX instances", used=used, limit=60)
    assert f'aria-label="NGINX instances: {used} of 60 used"' in shown
    assert f'class="{f"n-f {kind}".strip()}"' in shown
    assert f'width="{round(used / 60 * 100)}%"' in shown


def test_bars_are_stacked_and_have_a_table() -> None:
    source = "{% bars 'Two days.' days series %}"
    days = DAYS[:2]
    series = [
        {"kind": "ok", "name": "Accepted", "counts": [2, 0]},
        {"kind": "bad", "name": "Refused", "counts": [2, 1]},
    ]
    shown = (
        engines["django"].from_string(source).render({"days": days, "series": series})
    )
    assert 'role="img" aria-label="Two days."' in shown
    boxes = re.findall(r'class="n-s-(\w+)" .*?y="([\d.]+)" height="([\d.]+)"', shown)
    assert boxes == [
        ("ok", "74.0", "74.0"),
        ("bad", "0.0", "74.0"),
        ("bad", "111.0", "37.0"),
    ]
    assert shown.count("<tr>") == 3


def test_note_is_escaped_and_offers_its_next_step() -> None:
    shown = part(
        "note", kind="bad", title="<b>", action_url="/next", action_label="Retry"
    )
    assert "&lt;b&gt;" in shown
    assert '<a class="btn btn-sm" href="/next">Retry</a>' in shown


def test_dialog_offers_the_safe_button_first_and_closes_with_it() -> None:
    shown = part(
        "dialog_confirm",
        id="term",
        title="Terminate license A-1?",
        action="/terminate",
        keep_label="Keep license",
        confirm_label="Terminate license",
        want="A-1",
    )
    keep, confirm = re.findall(r"<button[^>]*>[^<]*</button>", shown)
    assert 'formmethod="dialog"' in keep
    assert "autofocus" in keep
    assert 'data-need="term-typed" data-want="A-1"' in confirm


@pytest.mark.parametrize("code", ["400", "403", "403_csrf", "404", "413", "429", "500"])
def test_error_page_stands_without_request_or_database(code: str) -> None:
    page = render_to_string(f"{code}.html", {"request_id": "req-7f3a12"})
    assert page.count("<h1") == 1
    assert "· NMS admin</title>" in page
    assert "req-7f3a12" in page
    assert "Traceback" not in page


def test_starting_up_says_that_the_page_reloads_or_what_to_run() -> None:
    assert "reloads by itself" in render_to_string("503.html")
    waiting = render_to_string("503.html", {"command": "manage.py migrate"})
    assert "manage.py migrate" in waiting


def test_no_access_names_role_and_who_can_help() -> None:
    page = render_to_string(
        "403.html", {"role": "Operator", "administrators": "ada, <b>"}
    )
    assert "Your role is Operator. Ask an administrator: ada, &lt;b&gt;." in page


def test_too_many_requests_says_when_to_try_again() -> None:
    assert "Try again in 30 seconds." in render_to_string(
        "429.html", {"retry_after": 30}
    )
