"""How usage is counted: a table of cases, and what holds for any."""

from __future__ import annotations

import doctest
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usage import counting
from usage.counting import GB, HOUR, ClusterDay, Hour, Period, daily_totals, hours

DAY = date(2026, 11, 23)
NEXT = date(2026, 11, 24)
MIDNIGHT = counting.start_of(DAY)


def at(clock: str) -> int:
    """``"10:30"`` on the day, in seconds; hours from 24 on are the day after."""
    hour, minute = map(int, clock.split(":"))
    return MIDNIGHT + hour * HOUR + minute * 60


def said(
    who: int, span: str, size: int = 0, waf: bool = False, requests: int = 0
) -> Period:
    """``said(1, "10:00-11:00")``: what reporter 1 said of an hour."""
    since, until = map(at, span.split("-"))
    return Period(who, since, until, waf, requests, size)


def total(periods: list[Period], feature: str, day: date = DAY) -> int:
    return daily_totals(hours(periods, DAY, NEXT), []).get((day, feature), 0)


@pytest.mark.parametrize(
    ("periods", "instances"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([said(1, "10:00-11:00")], 1, id="one hour"),
        pytest.param([said(1, "0:00-24:00")], 1, id="all day in one report"),
        pytest.param(
            [said(1, f"{h}:00-{h + 1}:00") for h in range(24)], 1, id="hourly, all day"
        ),
        pytest.param([said(1, "10:00-11:00")] * 3, 1, id="sent three times"),
        pytest.param(
            [said(1, "10:00-10:10"), said(1, "10:12-10:40"), said(1, "10:41-11:00")],
            1,
            id="restarted twice within the hour",
        ),
        pytest.param(
            [said(1, "10:00-11:00"), said(2, "10:00-11:00")], 2, id="two at once"
        ),
        pytest.param(
            [said(1, "10:00-11:00"), said(2, "11:00-12:00")],
            1,
            id="one after the other: an hour ends before the next begins",
        ),
        pytest.param(
            [said(1, "10:00-10:20"), said(2, "10:40-11:00")],
            2,
            id="replaced within an hour: both were in use in it",
        ),
        pytest.param(
            [said(1, "10:20-11:20"), said(2, "11:30-12:30")],
            2,
            id="both touch the hour from 11",
        ),
        pytest.param(
            [said(2, "11:00-12:00"), said(1, "10:00-11:00"), said(3, "11:00-12:00")],
            2,
            id="out of order",
        ),
        pytest.param([said(1, "23:30-24:30")], 1, id="across midnight: the day before"),
        pytest.param([said(1, "24:00-25:00")], 0, id="after midnight: another day"),
        pytest.param(
            [Period(1, MIDNIGHT - HOUR, MIDNIGHT, False, 0, 0)],
            0,
            id="ended at midnight",
        ),
        pytest.param(
            [Period(1, MIDNIGHT - HOUR, MIDNIGHT + 1, False, 0, 0)],
            1,
            id="one second into the day",
        ),
        pytest.param(
            [
                Period(1, at("10:59"), at("11:00") + 1, False, 0, 0),
                said(2, "11:30-11:40"),
            ],
            2,
            id="one second into the hour",
        ),
    ],
)
def test_instances_are_those_of_the_highest_hour(periods, instances):
    assert total(periods, "NGINX_INSTANCES") == instances


def test_a_period_across_midnight_counts_on_both_days():
    crossing = [said(1, "23:30-24:30")]
    assert total(crossing, "NGINX_INSTANCES", NEXT) == 1


def test_the_day_on_which_clocks_change_has_24_hours_too():
    spring = date(2026, 3, 29)
    start = counting.start_of(spring)
    every = [
        Period(1, start + h * HOUR, start + (h + 1) * HOUR, False, 1, 1)
        for h in range(24)
    ]
    assert len(hours(every, spring, spring)) == 24


@pytest.mark.parametrize(
    ("periods", "gigabytes"),
    [
        pytest.param([said(1, "10:00-11:00", 1)], 1, id="one byte is a gigabyte begun"),
        pytest.param([said(1, "10:00-11:00", GB)], 1, id="exactly one"),
        pytest.param([said(1, "10:00-11:00", GB + 1)], 2, id="one byte more"),
        pytest.param([said(1, "10:00-12:00", 4 * GB)], 2, id="spread over two hours"),
        pytest.param(
            [said(1, "10:30-11:30", 4 * GB)], 2, id="spread over halves of two hours"
        ),
        pytest.param(
            [said(1, "10:00-11:00", 3 * GB), said(2, "10:00-11:00", 2 * GB)],
            5,
            id="of all instances together",
        ),
        pytest.param(
            [said(1, "10:00-11:00", 3 * GB), said(2, "11:00-12:00", 2 * GB)],
            3,
            id="the highest hour, not the sum",
        ),
        pytest.param([said(1, "10:00-11:00", 3 * GB)] * 2, 3, id="sent twice"),
        pytest.param(
            [said(1, "10:00-10:30", 2 * GB), said(1, "10:00-11:00", 3 * GB)],
            3,
            id="the same start again, later: the longer holds the shorter",
        ),
        pytest.param(
            [said(1, "10:00-11:00", 3 * GB), said(1, "10:15-10:45", 2 * GB)],
            3,
            id="within another",
        ),
        pytest.param(
            [said(1, "10:00-10:40", 4 * GB), said(1, "10:20-11:00", 4 * GB)],
            6,
            id="halves that overlap: the shared half counts once",
        ),
        pytest.param(
            [said(1, "10:00-10:30", 2 * GB), said(1, "10:30-11:00", 1 * GB)],
            3,
            id="restarted: the second begins at zero again",
        ),
        pytest.param(
            [said(1, "10:00-11:00", 2 * GB), said(1, "10:00-11:00")],
            2,
            id="a sighting without counts takes nothing away",
        ),
    ],
)
def test_data_per_hour_is_that_of_the_highest_hour(periods, gigabytes):
    assert total(periods, "DATA_PER_HOUR_GB") == gigabytes


def test_the_waf_counts_where_it_was_active():
    periods = [said(1, "10:00-11:00", waf=True), said(2, "10:00-11:00")]
    assert total(periods, "NGINX_NAP") == 1
    assert total(periods, "NGINX_INSTANCES") == 2


def test_the_pods_of_clusters_are_added_up():
    clusters = [ClusterDay(DAY, 12, 4, 1, 3), ClusterDay(DAY, 5, 0, 2, 2)]
    found = daily_totals(hours([said(1, "10:00-11:00", waf=True)], DAY, DAY), clusters)
    assert found == {
        (DAY, "NGINX_INSTANCES"): 1,
        (DAY, "NGINX_NAP"): 5,
        (DAY, "NGINX_NAP_DOS"): 3,
        (DAY, "IC_PODS"): 17,
        (DAY, "IC_K8S_NODES"): 5,
    }


def test_the_example_of_the_documentation_holds():
    told = [
        said(1, "8:00-9:00"),
        said(1, "9:00-10:00"),
        said(2, "8:10-8:50"),
        said(2, "8:55-9:00"),
        said(3, "9:30-10:30", 4 * GB),
        said(3, "9:30-10:30", 4 * GB),
    ]
    assert daily_totals(hours(told, DAY, DAY), []) == {
        (DAY, "NGINX_INSTANCES"): 2,
        (DAY, "DATA_PER_HOUR_GB"): 2,
    }


def test_what_lies_outside_the_days_is_ignored():
    far = [said(1, "10:00-11:00", GB), Period(2, 0, HOUR, True, 9, 9)]
    assert hours(far, NEXT, NEXT) == {}


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(counting).failed == 0


@st.composite
def reported(draw) -> Period:
    since = MIDNIGHT + draw(st.integers(-2 * HOUR, 26 * HOUR))
    return Period(
        reporter=draw(st.integers(1, 4)),
        since=since,
        until=since + draw(st.integers(1, 5 * HOUR)),
        waf=draw(st.booleans()),
        requests=draw(st.integers(0, 1000)),
        bytes=draw(st.integers(0, 3 * GB)),
    )


def found(periods: list[Period]) -> dict[int, Hour]:
    return hours(periods, DAY, DAY)


@given(st.lists(reported(), max_size=12), st.randoms())
def test_the_order_of_arrival_does_not_matter(periods, dice):
    shuffled = dice.sample(periods, len(periods))
    assert found(shuffled) == found(periods)


@given(st.lists(reported(), min_size=1, max_size=8), st.integers(0, 7))
def test_a_duplicate_changes_nothing(periods, which):
    again = [*periods, periods[which % len(periods)]]
    assert found(again) == found(periods)


@given(st.lists(reported(), max_size=12))
def test_never_more_is_counted_than_was_reported(periods):
    counted = found(periods)
    reporters = {one.reporter for one in periods}
    totals = daily_totals(counted, [])
    assert totals.get((DAY, "NGINX_INSTANCES"), 0) <= len(reporters)
    assert sum(h.bytes for h in counted.values()) <= sum(p.bytes for p in periods)


@given(st.lists(reported(), max_size=12))
def test_days_counted_together_or_one_by_one_are_the_same(periods):
    both = hours(periods, DAY, NEXT)
    assert both == found(periods) | hours(periods, NEXT, NEXT)


@given(st.integers(0, 10**6), st.integers(1, 20 * HOUR), st.integers(0, 3 * HOUR))
def test_spreading_loses_no_request(requests, length, late):
    since = MIDNIGHT + late
    spread = found([Period(1, since, since + length, False, requests, 0)])
    assert sum(hour.requests for hour in spread.values()) == requests
