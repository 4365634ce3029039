"""How each host that is called answers: what Overview, health and the pages say of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from egress import destinations, gate
from egress.models import Attempt, Gate

SLOW_AFTER = timedelta(seconds=10)
LATELY = 200  # tries that are looked at for the last ones to each host
FAILED = (Attempt.Outcome.FAILED, Attempt.Outcome.UNKNOWN)
ANSWERED = (Attempt.Outcome.ACCEPTED, Attempt.Outcome.REFUSED)


@dataclass(frozen=True)
class Host:
    """One host that is called.

    Attributes:
        name: ``host:port``.
        destinations: What is called there.
        closed: Its gate, while the last call failed.
        hanging: A call it has left without an answer for ten seconds.
        last: The last try that ended.
        failing_since: When the first of the tries began that failed since an answer.
    """

    name: str
    destinations: tuple[str, ...]
    closed: Gate | None
    hanging: Attempt | None
    last: Attempt | None
    failing_since: datetime | None

    @property
    def since(self) -> datetime | None:
        """Return since when it gives no answer; None when it does, or it is unknown."""
        if self.closed:
            return self.failing_since
        return self.hanging.started_at if self.hanging else None

    def trouble(self, now: datetime) -> str:
        """Say that it does not answer, and since when; empty when it does."""
        if not self.closed and not self.hanging:
            return ""
        if self.since is None:
            return f"{self.name} does not answer"
        at = self.since.astimezone(UTC)
        day = "" if at.date() == now.astimezone(UTC).date() else f"{at.day} {at:%b}, "
        answered = self.closed and self.last and self.last.status
        verb = "has taken nothing" if answered else "has not answered"
        return f"{self.name} {verb} since {day}{at:%H:%M} UTC"


def hosts(now: datetime, *, connected: bool) -> list[Host]:
    """Return every host that is called, in the order of the settings.

    Args:
        now: The moment.
        connected: False in disconnected operation, where nothing is called.
    """
    if not connected:
        return []
    gates = Gate.objects.filter(failures__gt=0).in_bulk()
    tries: dict[str, list[Attempt]] = {}
    for one in Attempt.objects.order_by("-started_at", "-pk")[:LATELY]:
        tries.setdefault(one.host, []).append(one)
    called: dict[str, list[str]] = {}
    for to in destinations.configured():
        called.setdefault(to.host, []).append(to.name)
    found = []
    for name, names in called.items():
        mine = tries.get(name, [])
        ended = [one for one in mine if one.outcome]
        found.append(
            Host(
                name,
                tuple(names),
                gates.get(name),
                _hanging(mine, now),
                ended[0] if ended else None,
                _failing_since(ended),
            )
        )
    return found


def failing(destination: str, now: datetime) -> str:
    """Say that the host of a destination does not answer; empty when it does."""
    called = hosts(now, connected=True)
    found = (one.trouble(now) for one in called if destination in one.destinations)
    return next(found, "")


def failing_since(now: datetime, *, connected: bool) -> datetime | None:
    """Return since when some host gives no answer, the latest; None when all do."""
    called = hosts(now, connected=connected)
    return max((one.since for one in called if one.since), default=None)


def _hanging(tries: list[Attempt], now: datetime) -> Attempt | None:
    """Return the oldest call without an answer, unless the host answered since."""
    answers = [x.finished_at for x in tries if x.outcome in ANSWERED and x.finished_at]
    last = max(answers, default=None)
    found = None
    for one in tries:  # the newest first
        slow = SLOW_AFTER <= now - one.started_at < gate.LONGEST_TRY
        if not one.outcome and slow and (last is None or one.started_at > last):
            found = one
    return found


def _failing_since(ended: list[Attempt]) -> datetime | None:
    since = None
    for one in ended:  # the newest first
        if one.outcome in ANSWERED:
            break
        if one.outcome in FAILED:
            since = one.started_at
    return since
