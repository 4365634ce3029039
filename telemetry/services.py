"""Record facts, and say what waits."""

from __future__ import annotations

import hashlib
import socket
import uuid
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max, Min, Sum
from django.utils import timezone

from audit import services as audit
from common import choices, locks
from common.dictionary import DataPoint
from common.models import Via
from common.reasons import Reason
from egress import destinations, gate
from licensing import connection
from licensing import services as licensing
from telemetry import catalog, delivery, document, outbox, states
from telemetry.document import Fact
from telemetry.models import Batch, Event, Installation, ProcessRun

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Waiting:
    """What waits in the outbox.

    ``held`` and ``pending`` count events not sealed yet (one of them is 0); ``sealed``
    counts the events inside ``batches`` unsettled batches; ``since`` is when the oldest
    of all of them happened.
    """

    held: int
    pending: int
    sealed: int
    batches: int
    since: datetime | None

    @property
    def unsent(self) -> int:
        """How many events may be sent now: those not sealed yet and those in batches."""
        return self.pending + self.sealed

    @property
    def total(self) -> int:
        """How many events would be deleted by turning Continuous Connection off."""
        return self.held + self.pending + self.sealed


def record(point: DataPoint, *, now: datetime) -> bool:
    """Put one event into the outbox, in the caller's transaction; say whether it was.

    Nothing is written while Continuous Connection is off.

    Args:
        point: One of ``telemetry.catalog.POINTS``.
        now: When it happened.

    Raises:
        ValueError: The data point is not in the catalogue.
        DatabaseError: It was not recorded; whoever records a fact of somebody else
            does so in a savepoint and goes on (``telemetry.receivers``).
    """
    if catalog.BY_NAME.get(point.name) is not point:
        raise ValueError(f"{point.name!r} is not in the catalogue")
    condition = licensing.connection_condition()
    return condition is not None and Event.objects.insert_if(condition, point.name, now)


def installed(now: datetime) -> bool:
    """Record the Installation once, at the first start; say whether this was it."""
    with transaction.atomic():
        Installation.objects.get_or_create(pk=1)
        first = Installation.objects.filter(pk=1, installed_at=None)
        if not first.update(installed_at=now):
            return False
        record(catalog.INSTALLATION, now=now)
    return True


def waiting(
    now: datetime | None = None, terms: licensing.Terms | None = None
) -> Waiting:
    """Return what waits to be sent, and since when; ``terms`` when they are known."""
    hold = (terms or licensing.delivery_terms(now or timezone.now())).hold
    events = Event.objects.aggregate(n=Count("pk"), since=Min("occurred_at"))
    batches = Batch.objects.unsettled().aggregate(
        n=Count("pk"), events=Sum("event_count"), since=Min("oldest_at")
    )
    moments = [at for at in (events["since"], batches["since"]) if at]
    return Waiting(
        held=events["n"] if hold else 0,
        pending=0 if hold else events["n"],
        sealed=batches["events"] or 0,
        batches=batches["n"],
        since=min(moments, default=None),
    )


def worked(name: str, now: datetime) -> None:
    """Note that a process did what it is for, here: a heartbeat alone does not say so."""
    runs = ProcessRun.objects.filter(name=name, host=socket.gethostname())
    runs.filter(stopped_at=None).update(worked_at=now)


def sealed_until() -> datetime | None:
    """Return when the newest event that was ever sealed happened; None before."""
    newest: datetime | None = Batch.objects.aggregate(at=Max("newest_at"))["at"]
    return newest


def sealed() -> int:
    """Return how many batches were ever sealed, as far as this database knows."""
    return (
        Installation.objects.filter(pk=1).values_list("sealed", flat=True).first() or 0
    )


def renumber() -> None:
    """Give the next batch another id: a restored database would use one again."""
    Installation.objects.filter(pk=1).update(next_batch=uuid.uuid4())


@dataclass(frozen=True)
class Preview:
    """The next document.

    ``kind`` is ``sealed`` (a batch that waits, these very bytes), ``next`` (what would
    be sealed now), ``held`` (the same, but the subscription is not known yet) or
    ``example`` (nothing waits: made of the catalogue's examples).
    """

    kind: str
    body: bytes

    @property
    def digest(self) -> str:
        """Return the SHA-256 that the attempt and the receiver will have."""
        return hashlib.sha256(self.body).hexdigest()


def preview(
    now: datetime, data_point: str = "", terms: licensing.Terms | None = None
) -> Preview:
    """Return what would be sent next, by the serializer that sends.

    Args:
        now: The moment.
        data_point: Show the example of this one instead.
        terms: Under what events go out now, when it is known.
    """
    if data_point in catalog.BY_NAME:
        return Preview("example", document.example(data_point))
    if sealed := Batch.objects.unsettled().order_by("due_at", "sealed_at").first():
        return Preview("sealed", bytes(sealed.body))
    terms = terms or licensing.delivery_terms(now)
    facts = [Fact(*row[1:]) for row in delivery.sealable(now, terms)]
    if not facts:
        return Preview("example", document.example(catalog.LOGIN.name))
    number = Installation.objects.get_or_create(pk=1)[0].next_batch
    body = document.build(number, terms.subscription_id or "", facts)
    return Preview("held" if terms.hold else "next", body)


def try_now(now: datetime) -> None:
    """Let the next sweep send at once: lift a pause, open the gate for one probe."""
    if destination := destinations.find(delivery.DESTINATION):
        gate.override(destination.host, now)
    gate.resume(delivery.DESTINATION)
    Batch.objects.unsettled().filter(lease=None).update(due_at=now)


def delete_held(*, by: str, address: str, now: datetime) -> int:
    """Delete the events that wait for a license; return how many there were."""
    with transaction.atomic():
        outbox.lock()
        if not licensing.delivery_terms(now).hold:
            return 0
        total = outbox.discard_events(Event.objects.all(), "deleted by hand")
        _audit("telemetry.held_deleted", by, address, now, f"{total} events")
    return total


def retry_batch(batch: uuid.UUID, *, by: str, address: str, now: datetime) -> bool:
    """Let a dead batch wait again, with the same bytes and key; False when it is not."""
    with transaction.atomic():
        dead = Batch.objects.filter(pk=batch, discarded_at=None).exclude(dead_at=None)
        if not dead.update(dead_at=None, dead_reason="", crashes=0, due_at=now):
            return False
        _audit("telemetry.batch_retried", by, address, now, str(batch))
    return True


def discard_batch(batch: uuid.UUID, *, by: str, address: str, now: datetime) -> bool:
    """Give a dead batch up for good; False when it is not dead."""
    with transaction.atomic():
        outbox.lock()
        dead = Batch.objects.filter(pk=batch, discarded_at=None).exclude(dead_at=None)
        if not outbox.discard_batches(dead, "deleted by hand", now):
            return False
        _audit("telemetry.batch_discarded", by, address, now, str(batch))
    return True


def note_export(*, by: str, address: str, now: datetime) -> None:
    """Write into the audit chain that somebody took the ledger away."""
    _audit("telemetry.ledger_exported", by, address, now, "")


def discard_before(moment: datetime, now: datetime) -> int:
    """Delete events that an earlier life of this database may have sent already.

    Args:
        moment: The ``sealed_until`` of before a backup was restored.
    """
    with transaction.atomic():
        outbox.lock()
        events = Event.objects.filter(occurred_at__lte=moment)
        total = outbox.discard_events(events, "restored, may have been sent")
        batches = Batch.objects.unsettled().filter(oldest_at__lte=moment)
        return total + outbox.discard_batches(batches, "restored", now)


def license_changed(now: datetime) -> None:
    """Send on under the license in force: lift a pause, drop what waited too long."""
    gate.resume(delivery.DESTINATION)
    outbox.discard_overdue(now, licensing.delivery_terms(now))


def connection_changed(now: datetime, *, on: bool) -> None:
    """Delete everything that waits when Continuous Connection is turned off."""
    if not on:
        outbox.discard_all("turned off", now)


def _audit(action: str, by: str, address: str, now: datetime, subject: str) -> None:
    audit.record(
        action, now=now, actor=by, via=Via.SETTINGS, subject=subject, address=address
    )


def why(now: datetime, standing: licensing.Standing | None = None) -> list[Reason]:
    """Return everything that has a say about events now; one decides.

    Args:
        now: The moment.
        standing: How the license stands then, when it is known.
    """
    found = standing or licensing.standing(now)
    destination = destinations.find(delivery.DESTINATION)
    lock, newest = locks.of_file(locks.TELEMETRY), connection.choice()
    return states.why(
        states.Facts(
            do_not_track=settings.DO_NOT_TRACK,
            policy=lock.on if lock else None,
            policy_says=lock.says if lock else "says nothing",
            policy_origin=locks.origin(lock),
            choice=newest.value if newest else None,
            choice_origin=choices.origin(newest),
            finished=found.terms.hold != "setup",
            licensed=found.license is not None,
            connected=found.connected,
            mode_origin="NMS_OPERATION_MODE"
            if settings.NMS_OPERATION_MODE
            else "set-up",
            phase=found.state.phase,
            provisional=found.state.provisional,
            subscription=found.terms.subscription_id or "",
            receiver=destination.url if destination else "",
            refused=gate.paused(delivery.DESTINATION) is not None,
        )
    )


def status(now: datetime) -> dict[str, object]:
    """Return the state of the outbox in JSON values, for ``outbox status --json``."""
    found = waiting(now)
    destination = destinations.find(delivery.DESTINATION)
    closed = gate.state(destination.host) if destination else None
    pause = gate.paused(delivery.DESTINATION)
    dead = Batch.objects.filter(discarded_at=None).exclude(dead_at=None)
    return {
        "connection": licensing.connection_on(),
        "hold": licensing.delivery_terms(now).hold,
        "held": found.held,
        "pending": found.pending,
        "sealed": found.sealed,
        "batches": found.batches,
        "since": found.since.isoformat() if found.since else None,
        "acknowledged": Batch.objects.exclude(acknowledged_at=None).count(),
        "dead": dead.count(),
        "closed_until": (
            closed.closed_until.isoformat() if closed and closed.closed_until else None
        ),
        "cause": closed.cause if closed else None,
        "paused": pause.status if pause else None,
    }
