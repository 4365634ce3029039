"""What the pages show of usage: limits, days, instances, versions, what was refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db.models import Count, Sum

from licensing.models import Entitlement
from usage import counting, forecast
from usage.days import Day
from usage.models import Cluster, Rejections, Reporter
from usage.services import InUse

PAGE = 50
DAY = timedelta(days=1)
LATE, SILENT = timedelta(hours=24), timedelta(days=7)
STATUSES = {
    "reporting": ("Reporting", "ok"),
    "late": ("Late", "warn"),
    "silent": ("Silent", "bad"),
}
REASONS = {
    "no_license": "no license was shown, and the address is not allowed",
    "wrong_license": "another license than the one added here",
    "no_header": "the Nginx-Usage header was missing",
    "not_json": "not a JSON object",
    "too_large": "too large",
    "too_many": "no room for more instances",
    "uuid": "no usable uuid",
    "uid": "address and body named different clusters",
    "text": "a text that cannot be read",
    "nap": "nap was neither active nor inactive",
    "number": "a count that is no whole number",
    "period": "a period in the future, or longer ago than is kept",
}


@dataclass(frozen=True)
class Limit:
    """One feature: what the license allows, and how much of it is in use.

    ``entitled`` is False for what is in use and not named in the license; ``limit`` is
    None without a limit; ``used`` is None where it is not counted here, and when
    nothing at all was reported: what nobody measured is not zero. ``full_on`` is the day
    the limit is reached at the present pace; None when that is not to be seen.
    """

    feature: str
    entitled: bool
    limit: int | None
    used: int | None
    day: date | None
    full_on: date | None = None

    @property
    def counted(self) -> bool:
        """Return whether it is counted here."""
        return self.feature in counting.FEATURES

    @property
    def over(self) -> int:
        """Return by how much the limit is exceeded; 0 when it is not."""
        if self.limit is None or self.used is None:
            return 0
        return max(0, self.used - self.limit)

    @property
    def percent(self) -> int | None:
        """Return how much of the limit is used, rounded down; None without either."""
        if not self.limit or self.used is None:
            return None
        return self.used * 100 // self.limit


@dataclass(frozen=True)
class Row:
    """One instance that reports, and how it stands now."""

    reporter: Reporter
    status: str

    @property
    def label(self) -> str:
        """Return the status in words."""
        return STATUSES[self.status][0]

    @property
    def kind(self) -> str:
        """Return the kind of pill that shows the status."""
        return STATUSES[self.status][1]


@dataclass(frozen=True)
class History:
    """What was in use on each of some days: instances at most, and all traffic."""

    days: list[date]
    instances: list[int]
    requests: int
    bytes: int


def limits(
    entitlements: Iterable[Entitlement],
    in_use: Mapping[str, InUse],
    *,
    counts: Mapping[tuple[date, str], int] | None = None,
    today: date | None = None,
) -> list[Limit]:
    """Return what is entitled, in the license's order, then what is only in use.

    Args:
        entitlements: What the license allows.
        in_use: What is in use now, per feature.
        counts: Totals of the last days, for a forecast; None makes none.
        today: The UTC day of now, with ``counts``.
    """
    found, rest = [], dict(in_use)
    for one in entitlements:
        used = rest.pop(one.feature, None)
        nothing = 0 if in_use and one.feature in counting.FEATURES else None
        limit, full = None if one.unlimited else one.limit, None
        if used and counts and today:
            lately = {
                day: n for (day, name), n in counts.items() if name == one.feature
            }
            full = forecast.full_on(lately, used.count, limit, today)
        found.append(
            Limit(
                one.feature,
                True,
                limit,
                used.count if used else nothing,
                used.day if used else None,
                full,
            )
        )
    return found + [
        Limit(name, False, None, use.count, use.day) for name, use in rest.items()
    ]


def history(days: Mapping[date, Day]) -> History:
    """Return the instances of each day, and the traffic of all."""
    return History(
        list(days),
        [one.counts.get("NGINX_INSTANCES", 0) for one in days.values()],
        sum(one.requests for one in days.values()),
        sum(one.bytes for one in days.values()),
    )


def known() -> bool:
    """Return whether anything ever reported here."""
    return Reporter.objects.exists() or Cluster.objects.exists()


def reporters(now: datetime, after: str = "") -> tuple[list[Row], str]:
    """Return fifty instances, the newest first, and where the next fifty begin.

    Args:
        now: Decides how each stands.
        after: Where the page before ended; anything else begins anew.
    """
    rows = Reporter.objects.order_by("-pk")
    if after.isascii() and after.isdigit() and len(after) < 19:
        rows = rows.filter(pk__lt=int(after))
    found = [Row(one, _status(one, now)) for one in rows[: PAGE + 1]]
    more = str(found[PAGE - 1].reporter.pk) if len(found) > PAGE else ""
    return found[:PAGE], more


def standing(now: datetime) -> dict[str, int]:
    """Return how many instances report, are late and are silent."""
    seen = Reporter.objects
    reporting = seen.filter(last_seen_at__gt=now - LATE).count()
    known = seen.filter(last_seen_at__gt=now - SILENT).count()
    total = seen.count()
    return {"reporting": reporting, "late": known - reporting, "silent": total - known}


def versions(now: datetime) -> list[tuple[str, int]]:
    """Return how many instances that are not silent run each version, most first."""
    rows = Reporter.objects.filter(last_seen_at__gt=now - SILENT).values_list("version")
    return list(rows.annotate(total=Count("pk")).order_by("-total", "version")[:20])


def clusters() -> list[Cluster]:
    """Return the clusters that reported, the last first."""
    return list(Cluster.objects.order_by("-updated_at")[:PAGE])


def turned_away(now: datetime) -> list[tuple[int, str]]:
    """Return how many messages of the last seven days were refused, and why."""
    since = now.astimezone(UTC).date() - 6 * DAY
    rows = Rejections.objects.filter(day__gte=since).values_list("reason")
    counted = rows.annotate(total=Sum("count")).order_by("-total", "reason")
    return [(total, REASONS.get(reason, reason)) for reason, total in counted]


def _status(reporter: Reporter, now: datetime) -> str:
    age = now - reporter.last_seen_at
    return "silent" if age >= SILENT else "late" if age >= LATE else "reporting"
