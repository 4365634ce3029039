from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from licensing.states import NONE, Facts, ran_back, report_by, state_at

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
ENDS = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
ORDER = ["waiting", "not_yet_valid", "valid", "grace", "expired"]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def facts(**changes: object) -> Facts:
    usual: dict[str, object] = {
        "order_type": "paid",
        "applied_at": at("2026-01-10T12:00"),
        "checked": True,
        "not_before": None,
        "ends_at": ENDS,
    }
    return Facts(**(usual | changes))


def test_without_a_license_there_is_no_phase():
    assert state_at(None, ENDS) is NONE
    assert (NONE.phase, NONE.activation, NONE.usable) == ("none", "NONE", False)


@pytest.mark.parametrize(
    ("now", "phase", "days_left", "warn", "word"),
    [
        ("2026-01-10T12:00", "valid", 317, None, "VALID"),
        ("2026-09-23T23:59:59", "valid", 61, None, "VALID"),
        ("2026-09-24T00:00", "valid", 60, 60, "VALID"),
        ("2026-10-23T23:59:59", "valid", 31, 60, "VALID"),
        ("2026-10-24T00:00", "valid", 30, 30, "VALID"),
        ("2026-11-15T23:59:59", "valid", 8, 30, "VALID"),
        ("2026-11-16T00:00", "valid", 7, 7, "VALID"),
        ("2026-11-23T09:30:01", "valid", 0, 7, "VALID"),
        ("2026-11-23T23:59:59", "valid", 0, 7, "VALID"),
        ("2026-11-24T00:00", "grace", 89, None, "GRACE"),
        ("2027-02-21T23:59:59", "grace", 0, None, "GRACE"),
        ("2027-02-22T00:00", "expired", 0, None, "ENFORCED"),
        ("2036-01-01T00:00", "expired", 0, None, "ENFORCED"),
    ],
)
def test_a_paid_license_ends_with_its_day_and_has_90_days_of_grace(
    now, phase, days_left, warn, word
):
    found = state_at(facts(), at(now))
    assert (found.phase, found.days_left, found.warn_stage) == (phase, days_left, warn)
    assert found.activation == word
    assert found.usable == (phase != "expired")
    assert found.ends_on == date(2026, 11, 23)
    assert found.grace_ends_on == date(2027, 2, 21)


def test_a_trial_for_later_says_when_it_begins_and_ends():
    start = ENDS - 10 * DAY
    later = facts(order_type="eval", not_before=start, applied_at=start - DAY)
    found = state_at(later, start - DAY)
    assert (found.phase, found.trial, found.usable) == ("not_yet_valid", True, False)
    assert (found.starts_at, found.ends_on) == (start, date(2026, 11, 23))


def test_a_provisional_license_without_an_end_is_still_provisional():
    found = state_at(facts(checked=False, ends_at=None), ENDS, disconnected=True)
    assert found.phase == "waiting"
    applied = at("2026-01-10T12:00")
    found = state_at(facts(checked=False, ends_at=None), applied, disconnected=True)
    assert (found.phase, found.provisional) == ("valid", True)
    assert (found.activation, found.ends_on) == ("CONFIG_REPORT_READY", None)


@pytest.mark.parametrize(
    ("ends", "last"),
    [
        ("2028-02-28T12:00", "2028-02-28"),
        ("2028-02-29T00:00", "2028-02-29"),
        ("2028-02-29T23:59:59", "2028-02-29"),
        ("2028-12-31T23:59:59", "2028-12-31"),
        ("2029-01-01T00:00", "2029-01-01"),
    ],
)
def test_the_named_day_is_the_last_one_on_leap_days_and_at_midnight_too(ends, last):
    end = datetime.combine(date.fromisoformat(last), datetime.max.time(), UTC)
    found = facts(ends_at=at(ends))
    assert state_at(found, end).phase == "valid"
    assert state_at(found, end).ends_on == date.fromisoformat(last)
    assert state_at(found, end + SECOND).phase == "grace"
    assert state_at(found, end + 90 * DAY).phase == "grace"
    assert state_at(found, end + 90 * DAY + SECOND).phase == "expired"


@pytest.mark.parametrize(
    "zone",
    ["Pacific/Kiritimati", "Pacific/Niue", "Asia/Kathmandu", "Europe/Berlin"],
)
@pytest.mark.parametrize("moment", ["2026-11-23T23:59:59", "2026-11-24T00:00:00"])
def test_the_day_is_counted_in_utc_wherever_somebody_asks(zone, moment):
    now = at(moment)
    there = state_at(facts(), now.astimezone(ZoneInfo(zone)))
    assert there == state_at(facts(), now)


@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("Europe/Berlin", "2026-03-29T01:00"),
        ("America/New_York", "2026-11-01T06:00"),
        ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ],
)
def test_a_changed_clock_adds_or_takes_no_hour(zone, change):
    now = at(change)
    found = facts(ends_at=now)
    for moment in (now - SECOND, now, now + SECOND):
        local = moment.astimezone(ZoneInfo(zone))
        assert state_at(found, local) == state_at(found, moment)


def test_an_end_stated_in_another_zone_names_the_day_in_utc():
    tokyo = datetime(2026, 11, 24, 8, 0, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert state_at(facts(ends_at=tokyo), ENDS).ends_on == date(2026, 11, 23)


def test_a_paid_license_without_an_end_does_not_end():
    found = state_at(facts(ends_at=None), at("2999-12-31T23:59"))
    assert (found.phase, found.ends_on, found.days_left) == ("valid", None, None)
    assert found.warn_stage is None


@pytest.mark.parametrize("order_type", ["eval", "trial"])
@pytest.mark.parametrize(
    ("now", "phase", "days_left"),
    [
        ("2026-01-10T12:00", "valid", 30),
        ("2026-02-09T23:59:59", "valid", 0),
        ("2026-02-10T00:00", "expired", 0),
    ],
)
def test_a_trial_lasts_30_days_from_being_applied_without_grace(
    order_type, now, phase, days_left
):
    found = state_at(facts(order_type=order_type), at(now))
    assert (found.phase, found.days_left, found.trial) == (phase, days_left, True)
    assert found.grace_ends_on == found.ends_on == date(2026, 2, 9)


def test_a_trial_that_ends_by_itself_earlier_ends_then():
    found = facts(order_type="eval", ends_at=at("2026-01-20T08:00"))
    assert state_at(found, at("2026-01-20T23:59")).phase == "valid"
    assert state_at(found, at("2026-01-21T00:00")).phase == "expired"


def test_a_trial_without_an_end_ends_all_the_same():
    found = facts(order_type="eval", ends_at=None)
    assert state_at(found, at("2026-02-10T00:00")).phase == "expired"


def test_a_license_that_starts_later_is_not_yet_valid_until_its_second():
    start = at("2026-06-01T08:00")
    found = facts(not_before=start)
    before = state_at(found, start - SECOND)
    assert (before.phase, before.starts_at, before.usable) == (
        "not_yet_valid",
        start,
        False,
    )
    assert before.activation == "INVALID"
    assert state_at(found, start).phase == "valid"


def test_a_license_nobody_could_check_waits_for_keys():
    found = state_at(facts(checked=False), at("2026-01-11T00:00"))
    assert (found.phase, found.provisional, found.usable) == ("waiting", False, False)
    assert found.activation == "INITIALIZE_ACTIVATION_COMPLETE"


def test_a_disconnected_server_takes_it_provisionally_for_90_days():
    found = facts(checked=False)
    until = found.applied_at + 90 * DAY
    last = state_at(found, until - SECOND, disconnected=True)
    assert (last.phase, last.provisional) == ("valid", True)
    assert last.activation == "CONFIG_REPORT_READY"
    after = state_at(found, until, disconnected=True)
    assert (after.phase, after.provisional) == ("waiting", False)


def test_the_mode_changes_nothing_for_a_license_that_was_checked():
    assert state_at(facts(), ENDS, disconnected=True) == state_at(facts(), ENDS)


def test_a_provisional_license_that_ended_has_ended():
    found = facts(checked=False, ends_at=at("2026-01-12T00:00"))
    now = at("2026-01-13T00:00")
    assert state_at(found, now, disconnected=True).phase == "grace"


def test_an_smime_license_is_shown_as_valid_without_a_check():
    found = facts(checked=False, smime=True, ends_at=None, order_type="")
    assert state_at(found, ENDS).phase == "valid"
    assert not state_at(found, ENDS).provisional


moments = st.datetimes(
    datetime(2020, 1, 1),  # noqa: DTZ001 - the zone is given beside it
    datetime(2040, 1, 1),  # noqa: DTZ001
    timezones=st.timezones(),
)
any_facts = st.builds(
    Facts,
    order_type=st.sampled_from(["paid", "eval", "trial", "", "nfr"]),
    applied_at=moments,
    checked=st.booleans(),
    not_before=st.none() | moments,
    ends_at=st.none() | moments,
    smime=st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(any_facts, st.lists(moments, min_size=2, max_size=6))
def test_phases_only_move_forward(found, times):
    phases = [ORDER.index(state_at(found, now).phase) for now in sorted(times)]
    assert phases == sorted(phases)


@settings(max_examples=150, deadline=None)
@given(any_facts, moments, st.booleans())
def test_every_state_fits_together(found, now, disconnected):
    state = state_at(found, now, disconnected=disconnected)
    assert state.usable == (state.phase in ("valid", "grace"))
    assert (state.days_left is None) or state.days_left >= 0
    assert state.warn_stage in (None, 60, 30, 7)
    assert state.warn_stage is None or state.phase == "valid"
    assert not state.provisional or disconnected
    assert not (state.trial and state.phase == "grace")
    assert (state.starts_at is not None) == (state.phase == "not_yet_valid")


@settings(max_examples=150, deadline=None)
@given(any_facts, st.lists(moments, min_size=2, max_size=6))
def test_within_a_phase_the_days_only_grow_fewer_and_warnings_sharper(found, times):
    seen = [state_at(found, now) for now in sorted(times)]
    for before, after in pairwise(seen):
        if before.phase != after.phase:
            continue
        assert (after.days_left or 0) <= (before.days_left or 0)
        if before.warn_stage:
            assert after.warn_stage
            assert after.warn_stage <= before.warn_stage


@settings(max_examples=150, deadline=None)
@given(any_facts, moments, moments, moments)
def test_a_later_end_is_never_worse(found, now, one, other):
    early, late = (replace(found, ends_at=end) for end in sorted((one, other)))
    phases = [ORDER.index(state_at(facts, now).phase) for facts in (early, late)]
    assert phases[0] >= phases[1]


@settings(max_examples=150, deadline=None)
@given(any_facts, moments, st.timezones())
def test_the_zone_of_whoever_asks_never_matters(found, now, zone):
    assert state_at(found, now.astimezone(zone)) == state_at(found, now)


@pytest.mark.parametrize("order_type", ["eval", "paid"])
def test_thirty_and_ninety_days_are_counted_in_utc_over_a_changed_clock(order_type):
    added = at("2026-10-20T04:30").astimezone(ZoneInfo("America/New_York"))
    local = facts(order_type=order_type, applied_at=added, checked=order_type == "eval")
    utc = replace(local, applied_at=added.astimezone(UTC))
    for days in (29, 30, 31, 89, 90, 91):
        for hours in (-1, 0, 1):
            now = added.astimezone(UTC) + days * DAY + timedelta(hours=hours)
            for disconnected in (True, False):
                there = state_at(local, now, disconnected=disconnected)
                assert there == state_at(utc, now, disconnected=disconnected)


# The usage report, and the clock


@pytest.mark.parametrize(
    ("accepted", "day"),
    [
        ("2026-11-23T00:00", "2027-05-22"),
        ("2026-11-23T23:59:59", "2027-05-22"),
        ("2027-09-02T12:00", "2028-02-29"),
        ("2027-09-03T12:00", "2028-03-01"),
        ("2026-09-30T12:00", "2027-03-29"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/New_York"])
def test_the_next_report_is_wanted_180_days_after_the_last_accepted(
    accepted, day, zone
):
    moment = at(accepted).astimezone(ZoneInfo(zone))
    for disconnected in (True, False):
        found = report_by(moment, ENDS, disconnected=disconnected)
        assert found == date.fromisoformat(day)


def test_a_first_disconnected_activation_has_90_days_to_report():
    added = at("2026-11-23T23:30")
    assert report_by(None, added, disconnected=True) == date(2027, 2, 21)
    assert report_by(None, added, disconnected=False) is None
    assert report_by(None, None, disconnected=True) is None


@settings(max_examples=100, deadline=None)
@given(moments, moments)
def test_a_later_acceptance_never_asks_for_an_earlier_report(one, other):
    days = [
        report_by(moment, None, disconnected=False) for moment in sorted((one, other))
    ]
    assert days == sorted(days)


def test_only_a_clock_that_ran_back_more_than_five_minutes_is_told():
    noted = [ENDS, None, ENDS - DAY]
    assert ran_back(ENDS - timedelta(minutes=5), noted) is None
    assert ran_back(ENDS - timedelta(minutes=5, seconds=1), noted) == ENDS
    assert ran_back(ENDS + DAY, noted) is None
    assert ran_back(ENDS, []) is None
