"""Days of use and a limit -> the day the limit is reached at this pace. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta

DAYS, LEAST, AHEAD = 30, 14, 365


def full_on(
    counts: Mapping[date, int], used: int, limit: int | None, today: date
) -> date | None:
    """Return the day on which the limit is reached at the pace of the last 30 days.

    The pace is the slope of a straight line through the ended days with use (least
    squares); it goes on from what is in use now.

    Args:
        counts: The use of each day; a day without use may be left out.
        used: What is in use now.
        limit: What is allowed; None without a limit.
        today: The UTC day of now, which has not ended and does not count.

    Returns:
        A day after today and within a year. None when use does not grow, when fewer
        than 14 days had any, without a limit, and when it is reached already.

    Example:
        >>> days = {date(2026, 11, n): 10 + n for n in range(1, 21)}
        >>> full_on(days, 30, 60, date(2026, 11, 21))
        datetime.date(2026, 12, 21)
    """
    ended = {(day - today).days: n for day, n in counts.items() if n > 0}
    past = {at: n for at, n in ended.items() if -DAYS <= at < 0}
    if limit is None or used >= limit or len(past) < LEAST:
        return None
    middle, mean = sum(past) / len(past), sum(past.values()) / len(past)
    slope = sum((at - middle) * (n - mean) for at, n in past.items()) / sum(
        (at - middle) ** 2 for at in past
    )
    left = (limit - used) / slope if slope > 0 else math.inf
    return today + timedelta(days=math.ceil(left)) if left <= AHEAD else None
