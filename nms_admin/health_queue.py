"""What waits to be sent, by state, and since when: for health, metrics, the bundle."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q

from telemetry import services as telemetry
from telemetry.models import Batch
from usage.models import Report


@dataclass(frozen=True)
class Queue:
    """One queue: how many wait in each state, and what was refused for good."""

    name: str
    label: str
    page: str
    waiting: dict[str, int]
    refused: int
    oldest: datetime | None
    held: bool = False


def queues() -> list[Queue]:
    """Return the queue of events (in events) and the one of usage reports."""
    return [_events(), _reports()]


def _events() -> Queue:
    found = telemetry.waiting()
    dead = Batch.objects.filter(dead_at__isnull=False, discarded_at=None)
    tried = Batch.objects.unsettled().filter(Q(attempts__gt=0) | Q(crashes__gt=0))
    again = sum(tried.values_list("event_count", flat=True))
    return Queue(
        "events",
        "Events",
        "Settings > Telemetry",
        {
            "held": found.held,
            "pending": found.pending,
            "sealed": found.sealed - again,
            "retrying": again,
        },
        dead.count(),
        found.since,
        bool(found.held),
    )


def _reports() -> Queue:
    waits = Report.objects.open().aggregate(
        pending=Count("pk", filter=Q(attempts=0, crashes=0, status_id="")),
        checking=Count("pk", filter=~Q(status_id="")),
        total=Count("pk"),
        since=Min("built_at"),
    )
    again = waits["total"] - waits["pending"] - waits["checking"]
    last = Report.objects.first()
    refused = bool(last and last.dead_at and not last.replaced)
    return Queue(
        "reports",
        "Usage reports",
        "Settings > License",
        {
            "pending": waits["pending"],
            "checking": waits["checking"],
            "retrying": again,
        },
        int(refused),
        waits["since"],
    )
