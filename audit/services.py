"""Add to the chain, check it, and say where it ends."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import Subquery

from audit.models import Check, Head, Record
from common.models import Via

NOBODY = "system"
CHUNK = 2000


@dataclass(frozen=True)
class Break:
    """The first place where the chain does not hold."""

    sequence: int
    reason: str


@dataclass(frozen=True)
class Place:
    """A record of the chain: its number and its digest; 0 stands before the first."""

    sequence: int = 0
    digest: str = "0" * 64


@dataclass(frozen=True)
class Look:
    """What a look at part of the chain found; ``more``: it is not at the head yet."""

    reached: Place
    broken: Break | None = None
    more: bool = False


def members(record: Record) -> dict[str, Any]:
    """Return what the digest of a record covers, as exports write it."""
    return {
        "sequence": record.sequence,
        "at": record.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": record.actor,
        "action": record.action,
        "subject": record.subject,
        "via": record.via,
        "address": record.address,
        "details": record.details,
        "previous": record.previous,
    }


def content(record: Record) -> str:
    """Return the exact text whose SHA-256 is the digest of a record."""
    return json.dumps(members(record), sort_keys=True, separators=(",", ":"))


def digest(record: Record) -> str:
    """Return the digest a record must have."""
    return hashlib.sha256(content(record).encode()).hexdigest()


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
    with transaction.atomic(savepoint=False):
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
        added.digest = digest(added)
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
    return look(Place()).broken


def look(start: Place, most: int | None = None) -> Look:
    """Check the records after ``start``, at most ``most`` of them, and how it ends.

    Records that were checked before must still be there, with the digests they had.
    """
    end, last = _ends()
    stop = end.sequence if most is None else min(start.sequence + most, end.sequence)
    at, known = start, _known()
    for row in _between(start.sequence, stop):
        number = at.sequence + 1
        if row.sequence != number:
            return Look(at, Break(number, f"record {number} is missing"))
        if row.previous != at.digest or row.digest != digest(row):
            return Look(at, Break(number, f"record {number} was changed"))
        at = Place(number, row.digest)
        if number == known.sequence and at != known:
            reason = f"the records up to {number} were written anew"
            return Look(at, Break(number, reason))
    if at.sequence < stop or end.sequence < known.sequence:
        cut = f"the records after {at.sequence} are missing"
        return Look(at, Break(at.sequence + 1, cut))
    if at.sequence < end.sequence:
        return Look(at, more=True)
    if last > end.sequence:
        return Look(at, Break(last, f"the head does not name record {last}"))
    changed = Break(end.sequence, "the head was changed") if at != end else None
    return Look(at, changed)


def _ends() -> tuple[Place, int]:
    """Return what the head says and the number of the last record, of one moment."""
    last = Record.objects.order_by("-sequence").values("sequence")[:1]
    row = Head.objects.filter(pk=1).annotate(last=Subquery(last)).first()
    if row is None:
        return Place(), last.values_list("sequence", flat=True).first() or 0
    return Place(row.sequence, row.digest), row.last or 0


def _known() -> Place:
    """Return the record at which the last check found the chain unbroken."""
    row = Check.objects.filter(pk=1).first() or Check()
    return Place(row.count, row.digest)


def _between(after: int, stop: int) -> Iterator[Record]:
    """Return records in order, without a transaction that lasts."""
    while after < stop:
        found = Record.objects.filter(sequence__gt=after, sequence__lte=stop)
        chunk = list(found.order_by("sequence")[:CHUNK])
        yield from chunk
        after = chunk[-1].sequence if chunk else stop
