"""When an entitlement is full at the pace of the last 30 days."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from licensing.models import Entitlement
from tests import make
from tests.usage.conftest import used
from usage import days
from usage.forecast import AHEAD, full_on

TODAY = date(2026, 11, 23)
DAY = timedelta(days=1)


def past(*counts: int) -> dict[date, int]:
    """Return counts of the days before today, the last one yesterday."""
    return {TODAY - DAY * (len(counts) - at): n for at, n in enumerate(counts)}


@pytest.mark.parametrize(
    ("counts", "used_now", "limit", "left"),
    [
        (range(10, 30), 30, 40, 10),  # one more each day
        (range(10, 50, 2), 50, 61, 6),  # two more each day: the sixth is past it
        ([1000, *range(10, 40)], 40, 50, 10),  # what is longer ago does not count
        ([10] * 20, 10, 40, None),  # no growth
        (range(40, 20, -1), 20, 60, None),  # less each day
        (range(10, 23), 23, 40, None),  # 13 days say too little
        (range(10, 24), 24, 40, 16),  # 14 days do
        (range(10, 30), 40, 40, None),  # it is full
        (range(10, 30), 41, 40, None),
        (range(10, 30), 30, None, None),  # no limit
        (range(10, 30), 30, 30 + AHEAD, AHEAD),
        (range(10, 30), 30, 31 + AHEAD, None),  # further than a year is a guess
        ([0] * 20, 0, 40, None),
    ],
)
def test_the_day_an_entitlement_is_full(counts, used_now, limit, left):
    expected = None if left is None else TODAY + DAY * left
    assert full_on(past(*counts), used_now, limit, TODAY) == expected


def test_the_day_that_has_not_ended_does_not_count():
    counts = past(*range(10, 30))
    assert full_on(counts | {TODAY: 1}, 30, 40, TODAY) == TODAY + 10 * DAY


@given(
    st.lists(st.integers(0, 10**9), max_size=40),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
)
def test_whatever_was_used_the_day_lies_within_a_year_from_tomorrow(counts, now, limit):
    found = full_on(past(*counts), now, limit, TODAY)
    assert found is None or TODAY < found <= TODAY + AHEAD * DAY
    less = full_on(past(*counts), now, max(now + 1, limit // 2), TODAY)
    if found and limit // 2 > now:
        assert less
        assert less <= found


@pytest.mark.django_db
def test_the_license_page_says_when_an_entitlement_is_full(
    signed_in, ada, now: datetime
):
    with time_machine.travel(now, tick=False):
        found = make.license(now)
        for name, limit in (("NGINX_INSTANCES", 30), ("NGINX_NAP", 4)):
            Entitlement.objects.create(license=found, feature=name, limit=limit)
        for at in range(20, 0, -1):
            used(now.date() - DAY * at, 21 - at, at=now - DAY * at)
        days.write_down(now)
        page = signed_in(ada).get("/ui/settings/license").content.decode()
    shown = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert shown.count("At the pace of the last 30 days it reaches the limit on") == 1
    full = now.date() + DAY * 10
    assert f"it reaches the limit on {full:%-d %b %Y}" in shown
