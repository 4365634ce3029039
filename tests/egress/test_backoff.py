from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egress import backoff

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("failures", "longest"),
    [(1, 5), (2, 10), (5, 80), (10, 2560), (11, 3600), (99, 3600)],
)
def test_the_wait_doubles_up_to_an_hour_less_up_to_a_quarter(failures, longest) -> None:
    for _ in range(50):
        seconds = backoff.wait(failures).total_seconds()
        assert 0.75 * longest <= seconds <= longest


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("1", 1),
        (" 120 ", 120),
        ("315360000", 86_400),
        ("99999999999999999999", 86_400),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300),
        (format_datetime(NOW + timedelta(days=3650), usegmt=True), 86_400),
    ],
)
def test_what_a_receiver_asks_for_is_honoured_up_to_a_day(asked, seconds) -> None:
    assert backoff.retry_after(asked, NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "asked",
    ["", "0", "-5", "soon", "1.5", "٣", format_datetime(NOW - timedelta(days=1))],
)
def test_what_cannot_be_meant_counts_as_not_asked(asked) -> None:
    assert backoff.retry_after(asked, NOW) is None


@given(st.text(max_size=60))
def test_no_text_at_all_makes_it_fail_or_wait_longer_than_a_day(asked) -> None:
    wait = backoff.retry_after(asked, NOW)
    assert wait is None or timedelta() < wait <= timedelta(days=1)
