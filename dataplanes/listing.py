"""What the Data planes page shows: those listed, fifty at a time, the latest first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q, QuerySet

from dataplanes.models import AgentToken, DataPlane, Refusals

PAGE = 50
LATE, SILENT = timedelta(hours=24), timedelta(days=7)
STATUSES = {
    "reporting": ("Reporting", "ok"),
    "late": ("Late", "warn"),
    "silent": ("Silent", "bad"),
    "removed": ("Removed", ""),
}


@dataclass(frozen=True)
class Row:
    """One line: a data plane and how it stands now."""

    data_plane: DataPlane
    status: str

    @property
    def name(self) -> str:
        """Return what people call it; its agent may not have told a name yet."""
        return self.data_plane.name or self.data_plane.hostname

    @property
    def label(self) -> str:
        """Return the status in words."""
        return STATUSES[self.status][0]

    @property
    def kind(self) -> str:
        """Return the kind of pill that shows the status."""
        return STATUSES[self.status][1]


@dataclass(frozen=True)
class Filters:
    """What somebody looks for; empty members do not filter.

    ``after`` and ``before`` are cursors of a row; at most one is set.
    """

    search: str = ""
    status: str = ""
    after: str = ""
    before: str = ""

    @property
    def any(self) -> bool:
        """Return whether anything is looked for."""
        return bool(self.search or self.status)


@dataclass(frozen=True)
class Page:
    """Rows, and the cursors of the pages beside them; empty when there is none."""

    rows: list[Row]
    newer: str
    older: str


def page(filters: Filters, *, now: datetime, limit: int = PAGE) -> Page:
    """Return one page, the latest seen first, in one query."""
    found = _matching(filters, now)
    if cursor := _read(filters.before):
        above = list(found.filter(_beyond(cursor, "gt")).reverse()[: limit + 1])
        shown = above[:limit][::-1]
        return _page(shown, now, newer=len(above) > limit, older=True)
    cursor = _read(filters.after)
    if cursor:
        found = found.filter(_beyond(cursor, "lt"))
    below = list(found[: limit + 1])
    return _page(below[:limit], now, newer=bool(cursor), older=len(below) > limit)


def _page(shown: list[DataPlane], now: datetime, *, newer: bool, older: bool) -> Page:
    return Page(
        [Row(one, status_of(one, now)) for one in shown],
        _write(shown[0]) if newer and shown else "",
        _write(shown[-1]) if older and shown else "",
    )


def status_of(data_plane: DataPlane, now: datetime) -> str:
    """Return the key of ``STATUSES`` that tells how a data plane stands."""
    if data_plane.removed_at:
        return "removed"
    away = now - data_plane.seen_at
    if away > SILENT:
        return "silent"
    return "late" if away > LATE else "reporting"


def _matching(filters: Filters, now: datetime) -> QuerySet[DataPlane]:
    removed = filters.status == "removed"
    found = DataPlane.objects.filter(removed_at__isnull=not removed)
    found = found.order_by("-seen_at", "-pk")
    if filters.status == "reporting":
        found = found.filter(seen_at__gte=now - LATE)
    elif filters.status == "late":
        found = found.filter(seen_at__lt=now - LATE, seen_at__gte=now - SILENT)
    elif filters.status == "silent":
        found = found.filter(seen_at__lt=now - SILENT)
    if text := filters.search.strip():
        named = Q(name__icontains=text) | Q(hostname__icontains=text)
        found = found.filter(named | Q(system_uid__istartswith=text))
    return found


Cursor = tuple[datetime, int]


def _beyond(cursor: Cursor, way: str) -> Q:
    """Return what lies after (``lt``) or before (``gt``) a row; a range of the index."""
    at, pk = cursor
    same = Q(seen_at=at, **{f"pk__{way}": pk})
    return Q(**{f"seen_at__{way}e": at}) & (Q(**{f"seen_at__{way}": at}) | same)


def _write(data_plane: DataPlane) -> str:
    return f"{data_plane.seen_at.isoformat()}_{data_plane.pk}"


def _read(text: str) -> Cursor | None:
    moment, _, number = text.partition("_")
    try:
        at, pk = datetime.fromisoformat(moment), int(number)
    except ValueError:
        return None
    return (at, pk) if at.tzinfo and 0 < pk < 1 << 63 else None


def any_ever() -> bool:
    """Return whether any data plane was ever registered."""
    return DataPlane.objects.exists()


def tokens() -> list[AgentToken]:
    """Return the tokens in force, the newest first."""
    return list(AgentToken.objects.filter(revoked_at=None))


def refused_today(now: datetime) -> list[tuple[int, str]]:
    """Return how often agents were refused on this UTC day, and why, most first."""
    today = Refusals.objects.filter(day=now.astimezone(UTC).date())
    return [(row.count, row.get_reason_display()) for row in today.order_by("-count")]
