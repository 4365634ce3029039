"""What the Telemetry page shows: the ledger, counts per day and per data point."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import Count, Max, Q, QuerySet, Sum
from django.db.models.functions import TruncDate

from egress.models import Attempt
from telemetry import catalog, outbox
from telemetry.delivery import DESTINATION
from telemetry.models import Batch, DailyCount, Event

PAGE = 20
STATUSES = {
    "held": ("Held", "held"),
    "pending": ("Pending", "info"),
    "retrying": ("Trying again", "warn"),
    "accepted": ("Accepted", "ok"),
    "refused": ("Refused", "bad"),
    "discarded": ("Discarded", ""),
    "split": ("Sent as two", ""),
}
Tally = list[tuple[str, str, date, int]]  # state, data point, day, number
TIMES = "\u00a0×\u00a0"  # stays in the line of what it counts
LABELS = {point.name: point.label for point in catalog.POINTS}


@dataclass(frozen=True)
class Row:
    """One line of the ledger: a batch, or an event that is not sealed yet."""

    at: datetime
    what: str
    status: str
    batch: Batch | None = None
    tried: Attempt | None = None

    @property
    def key(self) -> str:
        """Return the batch's id as text; empty for an event not sealed yet."""
        return str(self.batch.pk) if self.batch else ""

    @property
    def result(self) -> str:
        """Return the receipt's beginning, or what stands in for it, in few words."""
        batch = self.batch
        if batch is None or self.status == "pending":
            return "None yet"
        if batch.acknowledged_at:
            return batch.receipt[:8] or "No receipt given"
        if self.status == "retrying":
            code = (self.tried.status or self.tried.cause) if self.tried else "Crash"
            return f"{code}, next {batch.due_at.astimezone(UTC):%H:%M}"
        return batch.dead_reason or batch.discarded_reason or "In two parts"

    @property
    def label(self) -> str:
        """Return the status in words."""
        return STATUSES[self.status][0]

    @property
    def kind(self) -> str:
        """Return the kind of pill that shows the status."""
        return STATUSES[self.status][1]


@dataclass(frozen=True)
class Filters:
    """What somebody looks for; empty members do not filter.

    ``after`` is the cursor of the last row seen, as ``cursor`` gave it.
    """

    search: str = ""
    status: str = ""
    point: str = ""
    after: str = ""

    @property
    def any(self) -> bool:
        """Return whether anything is looked for."""
        return bool(self.search or self.status or self.point)


def batches(filters: Filters) -> QuerySet[Batch]:
    """Return the batches that match, newest first, without their bodies."""
    found = Batch.objects.order_by("-sealed_at", "-id").defer("body", "receipt_body")
    if filters.search:
        found = found.filter(_identified_by(filters.search.strip()))
    if filters.point:
        found = found.filter(points__contains=f" {filters.point} ")
    if filters.status:
        found = found.filter(_in_status(filters.status))
    if filters.after:
        found = found.filter(_older_than(filters.after))
    return found


def rows(filters: Filters, *, held: bool, limit: int = PAGE) -> tuple[list[Row], str]:
    """Return one page of the ledger, newest first, and the cursor of the next one.

    Events that are not sealed yet stand before the batches, on the first page only.

    Args:
        held: Whether unsealed events are held rather than pending.

    Returns:
        The rows, and ``""`` when there are no older ones.
    """
    found = list(batches(filters)[: limit + 1])
    tried = _last_tries(found[:limit])
    lines = [row_of(batch, tried.get(str(batch.pk))) for batch in found[:limit]]
    older = cursor(found[limit - 1]) if len(found) > limit else ""
    return [*_unsealed(filters, held=held, limit=limit), *lines], older


def row_of(batch: Batch, tried: Attempt | None) -> Row:
    """Return a batch's line; ``tried`` is its last try."""
    return Row(batch.sealed_at, describe(batch), status_of(batch), batch, tried)


def status_of(batch: Batch) -> str:
    """Return the key of ``STATUSES`` that tells how far a batch is."""
    if batch.acknowledged_at:
        return "accepted"
    if batch.discarded_at:
        return "discarded"
    if batch.split_at:
        return "split"
    if batch.dead_at:
        return "refused"
    return "retrying" if batch.attempts or batch.crashes else "pending"


def describe(batch: Batch) -> str:
    """Return what is in a batch: ``Login x 3, Start of a process``."""
    counter: Counter[str] = Counter()
    for point, _, number in outbox.counts_of(batch):
        counter[point] += number
    return ", ".join(
        f"{LABELS.get(point, point)}{f'{TIMES}{n}' if n > 1 else ''}"
        for point, n in sorted(counter.items())
    )


def cursor(batch: Batch) -> str:
    """Return where the next page begins."""
    return f"{batch.sealed_at.isoformat()}_{batch.pk}"


def attempts_of(batch: Batch) -> list[Attempt]:
    """Return every try of a batch, the first one first."""
    tries = Attempt.objects.filter(kind=outbox.KIND, item=str(batch.pk))
    return list(tries.order_by("started_at", "pk"))


@dataclass(frozen=True)
class Days:
    """Counts per day, in order, without gaps; the last day is today."""

    days: list[date]
    accepted: list[int]
    waiting: list[int]
    refused: list[int]
    discarded: list[int]


def counts(days: int, now: datetime, found: Tally | None = None) -> Days:
    """Return how many events of each of the last days ended how, or wait.

    Args:
        days: How many, today's among them.
        now: The moment.
        found: The tally of these days, when it is at hand.
    """
    today = outbox.day_of(now)
    span = [today - timedelta(days=back) for back in range(days - 1, -1, -1)]
    tallies: dict[str, Counter[date]] = defaultdict(Counter)
    for state, _, day, number in tally(days, now) if found is None else found:
        tallies[state][day] += number
    return Days(
        span,
        *(
            [tallies[state][day] for day in span]
            for state in ("accepted", "waiting", "refused", "discarded")
        ),
    )


def last_reported_at() -> datetime | None:
    """Return when the receiver last accepted a batch; None when it never did."""
    accepted = Attempt.objects.filter(
        destination=DESTINATION, outcome=Attempt.Outcome.ACCEPTED
    )
    newest = accepted.order_by("-started_at").first()
    return newest.finished_at if newest else None


def discarded() -> dict[str, int]:
    """Return how many events were ever discarded, by reason in alphabetical order."""
    rows = DailyCount.objects.filter(outcome=DailyCount.Outcome.DISCARDED)
    by_reason = rows.order_by("reason").values_list("reason")
    return dict(by_reason.annotate(number=Sum("count")))


@dataclass(frozen=True)
class PointCount:
    """How often a data point was recorded lately, and when last."""

    number: int
    last_at: datetime | None
    last_on: date | None

    def with_(self, other: PointCount) -> PointCount:
        """Return both counted as one."""
        moments = [at for at in (self.last_at, other.last_at) if at]
        days = [on for on in (self.last_on, other.last_on) if on]
        return PointCount(
            self.number + other.number,
            max(moments, default=None),
            max(days, default=None),
        )


def point_counts(
    days: int, now: datetime, found: Tally | None = None
) -> dict[str, PointCount]:
    """Return a count for every data point of the catalogue.

    ``last_at`` is exact while an event waits; once it was sent only its day is known.

    Args:
        days: Of how many days, today's among them.
        now: The moment.
        found: The tally of these days, when it is at hand.
    """
    rows = tally(days, now) if found is None else found
    numbers: Counter[str] = Counter()
    for _, point, _, number in rows:
        numbers[point] += number
    newest = Event.objects.values_list("data_point").annotate(at=Max("occurred_at"))
    waiting = dict(newest)
    last: dict[str, date] = dict(
        DailyCount.objects.values_list("data_point").annotate(day=Max("day"))
    )
    for _, point, day, _ in rows:
        last[point] = max(day, last.get(point, day))
    return {
        point.name: PointCount(
            numbers[point.name], waiting.get(point.name), last.get(point.name)
        )
        for point in catalog.POINTS
    }


@dataclass(frozen=True)
class Totals:
    """The numbers at the top of the page."""

    accepted: int
    first_try: int
    refused: int

    @property
    def first_try_percent(self) -> str:
        """Return how many of the accepted ones went at the first try."""
        return f"{100 * self.first_try / max(self.accepted, 1):.1f}".removesuffix(".0")


def totals(days: int, now: datetime) -> Totals:
    """Return accepted events of the last days, those at the first try, and refused ones."""
    since = now - timedelta(days=days)
    accepted = Batch.objects.filter(acknowledged_at__gte=since).aggregate(
        all=Sum("event_count"), first=Sum("event_count", filter=Q(attempts=1))
    )
    dead = Batch.objects.filter(discarded_at=None).exclude(dead_at=None)
    refused = dead.aggregate(n=Sum("event_count"))["n"]
    return Totals(accepted["all"] or 0, accepted["first"] or 0, refused or 0)


def tally(days: int, now: datetime) -> Tally:
    """Return (state, data point, day, number) of all events of the last days."""
    first = outbox.day_of(now) - timedelta(days=days - 1)
    found: Tally = list(
        DailyCount.objects.filter(day__gte=first).values_list(
            "outcome", "data_point", "day", "count"
        )
    )
    start = datetime.combine(first, time(), UTC)
    events = Event.objects.filter(occurred_at__gte=start).values_list("data_point")
    by_day = events.annotate(day=TruncDate("occurred_at", tzinfo=UTC), n=Count("pk"))
    found += [("waiting", point, day, n) for point, day, n in by_day]
    open_batches = Batch.objects.filter(
        acknowledged_at=None, discarded_at=None, split_at=None, newest_at__gte=start
    )
    for batch in open_batches.only("counts", "dead_at"):
        state = "refused" if batch.dead_at else "waiting"
        found += [(state, *one) for one in outbox.counts_of(batch) if one[1] >= first]
    return found


def _unsealed(filters: Filters, *, held: bool, limit: int) -> list[Row]:
    status = "held" if held else "pending"
    if filters.after or filters.search or filters.status not in ("", status):
        return []
    events = Event.objects.order_by("-pk")
    if filters.point:
        events = events.filter(data_point=filters.point)
    return [
        Row(event.occurred_at, LABELS.get(event.data_point, event.data_point), status)
        for event in events[:limit]
    ]


def _last_tries(found: Iterable[Batch]) -> dict[str, Attempt]:
    items = [str(batch.pk) for batch in found]
    tries = Attempt.objects.filter(kind=outbox.KIND, item__in=items).order_by("pk")
    return {attempt.item: attempt for attempt in tries}


def _identified_by(text: str) -> Q:
    """Match a receipt that begins so, or one whole batch id."""
    matches = Q(receipt__startswith=text)
    try:
        return matches | Q(pk=uuid.UUID(text))
    except ValueError:
        return matches


def _in_status(status: str) -> Q:
    open_ = Q(acknowledged_at=None, discarded_at=None, split_at=None)
    tried = ~Q(attempts=0, crashes=0)
    known: dict[str, Any] = {
        "accepted": Q(acknowledged_at__isnull=False),
        "discarded": Q(discarded_at__isnull=False),
        "split": Q(split_at__isnull=False),
        "refused": open_ & Q(dead_at__isnull=False),
        "pending": open_ & Q(dead_at=None) & ~tried,
        "retrying": open_ & Q(dead_at=None) & tried,
    }
    found: Q = known.get(status, Q(pk__in=[]))
    return found


def _older_than(text: str) -> Q:
    moment, _, number = text.partition("_")
    try:
        at, pk = datetime.fromisoformat(moment), uuid.UUID(number)
    except ValueError:
        return Q()
    if at.tzinfo is None:
        return Q()
    return Q(sealed_at__lt=at) | Q(sealed_at=at, pk__lt=pk)
