"""Take things out of the outbox for good, and count what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet

from common.pruning import delete_some
from egress.models import Attempt
from licensing import services as licensing
from licensing.services import Terms
from telemetry import document
from telemetry.models import Batch, Batches, DailyCount, Event, Installation

log = structlog.get_logger(__name__)
LONGEST_WAIT = timedelta(days=30)
CHUNK = 2000
KIND = "batch"  # of egress.Attempt


def lock() -> Installation:
    """Make sealing and discarding wait for each other until the transaction ends."""
    return Installation.objects.select_for_update().get_or_create(pk=1)[0]


def tally(
    outcome: str, counts: Iterable[tuple[str, date, int]], reason: str = ""
) -> None:
    """Add to the daily counts; rows are touched in one order, so nobody deadlocks."""
    for point, day, number in sorted(counts):
        row = {"day": day, "data_point": point, "outcome": outcome, "reason": reason}
        counted = DailyCount.objects.filter(**row)
        if not counted.update(count=F("count") + number):
            DailyCount.objects.bulk_create([DailyCount(**row)], ignore_conflicts=True)
            counted.update(count=F("count") + number)


def counts_of(batch: Batch) -> document.DailyCounts:
    """Return a batch's daily counts as they were stored with it."""
    return [(point, date.fromisoformat(day), n) for point, day, n in batch.counts]


def discard_events(events: QuerySet[Event], reason: str) -> int:
    """Delete waiting events, count them by day and reason, return how many.

    Call it after ``lock``: what was read is then what is deleted, and an event that
    is being recorded meanwhile is not touched.
    """
    total = 0
    fields = ("uid", "data_point", "occurred_at")
    while rows := list(events.order_by("pk").values_list("pk", *fields)[:CHUNK]):
        Event.objects.filter(pk__in=[row[0] for row in rows]).delete()
        facts = [document.Fact(*row[1:]) for row in rows]
        tally(DailyCount.Outcome.DISCARDED, document.count(facts), reason)
        total += len(rows)
    if total:
        log.info("events.discarded", count=total, reason=reason)
    return total


def discard_batches(batches: Batches, reason: str, now: datetime) -> int:
    """Give up sealed batches; return how many events were in them.

    A batch of which bytes may have left stays in the ledger as "may have been sent",
    its lease taken from whoever sends it; one that never left is deleted.
    """
    total = 0
    for batch in batches:
        tries = Attempt.objects.filter(kind=KIND, item=str(batch.pk))
        left = tries.filter(reached=True).exists()
        mine = Batch.objects.filter(pk=batch.pk, acknowledged_at=None, split_at=None)
        if left:
            done = mine.filter(discarded_at=None).update(
                discarded_at=now, discarded_reason=reason, lease=None, dead_at=None
            )
        else:
            done = mine.delete()[0]
        if done:
            why = f"{reason}, may have been sent" if left else reason
            tally(DailyCount.Outcome.DISCARDED, counts_of(batch), why)
            total += batch.event_count
    if total:
        log.info("batches.discarded", events=total, reason=reason)
    return total


def discard_all(reason: str, now: datetime) -> int:
    """Delete everything that waits, in the caller's transaction; return the number."""
    lock()
    events = discard_events(Event.objects.all(), reason)
    dead = Batch.objects.filter(discarded_at=None).exclude(dead_at=None)
    return (
        events
        + discard_batches(Batch.objects.unsettled(), reason, now)
        + discard_batches(dead, reason, now)
    )


def cutoff(now: datetime, terms: Terms) -> datetime:
    """Return the moment before which no waiting event may have happened.

    Held events wait for the hold window. When the hold ends only those go out that
    happened within the window before. Nothing unsent waits longer than 30 days (in a
    batch: until its newest event did), and nothing from before Continuous Connection
    was turned on again goes out.
    """
    begin = now if terms.hold else terms.released_at
    limits = (
        now - LONGEST_WAIT,
        begin - settings.NMS_HOLD_WINDOW if begin else None,
        licensing.connection_on_since(),
    )
    return max(limit for limit in limits if limit)


def discard_old(events: QuerySet[Event], now: datetime, terms: Terms) -> int:
    """Delete those of the events that may not go out any more; return how many."""
    total = 0
    if since := licensing.connection_on_since():
        total += discard_events(events.filter(occurred_at__lt=since), "turned off")
    old = events.filter(occurred_at__lt=cutoff(now, terms))
    return total + discard_events(old, "waited too long")


def discard_overdue(now: datetime, terms: Terms) -> int:
    """Delete what waited too long; return how many events.

    Events stand in the order they were recorded, so a look at the first one tells
    whether there is anything to do; sealing looks at each one again.
    """
    limit = cutoff(now, terms)
    with transaction.atomic():
        lock()
        first = Event.objects.order_by("pk").values_list("occurred_at", flat=True)
        total = 0
        if (oldest := first.first()) and oldest < limit:
            total += discard_old(Event.objects.all(), now, terms)
        unsettled = Batch.objects.unsettled()
        _mark_ended(unsettled, now, terms)
        old = unsettled.filter(newest_at__lt=now - LONGEST_WAIT)
        total += discard_batches(old, "waited too long", now)
        ended = unsettled.filter(ended_at__lt=now - settings.NMS_HOLD_WINDOW)
        return total + discard_batches(ended, "subscription ended", now)


def _mark_ended(unsettled: Batches, now: datetime, terms: Terms) -> None:
    """Note since when a batch's subscription is not the one in force."""
    current = Q(subscription_id=terms.subscription_id or "")
    if terms.hold in ("no_license", "not_valid"):
        current = Q(pk__in=[])
    unsettled.filter(current).exclude(ended_at=None).update(ended_at=None)
    unsettled.filter(ended_at=None).exclude(current).update(ended_at=now)


def prune(now: datetime) -> int:
    """Delete settled batches and attempts past NMS_RETENTION_DAYS; return the number.

    Their digests stay in the chain, their daily counts in ``DailyCount``. At most one
    chunk of each: the next run goes on.
    """
    before = now - timedelta(days=settings.NMS_RETENTION_DAYS)
    settled = ~Q(acknowledged_at=None, discarded_at=None, split_at=None, dead_at=None)
    old = list(Batch.objects.filter(settled, sealed_at__lt=before)[:CHUNK])
    with transaction.atomic():
        for batch in old:
            if batch.dead_at and not batch.discarded_at:
                tally(DailyCount.Outcome.REFUSED, counts_of(batch))
        Batch.objects.filter(pk__in=[batch.pk for batch in old]).delete()
        tries = delete_some(Attempt.objects.filter(started_at__lt=before))
    return len(old) + tries


def day_of(moment: datetime) -> date:
    """Return the UTC day of a moment."""
    return moment.astimezone(UTC).date()
