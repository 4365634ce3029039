"""Moments, sizes and identifiers read the same everywhere."""

from __future__ import annotations

import doctest
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
import time_machine
from django.template import engines

from common.templatetags import nms

MORNING = datetime(2026, 11, 23, 6, 31, 7, tzinfo=UTC)


def render(source: str, **context: object) -> str:
    return str(engines["django"].from_string(source).render(context))


def test_a_moment_is_shown_in_utc_with_its_zone() -> None:
    berlin = MORNING.astimezone(timezone(timedelta(hours=1)))
    assert nms.utc(berlin) == (
        '<time datetime="2026-11-23T06:31:07Z">23 Nov 2026, 06:31 UTC</time>'
    )


def test_a_day_is_the_utc_day() -> None:
    late = datetime(2026, 11, 3, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    assert "4 Nov 2026" in nms.utc_day(late)
    assert nms.utc_day(date(2026, 11, 3)) == (
        '<time datetime="2026-11-03">3 Nov 2026</time>'
    )


def test_a_time_carries_the_whole_moment_in_its_title() -> None:
    assert 'title="23 Nov 2026"' in nms.utc_time(MORNING)
    assert "06:31 UTC" in nms.utc_time(MORNING)


@pytest.mark.parametrize("show", [nms.utc, nms.utc_day, nms.utc_time, nms.ago])
def test_nothing_is_shown_for_no_moment(show) -> None:
    assert show(None) == ""


@pytest.mark.parametrize(
    ("away", "words"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(minutes=6), "6 min ago"),
        (timedelta(hours=18), "18 h ago"),
        (timedelta(days=3), "3 days ago"),
        (-timedelta(minutes=12), "in 12 min"),
    ],
)
def test_distance_from_now_is_one_unit(away: timedelta, words: str) -> None:
    with time_machine.travel(MORNING, tick=False):
        assert f">{words}</time>" in nms.ago(MORNING - away)


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (date(2027, 10, 1), "312 days left"),
        (date(2026, 11, 24), "1 day left"),
        (date(2026, 11, 23), "ends today"),
        (date(2026, 11, 20), "ended 3 days ago"),
    ],
)
def test_days_that_are_left_are_counted(day: date, words: str) -> None:
    with time_machine.travel(MORNING, tick=False):
        assert nms.days_left(day) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (283, "283 bytes"),
        (1945, "1.9 KB"),
        (31 * 1024, "31 KB"),
        (64 * 1024, "64 KB"),
        (1024 * 1024 - 1, "1 MB"),
        (10 * 1024 * 1024, "10 MB"),
        (3 * 1024**4, "3 TB"),
    ],
)
def test_sizes_have_a_unit(size: int, words: str) -> None:
    assert nms.byte_size(size) == words


def test_a_moment_that_passed_is_never_announced() -> None:
    with time_machine.travel(datetime(2026, 11, 23, 22, 33, tzinfo=UTC), tick=False):
        passed = nms.next_try(datetime(2026, 11, 23, 22, 32, tzinfo=UTC))
        to_come = nms.next_try(datetime(2026, 11, 23, 22, 34, tzinfo=UTC), "time")
    assert passed == "now"
    assert to_come.startswith("at <time ")
    assert "22:34 UTC" in to_come


def test_an_identifier_is_short_and_whole_in_its_title() -> None:
    assert nms.short_id("2214e480-3401-43a3") == (
        '<code title="2214e480-3401-43a3">2214e480</code>'
    )
    assert nms.short_id(None) == ""


def test_identifiers_and_icons_are_escaped() -> None:
    assert "<b>" not in nms.short_id("<b>bold</b>")
    assert "<b>" not in nms.icon('x"><b>')


def test_thousands_are_parted() -> None:
    assert nms.number(1204) == "1\u202f204"


def test_an_icon_is_hidden_from_screen_readers() -> None:
    drawn = render('{% icon "check" size="sm" class="n-good" %}')
    assert 'class="n-ic n-ic-sm n-good"' in drawn
    assert 'aria-hidden="true"' in drawn
    assert "build/icons.svg#check" in drawn


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(nms).failed == 0
