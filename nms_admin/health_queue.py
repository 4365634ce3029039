"""What waits to be sent, by state, and since when: for health, metrics, the bundle."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Count, Min, Q, Sum

from telemetry import services as telemetry
from telemetry.models import Batch
from usage.models import Report


@dataclass(frozen=True)
class Queue:
    """One queue: how many wait in each state, and what was refused for good."""

    name: str
    label: str
    page: str
    address: str  # the name of that page
    waiting: dict[str, int]
    refused: int
    oldest: datetime | None
    held: bool = False
    one: str = "event"
    again_at: datetime | None = None


SAID = {  # what waits of a queue, as a sentence about one and about several
    "held": ("is held", "are held"),
    "pending": ("waits to be sent", "wait to be sent"),
    "sealed": ("is being sent", "are being sent"),
    "checking": ("is being checked by the receiver", "are being checked there"),
    "retrying": ("waits for its next try", "wait for their next try"),
}


def waits(queue: Queue, now: datetime) -> str:
    """Return what waits in each state, as sentences; empty when nothing does."""
    said = []
    for state, count in queue.waiting.items():
        if count:
            word = queue.one if count == 1 else f"{queue.one}s"
            known = SAID[state][count > 1]
            said.append(f"{count:,} {word} {known}{_from(queue, state, now)}.")
    return " ".join(said)


def _from(queue: Queue, state: str, now: datetime) -> str:
    if state != "retrying" or queue.again_at is None or queue.again_at <= now:
        return ""
    return f", from {queue.again_at.astimezone(UTC):%H:%M} UTC"


def queues() -> list[Queue]:
    """Return the queue of events (in events) and the one of usage reports."""
    return [_events(), _reports()]


def _events() -> Queue:
    found = telemetry.waiting()
    dead = Batch.objects.filter(dead_at__isnull=False, discarded_at=None)
    tried = Batch.objects.unsettled().filter(Q(attempts__gt=0) | Q(crashes__gt=0))
    counted = tried.aggregate(events=Sum("event_count"), at=Min("due_at"))
    again = counted["events"] or 0
    return Queue(
        "events",
        "Events",
        "Settings > Telemetry",
        "ui-telemetry",
        {
            "held": found.held,
            "pending": found.pending,
            "sealed": found.sealed - again,
            "retrying": again,
        },
        dead.count(),
        found.since,
        bool(found.held),
        again_at=counted["at"],
    )


def _reports() -> Queue:
    waits = Report.objects.open().aggregate(
        pending=Count("pk", filter=Q(attempts=0, crashes=0, status_id="")),
        checking=Count("pk", filter=~Q(status_id="")),
        total=Count("pk"),
        since=Min("built_at"),
        again_at=Min("due_at", filter=Q(attempts__gt=0) | Q(crashes__gt=0)),
    )
    again = waits["total"] - waits["pending"] - waits["checking"]
    last = Report.objects.first()
    refused = bool(last and last.dead_at and not last.replaced)
    return Queue(
        "reports",
        "Usage reports",
        "Settings > License",
        "ui-license",
        {
            "pending": waits["pending"],
            "checking": waits["checking"],
            "retrying": again,
        },
        int(refused),
        waits["since"],
        one="report",
        again_at=waits["again_at"],
    )
