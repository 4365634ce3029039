"""What the Audit log page shows: records that match, fifty at a time, newest first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from django.db.models import Q, QuerySet

from audit.models import Record

PAGE = 50


@dataclass(frozen=True)
class Filters:
    """What somebody looks for; empty members do not filter.

    ``first`` and ``last`` are UTC days, both included.
    """

    actor: str = ""
    actions: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None

    @property
    def any(self) -> bool:
        """Return whether anything is looked for."""
        return bool(self.actor or self.actions or self.first or self.last)


@dataclass(frozen=True)
class Page:
    """Records, and the cursors of the pages beside them; empty when there is none."""

    records: list[Record]
    newer: str = ""
    older: str = ""


def page(
    filters: Filters, *, after: str = "", before: str = "", limit: int = PAGE
) -> Page:
    """Return one page, the newest first, in one query.

    Args:
        after: The cursor of the last record of the page before this one.
        before: The cursor of the first record of the page after this one; at most one
            of both is given, and what is no cursor does not count.
    """
    found = _matching(filters).order_by("-at", "-sequence")
    if cursor := _read(before):
        above = list(found.filter(_beyond(cursor, "gt")).reverse()[: limit + 1])
        return _page(above[:limit][::-1], newer=len(above) > limit, older=True)
    cursor = _read(after)
    if cursor:
        found = found.filter(_beyond(cursor, "lt"))
    below = list(found[: limit + 1])
    return _page(below[:limit], newer=bool(cursor), older=len(below) > limit)


def records(filters: Filters, upto: int) -> Iterator[Record]:
    """Return all records that match, up to a number, in the order of the chain."""
    found = _matching(filters).filter(sequence__lte=upto).order_by("sequence")
    return found.iterator(chunk_size=1000)


def _page(shown: list[Record], *, newer: bool, older: bool) -> Page:
    return Page(
        shown,
        _write(shown[0]) if newer and shown else "",
        _write(shown[-1]) if older and shown else "",
    )


def _matching(filters: Filters) -> QuerySet[Record]:
    found = Record.objects.all()
    if filters.actor:
        found = found.filter(actor=filters.actor)
    if filters.actions:
        found = found.filter(action__in=filters.actions)
    if filters.first:
        found = found.filter(at__gte=datetime.combine(filters.first, time.min, UTC))
    if filters.last:
        found = found.filter(at__lte=datetime.combine(filters.last, time.max, UTC))
    return found


Cursor = tuple[datetime, int]


def _beyond(cursor: Cursor, way: str) -> Q:
    """Return what lies after (``lt``) or before (``gt``) a row; a range of the index."""
    at, sequence = cursor
    same = Q(at=at, **{f"sequence__{way}": sequence})
    return Q(**{f"at__{way}e": at}) & (Q(**{f"at__{way}": at}) | same)


def _write(record: Record) -> str:
    return f"{record.at.isoformat()}_{record.sequence}"


def _read(text: str) -> Cursor | None:
    moment, _, number = text.partition("_")
    try:
        at, sequence = datetime.fromisoformat(moment), int(number)
    except ValueError:
        return None
    return (at, sequence) if at.tzinfo and 0 < sequence < 1 << 63 else None
