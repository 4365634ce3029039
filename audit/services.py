"""Add to the chain, check it, and say where it ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from audit.models import Head, Record
from common.models import Via

NOBODY = "system"


@dataclass(frozen=True)
class Break:
    """The first place where the chain does not hold."""

    sequence: int
    reason: str


def _digest(record: Record) -> str:
    content = json.dumps(
        {
            "sequence": record.sequence,
            "at": record.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "actor": record.actor,
            "action": record.action,
            "subject": record.subject,
            "via": record.via,
            "address": record.address,
            "details": record.details,
            "previous": record.previous,
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(content.encode()).hexdigest()


def record(
    action: str,
    *,
    now: datetime,
    actor: str = NOBODY,
    via: str = Via.SYSTEM,
    subject: str = "",
    address: str = "",
    details: dict[str, Any] | None = None,
) -> Record:
    """Append one record in the caller's transaction; adders wait for each other.

    Args:
        action: A code such as ``connection.off`` or ``license.applied``.
        now: When it happened, with a time zone.
        actor: The user name of who did it; ``system`` for the product itself.
        via: One of ``common.models.Via``.
        subject: What it was done to, at most 200 characters.
        address: The client's IP address; empty when there is none.
        details: JSON values only; never a secret.
    """
    with transaction.atomic():
        head = Head.objects.select_for_update().get_or_create(pk=1)[0]
        added = Record(
            sequence=head.sequence + 1,
            at=now,
            actor=actor,
            action=action,
            subject=subject[:200],
            via=via,
            address=address,
            details=details or {},
            previous=head.digest,
        )
        added.digest = _digest(added)
        added.save(force_insert=True)
        head.sequence, head.digest = added.sequence, added.digest
        head.save()
    return added


def head() -> tuple[int, str]:
    """Return how many records there are and the digest of the last one."""
    row = Head.objects.filter(pk=1).first() or Head()
    return row.sequence, row.digest


def verify() -> Break | None:
    """Walk the whole chain; None when it is unbroken, else the first break."""
    expected, previous = 0, "0" * 64
    for row in _in_order():
        expected += 1
        if row.sequence != expected:
            return Break(expected, f"record {expected} is missing")
        if row.previous != previous or row.digest != _digest(row):
            return Break(row.sequence, f"record {row.sequence} was changed")
        previous = row.digest
    if head() != (expected, previous):
        return Break(expected + 1, f"the records after {expected} are missing")
    return None


def _in_order() -> Iterator[Record]:
    return Record.objects.order_by("sequence").iterator(chunk_size=1000)
