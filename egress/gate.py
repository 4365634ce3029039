"""One gate per host, shared by all workers: closed after a failure, for a while.

Once the wait is over one call at a time is let through, the probe; its success opens
the gate. A pause is something else: a destination refused our credentials, and waits
for a person or another license.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db.models import F, Q, QuerySet

from common import repeats
from egress import backoff
from egress.errors import TransientError
from egress.models import Attempt, Gate, Pause, over

log = structlog.get_logger(__name__)
PROBE_LEASE = timedelta(seconds=40)
LONGEST_TRY = timedelta(seconds=90)  # the longest deadline, and some to write it down


@dataclass(frozen=True)
class Pass:
    """The right to call a host now; hand it back by succeeded, failed or left."""

    host: str
    failures: int
    probe: uuid.UUID | None


def enter(host: str, now: datetime, lease: timedelta = PROBE_LEASE) -> Pass | None:
    """Return a pass for one call, or None while the gate is closed.

    After a failure there is one pass at a time, claimed by a conditional UPDATE; that
    of a worker that died becomes free again after ``lease``.
    """
    gate = Gate.objects.filter(pk=host).first()
    if gate is None or gate.failures == 0:
        return Pass(host, 0, None)
    probe = uuid.uuid4()
    free = Q(probe=None) | over("probe_until", now)
    claimed = Gate.objects.filter(
        free, over("closed_until", now), pk=host, failures=gate.failures
    ).update(probe=probe, probe_until=now + lease)
    return Pass(host, gate.failures, probe) if claimed else None


def succeeded(ticket: Pass) -> None:
    """Open the gate: the host answered as it should."""
    if not ticket.failures:
        return
    opened = Gate.objects.filter(pk=ticket.host, failures__gt=0).update(
        failures=0, closed_until=None, cause="", sentence="", probe=None
    )
    if opened:
        log.info("host.answers_again", host=ticket.host, failed=ticket.failures)


def failed(ticket: Pass, error: TransientError, now: datetime) -> datetime:
    """Close the gate for longer, once for calls that ran at the same time.

    The first failure is logged, then those in a row that double, and each new cause.

    Returns:
        Until when it is closed.
    """
    until = now + max(
        backoff.wait(ticket.failures + 1), error.retry_after or timedelta()
    )
    before = Gate.objects.get_or_create(pk=ticket.host)[0].cause
    mine = Gate.objects.filter(pk=ticket.host, failures=ticket.failures).update(
        failures=F("failures") + 1,
        closed_until=until,
        cause=error.code,
        sentence=error.sentence[:300],
        probe=None,
    )
    number = ticket.failures + 1
    if mine and (before != error.code or repeats.worth_a_line(number)):
        log.warning(
            "host.fails",
            host=ticket.host,
            cause=error.code,
            sentence=error.sentence,
            in_a_row=number,
            again_at=until.isoformat(timespec="seconds"),
        )
    return closed_until(ticket.host) or until


def left(ticket: Pass) -> None:
    """Hand a pass back unused."""
    if ticket.probe:
        Gate.objects.filter(pk=ticket.host, probe=ticket.probe).update(probe=None)


def closed_until(host: str) -> datetime | None:
    """Return until when a host is not called; None while its gate is open."""
    return (
        Gate.objects.filter(pk=host, failures__gt=0)
        .values_list("closed_until", flat=True)
        .first()
    )


def state(host: str) -> Gate | None:
    """Return the closed gate of a host, with the cause; None while it is open."""
    return Gate.objects.filter(pk=host, failures__gt=0).first()


def last_failure(host: str) -> Attempt | None:
    """Return the newest try that failed on a host: the one that closed its gate."""
    ended = (Attempt.Outcome.FAILED, Attempt.Outcome.UNKNOWN)
    tries = Attempt.objects.filter(host=host, outcome__in=ended)
    return tries.order_by("-started_at").first()


def under_way(now: datetime) -> QuerySet[Attempt]:
    """Return the tries that wait for an answer; not those of workers that died."""
    return Attempt.objects.filter(outcome="", started_at__gt=now - LONGEST_TRY)


def override(host: str, now: datetime) -> None:
    """Let the next probe through at once: somebody selected Try now."""
    Gate.objects.filter(pk=host, failures__gt=0).update(closed_until=now)


def pause(destination: str, status: int, now: datetime) -> None:
    """Let nothing go to a destination that refused our credentials."""
    Pause.objects.update_or_create(
        pk=destination, defaults={"paused_at": now, "status": status}
    )


def resume(destination: str) -> None:
    """Lift a pause: the license changed, or somebody selected Try now."""
    Pause.objects.filter(pk=destination).delete()


def paused(destination: str) -> Pause | None:
    """Return the pause of a destination; None when there is none."""
    return Pause.objects.filter(pk=destination).first()
