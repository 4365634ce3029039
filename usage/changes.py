"""What no report has said yet: new days, and days that were counted anew."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db.models import Exists, Max, OuterRef, Q

from usage import services
from usage.days import SLACK, spans
from usage.document import Count, Instance
from usage.models import Report, Reporter, Schedule, Total

DAY = timedelta(days=1)
EDGE = 2  # days at the end of retention whose periods may be deleted already


@dataclass(frozen=True)
class Changes:
    """The records of the next report.

    ``after`` is the number of the last report that was built, ``beside`` that of the
    last one that was not refused: what was found holds while both are the same.
    """

    counts: list[Count]
    instances: list[Instance]
    after: int
    beside: int


def since_last_report(now: datetime, last: date) -> Changes:
    """Return what differs from what reports said, up to and with the day ``last``.

    Only days that something arrived for since the last report are counted again, and
    those it was accepted without. A report that was refused said nothing.
    """
    numbers = last_numbers()  # first: a report built meanwhile is noticed
    newest = Report.objects.filter(dead_at=None).first()
    counts: list[Count] = []
    for first, end in spans(_touched(newest, now, last)):
        counts += _differences(first, end)
    detailed = settings.NMS_USAGE_DETAIL == "instances"
    days = sorted({one.day for one in counts}) if detailed else []
    return Changes(
        counts,
        [seen for day in days for seen in _instances(day)],
        *numbers,
    )


def last_numbers() -> tuple[int, int]:
    """Return the numbers of the last report built and the last one not refused."""
    living = Q(dead_at=None)
    found = Report.objects.aggregate(
        built=Max("sequence"), said=Max("sequence", filter=living)
    )
    return found["built"] or 0, found["said"] or 0


def _touched(newest: Report | None, now: datetime, last: date) -> list[date]:
    """Return the days that may have changed since a report was built."""
    today = now.astimezone(UTC).date()
    earliest = today - timedelta(days=settings.NMS_RETENTION_DAYS - EDGE)
    begins_on = Schedule.objects.values_list("begins_on", flat=True).first()
    earliest = max(earliest, begins_on or earliest)
    since = newest.built_at - SLACK if newest else None
    days = set(services.days_with_usage(since))
    if since:  # the last report may have said half of these
        first = since.astimezone(UTC).date()
        days.update(first + DAY * at for at in range((last - first).days + 1))
    days.update(_left_out())
    return [day for day in days if earliest <= day <= last]


def _left_out() -> set[date]:
    """Return the days the vendor did not accept and no later report said again."""
    said = Total.objects.filter(report__dead_at=None)
    again = said.filter(
        day=OuterRef("day"),
        feature=OuterRef("feature"),
        left_out=False,
        report__sequence__gt=OuterRef("report__sequence"),
    )
    open_days = said.filter(left_out=True).exclude(Exists(again))
    return set(open_days.values_list("day", flat=True))


def _differences(first: date, last: date) -> list[Count]:
    """Return the counts of some days that are not what was said of them last."""
    counted = services.totals(first, last)
    days = (first, last)
    rows = Total.objects.filter(report__dead_at=None, left_out=False, day__range=days)
    said = {
        (day, feature): (count, report)
        for day, feature, count, report in rows.order_by(
            "report__sequence"
        ).values_list("day", "feature", "count", "report_id")
    }
    found = []
    for day, feature in counted.keys() | said.keys():
        number = counted.get((day, feature), 0)
        before, report = said.get((day, feature), (0, None))
        if number != before:
            found.append(Count(day, feature, number, str(report) if report else ""))
    return sorted(found, key=lambda one: (one.day, one.feature))


def _instances(day: date) -> list[Instance]:
    """Return in how many hours of a day each instance was in use; no names."""
    hours: Counter[int] = Counter()
    protected: set[int] = set()
    for hour in services.hours(day, day).values():
        hours.update(hour.reporters)
        protected |= hour.waf
    rows = Reporter.objects.filter(pk__in=hours).values_list("pk", "uuid")
    return [
        Instance(day, uuid, hours[number], number in protected) for number, uuid in rows
    ]
