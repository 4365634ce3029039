"""Days that have ended, counted once and written down; the rest is counted anew.

A page that shows a month of a large fleet would count hundreds of thousands of periods
each time. What is written down is never older than what arrived: a day something came
in for since then is counted anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from usage import counting, services
from usage.models import CountedDay, Schedule

DAY = timedelta(days=1)
SLACK = timedelta(hours=1)  # what was being stored while days were counted
AT_ONCE = 31  # days counted in one go


@dataclass(frozen=True)
class Day:
    """What was in use on one UTC day, per feature, and all its traffic."""

    counts: dict[str, int]
    requests: int
    bytes: int


def between(first: date, last: date) -> dict[date, Day]:
    """Return every UTC day of ``[first, last]``, in order."""
    changed = _changed()
    found = {
        one.day: Day(one.counts, one.requests, one.bytes)
        for one in CountedDay.objects.filter(day__range=(first, last))
        if changed is not None and one.day not in changed
    }
    days = [first + DAY * at for at in range((last - first).days + 1)]
    for begin, end in spans(day for day in days if day not in found):
        found |= _count(begin, end)
    return {day: found[day] for day in days}


def totals(days: Mapping[date, Day]) -> dict[tuple[date, str], int]:
    """Return what ``services.totals`` says, of days that are at hand."""
    return {
        (day, feature): count
        for day, one in days.items()
        for feature, count in one.counts.items()
    }


def written(first: date, last: date) -> dict[tuple[date, str], int]:
    """Return the totals of the days that are written down; one query, nothing counted."""
    rows = CountedDay.objects.filter(day__range=(first, last))
    return {
        (day, feature): count
        for day, counts in rows.values_list("day", "counts")
        for feature, count in counts.items()
    }


def write_down(now: datetime) -> int:
    """Count the ended days that are not written down, or that changed since.

    Returns:
        How many days were counted.
    """
    today, changed = now.astimezone(UTC).date(), _changed()
    reported = set(services.days_with_usage())
    known = set(CountedDay.objects.values_list("day", flat=True))
    missing = {day for day in (reported - known) | (changed or set()) if day < today}
    for begin, end in spans(missing):
        for day, one in _count(begin, end).items():
            CountedDay.objects.update_or_create(
                day=day,
                defaults={
                    "counts": one.counts,
                    "requests": one.requests,
                    "bytes": one.bytes,
                },
            )
    Schedule.objects.update_or_create(pk=1, defaults={"counted_at": now})
    return len(missing)


def spans(days: Iterable[date]) -> list[tuple[date, date]]:
    """Return runs of days without gaps, none longer than ``AT_ONCE``.

    Example:
        >>> spans([date(2026, 1, 4), date(2026, 1, 1), date(2026, 1, 2)])[0]
        (datetime.date(2026, 1, 1), datetime.date(2026, 1, 2))
    """
    found: list[tuple[date, date]] = []
    for day in sorted(days):
        if found and day == found[-1][1] + DAY and day - found[-1][0] < DAY * AT_ONCE:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def _changed() -> set[date] | None:
    """Return the days of which something arrived since the last count; None before it."""
    at = Schedule.objects.values_list("counted_at", flat=True).first()
    return set(services.days_with_usage(at - SLACK)) if at else None


def _count(first: date, last: date) -> dict[date, Day]:
    hours = services.hours(first, last)
    counts: defaultdict[date, dict[str, int]] = defaultdict(dict)
    for (day, feature), count in services.daily(hours, first, last).items():
        counts[day][feature] = count
    traffic: defaultdict[date, list[int]] = defaultdict(lambda: [0, 0])
    for number, hour in hours.items():
        sums = traffic[counting.day_of(number)]
        sums[0] += hour.requests
        sums[1] += hour.bytes
    days = [first + DAY * at for at in range((last - first).days + 1)]
    return {day: Day(counts[day], *traffic[day]) for day in days}
