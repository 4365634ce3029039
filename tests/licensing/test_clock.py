"""A clock that runs back is told and locks nothing; the day a report is wanted by."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine

from common import setup
from licensing import services
from tests import make

pytestmark = pytest.mark.django_db
PAGE = "/ui/settings/license"
DAY = timedelta(days=1)


@pytest.fixture
def read(signed_in, ada):
    """Return a function that reads the License page as ada at a moment."""

    def text(now, path: str = PAGE) -> str:
        with time_machine.travel(now, tick=False):
            page = signed_in(ada).get(path).content.decode()
        return " ".join(re.sub("<[^>]+>", "", page).split())

    return text


@pytest.mark.parametrize("back", [DAY, 400 * DAY])
def test_a_clock_that_runs_back_is_told_and_locks_nothing(read, now, back):
    make.license(now)
    then = now - back
    shown = read(then)
    assert "The clock of this server ran back" in shown
    assert "this license was used at 23 Nov 2026, 12:00 UTC already" in shown
    assert "The clock of this server ran back" in read(then, "/ui/")
    assert "Terminate" in shown
    assert services.state(then).usable
    assert services.delivery_terms(then).hold is None


def test_a_clock_some_seconds_behind_is_not_worth_a_word(read, now):
    make.license(now)
    assert "ran back" not in read(now - timedelta(seconds=290))


def test_an_ended_license_is_not_valid_again_in_silence(read, now):
    make.license(now - 200 * DAY, days=50)
    assert services.state(now).phase == "expired"
    assert "ran back" in read(now - 201 * DAY)


def test_a_disconnected_license_names_the_day_of_its_first_report(read, now):
    row = setup.current()
    row.operation_mode = "disconnected"
    row.save()
    make.license(now)
    make.license(now + DAY, jti="another")
    assert "Report by21 Feb 202790 days after the license was added" in read(now + DAY)
