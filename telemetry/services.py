"""Record facts, and say what waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import DatabaseError, transaction
from django.db.models import Count, Max, Min, Sum
from django.utils import timezone

from common.dictionary import DataPoint
from licensing import services as licensing
from telemetry import catalog
from telemetry.models import Batch, Event, Installation

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
    def total(self) -> int:
        """How many events would be deleted by turning Continuous Connection off."""
        return self.held + self.pending + self.sealed


def record(point: DataPoint, *, now: datetime) -> bool:
    """Put one event into the outbox, in the caller's transaction; say whether it was.

    Nothing is written while Continuous Connection is off. A database error is logged
    and never reaches the caller: a full disk must not lock anybody out.

    Args:
        point: One of ``telemetry.catalog.POINTS``.
        now: When it happened.

    Raises:
        ValueError: The data point is not in the catalogue.
    """
    if catalog.BY_NAME.get(point.name) is not point:
        raise ValueError(f"{point.name!r} is not in the catalogue")
    try:
        with transaction.atomic():
            if not licensing.connection_on():
                return False
            Event.objects.create(data_point=point.name, occurred_at=now)
    except DatabaseError:
        log.exception("event.not_recorded", data_point=point.name)
        return False
    return True


def installed(now: datetime) -> bool:
    """Record the Installation once, at the first start; say whether this was it."""
    with transaction.atomic():
        Installation.objects.get_or_create(pk=1)
        first = Installation.objects.filter(pk=1, installed_at=None)
        if not first.update(installed_at=now):
            return False
        record(catalog.INSTALLATION, now=now)
    return True


def waiting(now: datetime | None = None) -> Waiting:
    """Return what waits to be sent, and since when."""
    hold = licensing.delivery_terms(now or timezone.now()).hold
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


def sealed_until() -> datetime | None:
    """Return when the newest event that was ever sealed happened; None before."""
    newest: datetime | None = Batch.objects.aggregate(at=Max("newest_at"))["at"]
    return newest
