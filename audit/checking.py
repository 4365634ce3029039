"""Walk the chain a slice at a time, so that a worker stays free for deliveries."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog

from audit import services
from audit.models import Check
from audit.services import Look, Place

log = structlog.get_logger(__name__)
SLICE = 20_000
EVERY = timedelta(hours=1)


def state() -> Check:
    """Return how the walk stands and how the last one ended."""
    return Check.objects.filter(pk=1).first() or Check()


def ask(now: datetime) -> None:
    """Store that somebody wants the chain checked; a worker does it."""
    Check.objects.get_or_create(pk=1)
    Check.objects.filter(pk=1).update(asked_at=now)


def go_on(now: datetime, most: int = SLICE) -> bool:
    """Check the next slice; begin when it was asked for or an hour has passed.

    Every walk begins at the first record. Of two workers at the same slice the second
    one's outcome is dropped.

    Returns:
        Whether there is more to check.
    """
    row, _ = Check.objects.get_or_create(pk=1)
    if not (row.began_at or _is_due(row, now)):
        return False
    found = services.look(Place(row.position, row.position_digest), most)
    changes = _position(found, row, now) if found.more else _outcome(found, row, now)
    same = {name: getattr(row, name) for name in ("began_at", "asked_at", "position")}
    if not Check.objects.filter(pk=1, **same).update(**changes):
        return False
    if found.broken:
        log.error("audit.broken", at=found.broken.sequence, reason=found.broken.reason)
    return found.more


def _is_due(row: Check, now: datetime) -> bool:
    return bool(row.asked_at) or row.ended_at is None or now - row.ended_at >= EVERY


def _position(found: Look, row: Check, now: datetime) -> dict[str, Any]:
    at = found.reached
    began = row.began_at or now
    return {"began_at": began, "position": at.sequence, "position_digest": at.digest}


def _outcome(found: Look, row: Check, now: datetime) -> dict[str, Any]:
    """Return how the walk ended; an answer to who asked before it began."""
    at, broken, start = found.reached, found.broken, Place()
    later = (
        row.asked_at if row.began_at and (row.asked_at or now) > row.began_at else None
    )
    changes: dict[str, Any] = {
        "asked_at": later,
        "began_at": None,
        "position": start.sequence,
        "position_digest": start.digest,
        "ended_at": now,
        "broken_at": broken.sequence if broken else None,
        "reason": broken.reason if broken else "",
    }
    return changes if broken else changes | {"count": at.sequence, "digest": at.digest}
