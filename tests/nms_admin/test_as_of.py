from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine

from licensing import states
from licensing.states import Facts, state_at
from nms_admin import as_of
from tests import make

pytestmark = pytest.mark.django_db
URL = "/ui/settings/license/as-of"
ENDS = date(2027, 2, 28)


def facts(**changes) -> Facts:
    given = {
        "order_type": "paid",
        "applied_at": datetime(2026, 11, 1, tzinfo=UTC),
        "checked": True,
        "not_before": None,
        "ends_at": datetime(2027, 2, 28, 9, tzinfo=UTC),
    }
    return Facts(**given | changes)


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_every_change_of_a_paid_license_has_its_day():
    state = state_at(facts(), datetime(2026, 11, 23, tzinfo=UTC))
    days = [change.day.isoformat() for change in as_of.changes(state, None)]
    assert days == [
        "2026-12-30",
        "2027-01-29",
        "2027-02-21",
        "2027-03-01",
        "2027-05-30",
    ]


def test_a_trial_has_no_grace():
    state = state_at(facts(order_type="trial"), datetime(2026, 11, 23, tzinfo=UTC))
    said = as_of.changes(state, None)
    assert said[-1].day == date(2026, 12, 2)
    assert not any("grace" in change.text for change in said)


def test_a_license_that_did_not_start_names_the_day():
    state = state_at(
        facts(not_before=datetime(2026, 12, 1, 8, tzinfo=UTC)),
        datetime(2026, 11, 23, tzinfo=UTC),
    )
    (start,) = as_of.changes(state, None)
    assert (start.day, start.text) == (date(2026, 12, 1), "The license starts.")


def test_a_report_is_due_with_two_warnings_before():
    days = [c.day.isoformat() for c in as_of.changes(states.NONE, date(2027, 5, 22))]
    assert days == ["2027-04-22", "2027-05-15", "2027-05-22"]


@pytest.mark.parametrize("offset", range(-70, 100, 3))
def test_the_state_changes_on_the_days_that_are_named(offset):
    day = ENDS + timedelta(days=offset)
    state = state_at(facts(), as_of.beginning(day))
    passed = [c.text for c in as_of.changes(state, None) if c.day <= day]
    ended = any("Events are held" in text for text in passed)
    grace = any("grace begins" in text for text in passed)
    assert state.phase == ("expired" if ended else "grace" if grace else "valid")
    warned = [text for text in passed if "warned" in text]
    if state.phase == "valid":
        assert bool(warned) == (state.warn_stage is not None)


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("2026-11-23", "through 31 Jan 2027, 69 days left"),
        ("2027-01-05", "License expires in 26 days"),
        ("2027-02-01", "in grace through 1 May 2027, 89 days left"),
        ("2027-05-02", "Ended after 1 May 2027"),
        ("2027-05-02", "Events are held until a valid license is added."),
    ],
)
def test_a_day_shows_how_everything_stands_then(now, vera, signed_in, day, said):
    with time_machine.travel(now, tick=False):
        make.license(now, days=69)
        page = signed_in(vera).get(URL, {"date": day}).content.decode()
    assert said in words(page).replace(" ,", ",")


def test_days_are_shown_in_utc_and_in_the_zone_of_who_asks(now, vera, signed_in):
    vera.time_zone = "Asia/Tokyo"
    vera.save()
    with time_machine.travel(now, tick=False):
        make.license(now, days=69)
        page = words(signed_in(vera).get(URL).content.decode())
    assert "Asia/Tokyo" in page
    assert "1 Feb 2027, 09:00" in page


@pytest.mark.parametrize(
    "text", ["tomorrow", "2027-02-30", "1999-01-01", "9999-12-31", "2027-13-01", "\0"]
)
def test_a_day_that_cannot_be_shown_is_refused_with_what_can(vera, signed_in, text):
    answer = signed_in(vera).get(URL, {"date": text})
    assert answer.status_code == 422
    assert "Today is shown instead" in answer.content.decode()


def test_the_license_page_leads_there(now, vera, signed_in):
    make.license(now)
    page = signed_in(vera).get("/ui/settings/license").content.decode()
    assert f'href="{URL}"' in page


def test_without_a_license_it_says_so(vera, signed_in):
    page = words(signed_in(vera).get(URL).content.decode())
    assert "License None" in page
    assert "Events are held on this server until a license is added." in page
    assert "no day is named by a license or a report" in page
