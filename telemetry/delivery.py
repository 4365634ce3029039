"""From waiting events to acknowledged batches: seal, claim, send, settle.

Every step is a short transaction of its own and none is open while something is
sent. A worker that dies loses its lease after 40 seconds; one that wakes up too late
cannot settle any more.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import takewhile
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F

from common import choices, faults, setup
from common.sealing import SealBroken
from egress import destinations, gate, transport
from egress import services as egress
from egress.destinations import Destination
from egress.errors import (
    CredentialsRefused,
    NotAllowed,
    PermanentError,
    TransientError,
)
from egress.transport import Answer
from licensing import services as licensing
from telemetry import catalog, document, outbox
from telemetry.document import Fact
from telemetry.models import Batch, DailyCount, Event

log = structlog.get_logger(__name__)
DESTINATION = "telemetry"
SPAN = timedelta(hours=24)  # between a batch's first event and any other
SIZE = 500
LEASE = timedelta(seconds=40)
BUDGET = timedelta(seconds=50)  # with one deadline on top below the task's limit
CRASHES = 5
LATER = timedelta(hours=1)
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Receipt:
    """What the receiver returned as proof; empty when it gave none."""

    text: str
    body: bytes


def deliver(clock: Clock) -> int:
    """Send until nothing is due, the gate closes or 50 s are over.

    Args:
        clock: Returns the time; asked at every step because a step takes time.

    Returns:
        How many events were acknowledged.
    """
    start = clock()
    terms = licensing.delivery_terms(start)
    outbox.discard_overdue(start, terms)
    if not licensing.connection_on():
        with transaction.atomic():  # what was being recorded while it was turned off
            outbox.discard_all("turned off", start)
        return 0
    destination = destinations.find(DESTINATION)
    if not (destination and setup.finished_at() and licensing.connection_open()):
        return 0
    with transport.keep_alive():
        return _drain(destination, start, clock)


def _drain(destination: Destination, start: datetime, clock: Clock) -> int:
    """Send one batch after the other; return how many events were acknowledged."""
    delivered = 0
    read = cache(licensing.token)
    while clock() - start < BUDGET and not gate.paused(DESTINATION):
        now = clock()
        ticket = gate.enter(destination.host, now)
        if ticket is None:
            break
        batch = claim(now) or seal(now, lease=uuid.uuid4())
        if batch is None:
            gate.left(ticket)
            break
        faults.reach("telemetry.claimed")
        sent, go_on = _send(batch, destination, ticket, clock, read)
        delivered += sent
        if not go_on:
            break
    return delivered


def seal(
    now: datetime, size: int = SIZE, lease: uuid.UUID | None = None
) -> Batch | None:
    """Move the oldest events into a batch with its final bytes; None when none may go.

    Args:
        size: At most so many events.
        lease: The batch is claimed with it from the start.

    Source:
        docs/decisions/0002-sealing-moves-events.md
    """
    with transaction.atomic():
        installation = outbox.lock()
        terms = licensing.delivery_terms(now)
        if terms.hold or not licensing.connection_on():
            return None
        facts = _take(now, terms, size)
        if not facts:
            return None
        batch = store(
            facts,
            subscription=terms.subscription_id or "",
            license_id=terms.license_id if terms.bearer else None,
            batch_id=installation.next_batch,
            now=now,
            lease=lease,
        )
        installation.next_batch = uuid.uuid4()
        installation.sealed += 1
        installation.save(update_fields=["next_batch", "sealed"])
        faults.reach("telemetry.sealing")
    faults.reach("telemetry.sealed")
    choices.remember_sealed(batch.newest_at, batches=installation.sealed)
    log.info("batch.sealed", batch=str(batch.pk), events=batch.event_count)
    return batch


def sealable(now: datetime, terms: licensing.Terms, size: int = SIZE) -> list[Any]:
    """Return the rows the next batch would take: (pk, uid, data point, moment).

    They are of 24 hours at most: a batch is given up whole, with what is not too old yet.
    """
    rows = Event.objects.order_by("pk").values_list(
        "pk", "uid", "data_point", "occurred_at"
    )[:size]
    limit = outbox.cutoff(now, terms)
    found = [row for row in rows if row[2] in catalog.BY_NAME and row[3] >= limit]
    return list(takewhile(lambda row: abs(row[3] - found[0][3]) <= SPAN, found))


def _take(now: datetime, terms: licensing.Terms, size: int) -> list[Fact]:
    """Delete the next events and return them; those that may not go are counted."""
    while True:
        rows = sealable(now, terms, size)
        if rows:
            _delete([row[0] for row in rows])
            return [Fact(*row[1:]) for row in rows]
        first = list(Event.objects.order_by("pk").values_list("pk", flat=True)[:size])
        if not first:
            return []
        stuck = Event.objects.filter(pk__in=first)
        outbox.discard_old(stuck, now, terms)
        unknown = stuck.exclude(data_point__in=list(catalog.BY_NAME))
        outbox.discard_events(unknown, "not in the catalogue")


def _delete(numbers: Sequence[int]) -> None:
    """Delete exactly these events: by first and last when there are no others between.

    One that was being recorded meanwhile may have got a number in between.
    """
    with transaction.atomic():
        between = Event.objects.filter(pk__range=(numbers[0], numbers[-1]))
        if between.delete()[0] == len(numbers):
            return
        transaction.set_rollback(True)
    Event.objects.filter(pk__in=numbers).delete()


def store(
    facts: Sequence[Fact],
    *,
    subscription: str,
    license_id: int | None,
    batch_id: uuid.UUID,
    now: datetime,
    lease: uuid.UUID | None = None,
) -> Batch:
    """Insert a batch with the bytes that will be sent, whatever happens later."""
    body = document.build(batch_id, subscription, facts)
    counts = document.count(facts)
    return Batch.objects.create(
        id=batch_id,
        subscription_id=subscription,
        license_id=license_id,
        body=body,
        sha256=hashlib.sha256(body).hexdigest(),
        event_count=len(facts),
        counts=[[point, day.isoformat(), number] for point, day, number in counts],
        points=f" {' '.join(sorted({fact.data_point for fact in facts}))} ",
        oldest_at=min(fact.occurred_at for fact in facts),
        newest_at=max(fact.occurred_at for fact in facts),
        sealed_at=now,
        due_at=now,
        lease=lease,
        leased_until=now + LEASE if lease else None,
    )


def claim(now: datetime) -> Batch | None:
    """Lease one due batch to this worker; None when no batch is due.

    A batch whose lease ran out was left by a worker that died: that is counted, and
    after five times the batch is dead.
    """
    waiting = Batch.objects.due(now).order_by("due_at", "sealed_at")
    for found in waiting.only("pk", "lease", "crashes")[:10]:
        crashed = found.lease is not None
        lease = uuid.uuid4()
        changes: dict[str, Any] = {"lease": lease, "leased_until": now + LEASE}
        if crashed:
            changes["crashes"] = found.crashes + 1
        if dead := found.crashes + crashed >= CRASHES:
            changes |= {"lease": None, "leased_until": None, "dead_at": now}
            changes["dead_reason"] = f"Sending it ended the worker {CRASHES} times."
        mine = Batch.objects.due(now).filter(pk=found.pk, lease=found.lease)
        if not mine.update(**changes):
            continue
        if crashed:
            egress.abandon(outbox.KIND, str(found.pk), now)
            log.warning("batch.worker_ended", batch=str(found.pk), dead=dead)
        if not dead:
            return Batch.objects.filter(pk=found.pk, lease=lease).first()
    return None


def settle(batch: Batch, **changes: Any) -> bool:
    """Write an outcome under this worker's lease; False when the lease was lost."""
    mine = Batch.objects.unsettled().filter(pk=batch.pk, lease=batch.lease)
    done = bool(mine.update(lease=None, leased_until=None, **changes))
    if not done:
        log.warning("batch.lease_lost", batch=str(batch.pk))
    return done


def accept(answer: Answer, batch_id: str) -> Receipt:
    """Return the receipt of a 2xx answer.

    Raises:
        TransientError: It is no acceptance: another page, or another batch's.

    Source:
        decision 9
    """
    if not answer.body and answer.status in (200, 201, 204):
        return Receipt("", b"")
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict) and content.get("telemetryId") == batch_id:
        return Receipt(str(content.get("receiptId", ""))[:200], answer.body)
    if isinstance(content, dict) and "telemetryId" in content:
        sentence = "It answered for another batch; that is no receipt."
        raise TransientError("wrong_id", sentence, status=answer.status)
    sentence = "It answered something that is no receipt (a captive portal?)."
    raise TransientError("no_receipt", sentence, status=answer.status)


def _send(
    batch: Batch,
    destination: Destination,
    ticket: gate.Pass,
    clock: Clock,
    read: Callable[[int], str],
) -> tuple[int, bool]:
    """Send one batch and settle it; return acknowledged events, and whether to go on."""
    try:
        token = read(batch.license_id) if batch.license_id else ""
    except SealBroken:
        log.exception("batch.token_unreadable", batch=str(batch.pk))
        gate.left(ticket)
        settle(batch, due_at=clock() + LATER)
        return 0, False
    try:
        sent = _post(batch, destination, ticket, clock, token)
    except NotAllowed:
        settle(batch)
        return 0, False
    except TransientError:
        until = gate.closed_until(destination.host) or clock()
        settle(batch, due_at=until, attempts=F("attempts") + 1)
        return 0, False
    except CredentialsRefused as error:
        return 0, _license_refused(batch, error, clock())
    except PermanentError as error:
        _refused(batch, error, clock())
        return 0, True
    faults.reach("telemetry.settled")
    return sent, True


def _post(
    batch: Batch, destination: Destination, ticket: gate.Pass, clock: Clock, token: str
) -> int:
    """Send the bytes of a batch through the one door; return acknowledged events."""
    key = str(batch.pk)
    item = egress.Item(
        kind=outbox.KIND,
        id=key,
        key=key,
        body=bytes(batch.body),
        choice=licensing.connection_number(),
    )
    return egress.send(
        item,
        destination,
        ticket,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        allowed=lambda: _may_still_go(batch),
        accept=lambda answer: _acknowledge(batch, accept(answer, key), clock()),
        clock=clock,
    )


def _may_still_go(batch: Batch) -> bool:
    """Ask everything again, right before the first byte."""
    mine = Batch.objects.unsettled().filter(pk=batch.pk, lease=batch.lease)
    return licensing.connection_open() and mine.exists()


def _acknowledge(batch: Batch, receipt: Receipt, now: datetime) -> int:
    """Settle a batch in the caller's transaction; return its events, 0 if too late."""
    if not settle(
        batch,
        acknowledged_at=now,
        receipt=receipt.text,
        receipt_body=receipt.body,
        attempts=F("attempts") + 1,
    ):
        return 0
    outbox.tally(DailyCount.Outcome.ACCEPTED, outbox.counts_of(batch))
    faults.reach("telemetry.settling")
    log.info("batch.acknowledged", batch=str(batch.pk), receipt=receipt.text)
    return batch.event_count


def _license_refused(batch: Batch, error: CredentialsRefused, now: datetime) -> bool:
    """Pause; a batch of an ended subscription only waits, it must not stop the rest."""
    if batch.ended_at:
        return settle(batch, due_at=now + LATER)
    gate.pause(DESTINATION, error.status or 401, now)
    settle(batch)
    log.warning("delivery.paused", status=error.status)
    return False


def _refused(batch: Batch, error: PermanentError, now: datetime) -> None:
    """Put a refused batch aside; one that is too large goes on as two halves."""
    if error.status != 413 or batch.event_count == 1:
        counted = F("attempts") + 1
        settle(batch, dead_at=now, dead_reason=error.sentence, attempts=counted)
        return
    facts = document.read(bytes(batch.body))
    middle = len(facts) // 2
    with transaction.atomic():
        if settle(batch, split_at=now, attempts=F("attempts") + 1):
            for half in (facts[:middle], facts[middle:]):
                store(
                    half,
                    subscription=batch.subscription_id,
                    license_id=batch.license_id,
                    batch_id=uuid.uuid4(),
                    now=now,
                )
