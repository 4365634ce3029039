"""How much is in use: per day, now, and on which days something was reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db.models import F

from usage import counting
from usage.models import ClusterDay, Period

DAY = timedelta(days=1)
_DAY = 24 * counting.HOUR


@dataclass(frozen=True)
class InUse:
    """How much of one feature is in use, and the UTC day it is from."""

    count: int
    day: date


def totals(first: date, last: date) -> dict[tuple[date, str], int]:
    """Return ``{(day, feature): count}`` of the UTC days ``[first, last]``.

    What was not in use on a day is left out. Two queries, whatever the days hold.
    """
    return daily(hours(first, last), first, last)


def daily(
    in_hours: Mapping[int, counting.Hour], first: date, last: date
) -> dict[tuple[date, str], int]:
    """Return the totals of days whose hours are known, with their clusters."""
    rows = ClusterDay.objects.filter(day__range=(first, last))
    clusters = rows.values_list("day", "pods", "waf", "dos", "nodes")
    return counting.daily_totals(in_hours, map(counting.ClusterDay._make, clusters))


def hours(first: date, last: date) -> dict[int, counting.Hour]:
    """Return what was in use in each hour of ``[first, last]``."""
    begin, end = counting.start_of(first), counting.start_of(last) + _DAY
    rows = Period.objects.filter(until__gt=begin, since__lt=end).values_list(
        "reporter_id", "since", "until", "waf", "requests", "bytes"
    )
    return counting.hours(map(counting.Period._make, rows.iterator(5000)), first, last)


def days_with_usage(received_after: datetime | None = None) -> list[date]:
    """Return the UTC days of which something was reported, in order.

    Args:
        received_after: Only days of which something arrived after this moment; a
            report of a period long ago that came late is among them.
    """
    periods, clusters = Period.objects.all(), ClusterDay.objects.all()
    if received_after:
        periods = periods.filter(received_at__gt=received_after)
        clusters = clusters.filter(day__gte=received_after.astimezone(UTC).date())
    spans = periods.values_list(F("since") / _DAY, (F("until") - 1) / _DAY).distinct()
    found = {
        counting.day_of(24 * number)
        for first, last in spans
        for number in range(first, last + 1)
    }
    return sorted(found | set(clusters.values_list("day", flat=True)))


def in_use(
    now: datetime, counted: Mapping[tuple[date, str], int] | None = None
) -> dict[str, InUse]:
    """Return what is in use per feature: the higher of today and yesterday (UTC).

    Today alone would say too little in its first hours. What is not in use, or not
    counted here (``counting.FEATURES``), is left out.

    Args:
        now: The moment.
        counted: Totals that hold both days, when they are at hand.
    """
    today = now.astimezone(UTC).date()
    found: dict[str, InUse] = {}
    counts = totals(today - DAY, today) if counted is None else counted
    for (day, feature), count in sorted(counts.items()):
        best = found.get(feature)
        if day >= today - DAY and (best is None or count >= best.count):
            found[feature] = InUse(count, day)
    return found
