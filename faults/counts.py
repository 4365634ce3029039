"""What the database of this process says became of events."""

from __future__ import annotations

from django.db import connection, connections

from telemetry.models import Batch, DailyCount


def captured() -> int:
    """Return how many events were ever committed: a trigger wrote each down."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM fault_fact")
            return int(cursor.fetchone()[0])
    finally:
        connections.close_all()


def accepted() -> int:
    """Return how many events the console itself says were accepted."""
    return _with(DailyCount.Outcome.ACCEPTED)


def discarded() -> int:
    """Return how many events the console itself says it discarded."""
    return _with(DailyCount.Outcome.DISCARDED)


def dead() -> int:
    """Return how many events are in batches that were refused for good."""
    refused = Batch.objects.filter(discarded_at=None).exclude(dead_at=None)
    try:
        return sum(refused.values_list("event_count", flat=True))
    finally:
        connections.close_all()


def _with(outcome: str) -> int:
    found = DailyCount.objects.filter(outcome=outcome)
    try:
        return sum(found.values_list("count", flat=True))
    finally:
        connections.close_all()
