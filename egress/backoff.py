"""How long to wait before a host is called again: pure."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

FIRST = timedelta(seconds=5)
LONGEST = timedelta(hours=1)
LONGEST_ASKED = timedelta(hours=24)
TOO_FAR = LONGEST_ASKED + timedelta(hours=1)  # ahead: written by a clock that was wrong


def wait(failures: int) -> timedelta:
    """Return how long to wait after the given number of failures in a row.

    The doubling time from 5 seconds to one hour, less up to a quarter at random.

    Args:
        failures: At least 1.

    Source:
        decision 11: uniform(0.75, 1) x min(1 h, 5 s x 2^n)
    """
    longest = min(LONGEST, FIRST * (1 << min(failures - 1, 20)))
    return longest * random.uniform(0.75, 1)


def retry_after(text: str, now: datetime) -> timedelta | None:
    """Return how long an answer's ``Retry-After`` asks to wait, at most 24 hours.

    Args:
        text: The header as it came: seconds or a date; anything else counts as absent.
        now: When the answer came.

    Returns:
        More than zero, or None when nothing usable is asked.

    Example:
        >>> at = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
        >>> retry_after("120", at)
        datetime.timedelta(seconds=120)
        >>> retry_after("Mon, 23 Nov 2026 12:01:00 GMT", at)
        datetime.timedelta(seconds=60)
        >>> retry_after("315360000", at)
        datetime.timedelta(days=1)
        >>> retry_after("soon", at), retry_after("-5", at)
        (None, None)
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        asked = timedelta(seconds=min(int(text[:9]), 86_400))
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, IndexError, OverflowError):
            return None
        asked = moment.replace(tzinfo=moment.tzinfo or UTC) - now
    return min(asked, LONGEST_ASKED) if asked > timedelta() else None
