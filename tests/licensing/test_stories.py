"""Each state of a license says what happened, what still works, what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from licensing import stories
from licensing.states import NONE, Facts, State, state_at

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def standing(days: int = 365, *, disconnected: bool = False, **changes) -> State:
    facts = {
        "order_type": "paid",
        "applied_at": NOW - 200 * DAY,
        "checked": True,
        "not_before": None,
        "ends_at": NOW + days * DAY,
    }
    return state_at(Facts(**(facts | changes)), NOW, disconnected=disconnected)


def told(state: State, **more: str) -> tuple[str, str, str]:
    story = stories.story(state, **more)
    assert story
    return story.kind, story.title, story.body


@pytest.mark.parametrize("days", [61, 365])
def test_of_a_license_without_trouble_nothing_is_told(days):
    assert stories.story(standing(days)) is None
    assert stories.story(NONE) is None


@pytest.mark.parametrize(
    ("days", "kind", "title"),
    [
        (60, "info", "License expires in 60 days"),
        (30, "warn", "License expires in 30 days"),
        (1, "warn", "License expires in 1 day"),
        (0, "warn", "License expires today"),
        (-1, "warn", "License expired, grace ends in 89 days"),
        (-90, "warn", "License expired, grace ends today"),
        (-91, "bad", "License expired and grace has ended"),
    ],
)
def test_the_end_is_told_in_time(days, kind, title):
    assert told(standing(days))[:2] == (kind, title)


def test_an_expiring_license_names_its_last_day_and_the_grace_after_it():
    _, _, body = told(standing(23))
    assert "valid through 16 Dec 2026." in body
    assert "After 16 Dec 2026 you have 90 days’ grace." in body
    assert "replace the license" in body


def test_a_trial_has_no_grace_to_speak_of():
    trial = {"order_type": "eval", "applied_at": NOW}
    assert "grace" not in told(standing(7, **trial))[2]
    ended = told(standing(-1, **trial))
    assert ended[:2] == ("bad", "License expired")


def test_in_grace_everything_goes_on_until_a_named_day():
    _, _, body = told(standing(-3))
    assert "Expired after 20 Nov 2026. Everything goes on until 18 Feb 2027;" in body


def test_a_license_for_later_names_its_day_and_the_clock():
    _, title, body = told(standing(not_before=NOW + 5 * DAY))
    assert title == "The license is not valid yet"
    assert "It starts on 28 Nov 2026." in body
    assert "clock" in body


def test_a_license_without_keys_waits_and_says_what_is_missing():
    state = standing(checked=False)
    kind, title, body = told(state, no_keys="NMS_JWKS_FILE is not set")
    assert (kind, title) == ("warn", "Waiting for F5’s keys")
    assert body.endswith("within a minute. Now: NMS_JWKS_FILE is not set.")
    assert stories.pill(state) == ("held", "Waiting for keys")


def test_a_license_that_keys_did_not_verify_says_why():
    state = standing(checked=False, refused=True)
    kind, title, body = told(state, check_error="The signature is not valid.")
    assert (kind, title) == ("bad", "The license cannot be verified")
    assert body.startswith("The signature is not valid. It stays stored and inactive")
    pill = stories.pill(state, checked=False, check_error="The signature is wrong.")
    assert pill == ("bad", "Not verified")


def test_a_provisional_license_is_never_called_active():
    state = standing(checked=False, disconnected=True, applied_at=NOW)
    _, title, body = told(state, no_keys="NMS_JWKS_FILE is not set")
    assert title == "Signature not checked"
    assert "provisional for 90 days" in body
    assert stories.pill(state, checked=False) == ("held", "Provisional")


def test_a_key_set_that_does_not_fit_ends_the_provisional_time():
    facts = {"checked": False, "disconnected": True, "applied_at": NOW}
    assert standing(**facts).provisional
    assert standing(**facts, refused=True).phase == "waiting"


@pytest.mark.parametrize(
    ("state", "pill"),
    [
        (standing(), ("ok", "Active")),
        (standing(-1), ("warn", "In grace")),
        (standing(-91), ("bad", "Expired")),
        (standing(not_before=NOW + DAY), ("held", "Not valid yet")),
        (NONE, ("", "")),
    ],
)
def test_the_pill_is_the_state_in_a_word(state, pill):
    assert stories.pill(state) == pill


def test_an_smime_license_is_never_called_active_and_asks_for_its_id():
    state = standing(checked=False, smime=True)
    assert stories.pill(state, checked=False) == ("held", "Not checked")
    assert "events are held" in stories.smime_story("").body
    assert "Events go out under the Subscription ID" in stories.smime_story("A-1").body


@pytest.mark.parametrize(
    ("checked", "fetched", "error", "host", "states"),
    [
        (True, False, "", "product.apis.f5.com", "done done done now todo"),
        (True, True, "", "product.apis.f5.com", "done done done done done"),
        (True, False, "It answered 503.", "x", "done done done bad todo"),
        (True, False, "", "", "done done done todo todo"),
        (False, False, "", "x", "done now done now todo"),
    ],
)
def test_the_steps_of_a_new_license_follow_what_happened(
    checked, fetched, error, host, states
):
    steps = stories.steps(
        standing(), checked=checked, fetched=fetched, error=error, host=host
    )
    assert " ".join(step.state for step in steps) == states
    assert [step.title for step in steps][3] == "Entitlements from F5"
    assert not error or steps[3].text == error


@pytest.mark.parametrize(
    ("days", "kind", "words"),
    [(91, "", ""), (90, "info", "ends"), (0, "warn", "ended")],
)
def test_the_end_of_the_keys_certificate_is_named_90_days_before(days, kind, words):
    said = stories.key_story((NOW + days * DAY, "v1"), NOW)
    assert (said.kind if said else "") == kind
    if said:
        assert said.title.startswith(f"The certificate of F5’s key v1 {words} on ")
        assert "Licenses in force stay in force" in said.body


def test_keys_without_a_certificate_say_nothing():
    assert stories.key_story(None, NOW) is None
