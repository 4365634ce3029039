"""Settings > License: every state says what happened, what works, what to do."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from common import setup
from common.models import Via
from egress import gate
from egress.models import Attempt, Gate
from licensing import services
from licensing.models import License
from tests import make

pytestmark = pytest.mark.django_db
PAGE = "/ui/settings/license"
SWITCH = "Enable Continuous Connection"


@pytest.fixture(autouse=True)
def _noon(now):
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def page(signed_in, ada):
    client = signed_in(ada)
    return lambda path=PAGE, **headers: client.get(path, headers=headers)


def text(response) -> str:
    return " ".join(response.content.decode().split())


def disconnect() -> None:
    row = setup.current()
    row.operation_mode = "disconnected"
    row.save()


def without_keys(now) -> License:
    content = make.token(now).encode()
    return services.apply_license(content=content, by="ada", via=Via.SETTINGS, now=now)


def none(now):
    """Nobody added a license."""


def waiting(now):
    without_keys(now)


def provisional(now):
    disconnect()
    without_keys(now)


def not_yet_valid(now):
    make.license(now, iat=int((now + timedelta(days=8)).timestamp()))


def valid(now):
    make.license(now)


def without_end(now):
    make.license(now, f5_sat=None)


def trial(now):
    make.license(now, f5_order_type="eval")


def sixty(now):
    make.license(now, days=45)


def thirty(now):
    make.license(now, days=21)


def seven(now):
    make.license(now, days=1)


def grace(now):
    make.license(now - timedelta(days=62), days=30)


def expired(now):
    make.license(now - timedelta(days=200), days=50)


def ended_trial(now):
    make.license(now - timedelta(days=40), f5_order_type="eval")


STATES = {
    none: ["No license yet", "Get Started", "Nothing is sent until you select Add"],
    waiting: [
        "Waiting for F5’s keys",
        "stored and inactive",
        "NMS_JWKS_FILE",
        "cannot be read",
    ],
    provisional: ["Signature not checked", "90 days", "Events stay held"],
    not_yet_valid: ["The license is not valid yet", "starts on 1 Dec 2026", "clock"],
    valid: ["Active", make.SUBSCRIPTION, "365 days left, then 90 days’ grace"],
    without_end: ["Active", "Not stated"],
    trial: ["Trial", "23 Dec 2026", "License expires in 30 days"],
    sixty: ["License expires in 45 days", "90 days’ grace", "Replace license"],
    thirty: ["License expires in 21 days", "14 Dec 2026", "download the new .jwt"],
    seven: [
        "License expires in 1 day",
        "A renewal that comes with the daily entitlements",
    ],
    grace: ["License expired, grace ends in 58 days", "20 Jan 2027", "In grace"],
    expired: ["License expired and grace has ended", "Events are held", "Expired"],
    ended_trial: ["License expired", "13 Nov 2026"],
}


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_each_state_says_what_happened_what_works_and_what_is_next(page, now, state):
    state(now)
    response = page()
    assert response.status_code == 200
    for words in STATES[state]:
        assert words in text(response), words


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_the_switch_stands_in_each_state(page, now, state):
    state(now)
    shown = text(page())
    assert SWITCH in shown
    assert 'role="switch" id="continuous-connection" name="enabled" value="0"' in shown
    services.set_connection(on=False, by="ada", via=Via.SETTINGS, now=now)
    off = text(page())
    assert 'name="enabled" value="1" aria-checked="false"' in off
    assert "When on, it sends the five telemetry data points" in off


@pytest.mark.parametrize("user", ["vera", "otto"])
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_others_see_it_read_only_with_who_may_change_it(
    request, signed_in, ada, now, state, user
):
    state(now)
    shown = text(signed_in(request.getfixturevalue(user)).get(PAGE))
    assert "Administrators: ada" in shown
    assert SWITCH in shown
    for control in ("Replace license", "Terminate", "Get Started", 'role="switch"'):
        assert control + "<" not in shown
        assert f' {control} id="continuous' not in shown


def test_after_failed_tries_the_page_says_that_events_wait(page, now):
    make.license(now)
    assert "Events go to the test receiver as they happen." in text(page())
    Gate.objects.create(host="localhost:8001", failures=1, closed_until=now)
    Attempt.objects.create(
        kind="batch",
        item="1",
        destination="telemetry",
        host="localhost:8001",
        size=0,
        choice=0,
        started_at=now - timedelta(minutes=41),
        outcome="failed",
    )
    shown = text(page())
    assert "Events wait: localhost:8001 has not answered since 11:19 UTC." in shown
    assert '<a class="n-small" href="/ui/settings/connectivity">' in shown
    assert "as they happen.</dd>" not in shown


def test_disconnected_the_switch_says_that_nothing_is_sent(page, now):
    make.license(now)
    disconnect()
    shown = text(page())
    assert "Nothing is sent while this server is disconnected" in shown
    assert "are held and deleted after 24 hours." in shown
    assert "as they happen" not in shown


def test_with_the_connection_off_usage_is_sent_from_one_place(page, now):
    make.license(now)
    services.set_connection(on=False, by="ada", via=Via.SETTINGS, now=now)
    assert text(page()).count('action="/ui/settings/license/send-usage"') == 1


def test_do_not_track_locks_the_switch(page, now, settings):
    make.license(now)
    settings.DO_NOT_TRACK = True
    shown = text(page())
    assert "DO_NOT_TRACK is set on this server" in shown
    assert 'id="continuous-connection"' not in shown


def test_limits_are_shown_without_a_use_nobody_measured(page, now):
    found = make.license(now)
    found.entitlements.create(feature="NGINX_INSTANCES", limit=60)
    found.entitlements.create(feature="DATA_PER_HOUR_GB", unlimited=True)
    found.entitlements.create(feature="TM_INSTANCES", limit=12345)
    License.objects.update(entitlements_at=now)
    shown = text(page())
    assert "NGINX instances" in shown
    assert '60 <span class="n-muted">entitled</span>' in shown
    assert "Not limited" in shown
    assert "TM_INSTANCES" in shown
    assert "Not counted here; its name is F5’s code" in shown
    assert "Nothing reported since yesterday" in shown
    assert "of 60" not in shown


def test_without_an_address_the_page_says_the_call_is_not_public(page, now, settings):
    settings.NMS_ENTITLEMENTS_URL = ""
    make.license(now)
    shown = text(page())
    assert "F5 has not published how to ask for entitlements" in shown
    assert "Verifying" not in shown


def test_the_token_is_on_no_page(page, now):
    make.license(now)
    secret = services.token(services.current().pk)
    for path in (PAGE, f"{PAGE}/add", f"{PAGE}/history", f"{PAGE}/terminate"):
        shown = page(path).content.decode()
        assert secret not in shown
        assert secret.split(".")[2][:40] not in shown


def test_the_history_holds_every_license(page, now):
    make.license(now - timedelta(days=3), sub="SBX-11111111")
    make.license(now - timedelta(days=2), sub="SBX-22222222")
    services.terminate(confirmation="SBX-22222222", by="ada", via=Via.API, now=now)
    shown = text(page(f"{PAGE}/history"))
    assert shown.index("SBX-22222222") < shown.index("SBX-11111111")
    assert "Replaced" in shown
    assert "Terminated" in shown


def test_an_empty_history_says_so(page):
    assert "None yet" in text(page(f"{PAGE}/history"))


# After Add: the steps, followed


def steps(response) -> list[str]:
    return [step.state for step in response.context["activation"]["steps"]]


def test_while_entitlements_are_asked_for_the_page_follows(page, now):
    make.license(now)
    response = page()
    assert steps(response) == ["done", "done", "done", "now", "todo"]
    assert 'hx-trigger="every 1s"' in text(response)


def test_an_answer_without_news_swaps_nothing(page, now):
    found = make.license(now)
    path = f"{PAGE}/activation"
    assert page(f"{path}?seen={found.pk}-now", hx_request="true").status_code == 204
    License.objects.update(entitlements_error="localhost:8001: It answered 503.")
    response = page(f"{path}?seen={found.pk}-now", hx_request="true")
    assert response.status_code == 200
    assert steps(response)[3] == "bad"
    assert "It answered 503." in text(response)
    assert "The license is stored and works" in text(response)
    assert "Next try within a minute" in text(response)
    assert "data-focus" in text(response)


def test_the_last_answer_ends_the_polling_and_brings_the_entitlements(page, now):
    found = make.license(now)
    found.entitlements.create(feature="NGINX_NAP", limit=40)
    License.objects.update(entitlements_at=now)
    response = page(f"{PAGE}/activation", hx_request="true")
    assert response.status_code == 286
    assert steps(response) == ["done"] * 5
    assert "every 1s" not in text(response)
    assert 'hx-swap-oob="true"' in text(response)
    assert "F5 WAF for NGINX" in text(response)


def test_after_a_minute_the_page_stops_asking_and_says_so(page, now):
    make.license(now - timedelta(seconds=61))
    shown = text(page())
    assert "This takes longer than usual. It goes on in the background." in shown
    assert "every 1s" not in shown
    assert page(f"{PAGE}/activation", hx_request="true").status_code == 286


def test_after_a_refusal_the_page_offers_to_try_now(page, now):
    make.license(now)
    gate.pause("entitlements", 401, now)
    License.objects.update(entitlements_error="localhost:8001: It refused the license.")
    shown = text(page())
    assert "not asked for again by themselves" in shown
    assert "Try again" in shown
    assert "every 1s" not in shown


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_following_never_fails_in_any_state(page, now, state, settings):
    state(now)
    for url in (settings.NMS_ENTITLEMENTS_URL, ""):
        settings.NMS_ENTITLEMENTS_URL = url
        answer = page(f"{PAGE}/activation", hx_request="true")
        assert answer.status_code in (200, 286, 302)
        assert page(f"{PAGE}/activation")["Location"] == PAGE


# Adding


def test_the_form_has_a_file_a_paste_and_the_choice(page):
    shown = text(page(f"{PAGE}/add"))
    for words in ("Browse", "Paste the token instead", SWITCH, "up to 64 KB"):
        assert words in shown
    assert 'name="telemetry" value="on" checked' in shown
    assert 'enctype="multipart/form-data"' in shown


def test_the_form_shows_the_choice_in_force(page, now):
    services.set_connection(on=False, by="ada", via=Via.WIZARD, now=now)
    assert 'name="telemetry" value="off" checked' in text(page(f"{PAGE}/add"))


def test_the_page_loads_nothing_from_elsewhere():
    for template in Path("templates/licensing").glob("*.html"):
        assert "https://" not in template.read_text()
