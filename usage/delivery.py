"""From a built report to its acknowledgement: upload, ask how far, fetch, check.

Each step is one call under a lease of its own, and none is open in a transaction. What
a worker that died may have sent is sent again: the same bytes under the same key.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F

from common import faults, setup
from common.sealing import SealBroken
from egress import destinations, gate
from egress import services as egress
from egress.destinations import Destination
from egress.errors import (
    CredentialsRefused,
    NotAllowed,
    PermanentError,
    TransientError,
)
from egress.models import Gate, Pause
from egress.transport import Answer
from licensing import services as licensing
from licensing.keys import key_set
from usage import answers
from usage.models import Report

log = structlog.get_logger(__name__)
DESTINATION = "usage"
KIND = "report"  # of egress.Attempt
DEADLINE = timedelta(seconds=80)
LEASE = timedelta(seconds=100)
BUDGET = timedelta(seconds=5)  # with one deadline on top below the task's limit
CRASHES = 5
LATER = timedelta(hours=1)
SOON = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=10)
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Call:
    """One call for one report: where to, under which pass and token, by which clock."""

    report: Report
    destination: Destination
    ticket: gate.Pass
    token: str
    clock: Clock


def deliver(clock: Clock) -> int:
    """Take the open report as far as it goes now.

    Returns:
        In how many seconds to go on because somebody waits for it; 0 when nobody does.
    """
    start, done = clock(), None
    destination = destinations.find(DESTINATION)
    while destination and clock() - start < BUDGET and not stopped():
        now = clock()
        waiting = Report.objects.due(now).first()
        if waiting is None or not may_go(waiting, now):
            break
        ticket = gate.enter(destination.host, now, LEASE)
        if ticket is None:
            break
        report = claim(now)
        if report is None:
            gate.left(ticket)
            break
        done = report
        gate.resume(DESTINATION)  # of another license
        if not _step(report, destination, ticket, clock):
            break
    return int(SOON.total_seconds()) if done and _waited_for(done, clock()) else 0


def may_go(report: Report, now: datetime) -> bool:
    """Return whether a report may be sent now: the license, the mode and the choice.

    One that nobody asked for goes only with Continuous Connection on.
    """
    standing = licensing.standing(now)
    return (
        setup.finished_at() is not None
        and setup.operation_mode() == "connected"
        and standing.state.usable
        and standing.terms.bearer
        and standing.terms.subscription_id == report.subscription_id
        and (report.selected_at is not None or licensing.connection_on())
    )


def stopped() -> Pause | None:
    """Return the refusal of the license since which nothing is sent; else None.

    Another license lifts it.
    """
    pause = gate.paused(DESTINATION)
    found = licensing.current() if pause else None
    lifted = pause and found and pause.paused_at < found.applied_at
    return None if lifted else pause


def trouble() -> Gate | Pause | None:
    """Return why a report waits although it may go: a pause, or a closed gate."""
    destination = destinations.find(DESTINATION)
    return stopped() or (gate.state(destination.host) if destination else None)


def try_now(now: datetime) -> None:
    """Let the next sweep send at once, also after a refusal: somebody asked."""
    if destination := destinations.find(DESTINATION):
        gate.override(destination.host, now)
    gate.resume(DESTINATION)


def claim(now: datetime) -> Report | None:
    """Lease the due report to this worker; None when there is none.

    A report whose lease ran out was left by a worker that died: that is counted, and
    after five times the report is dead.
    """
    for found in Report.objects.due(now).only("pk", "lease", "crashes"):
        crashed, lease = found.lease is not None, uuid.uuid4()
        changes: dict[str, Any] = {"lease": lease, "leased_until": now + LEASE}
        if crashed:
            changes["crashes"] = found.crashes + 1
        if dead := found.crashes + crashed >= CRASHES:
            changes |= {"lease": None, "leased_until": None, "dead_at": now}
            changes["dead_reason"] = f"Sending it ended the worker {CRASHES} times."
        mine = Report.objects.due(now).filter(pk=found.pk, lease=found.lease)
        if not mine.update(**changes):
            continue
        if crashed:
            egress.abandon(KIND, str(found.pk), now)
            log.warning("report.worker_ended", report=str(found.pk), dead=dead)
        faults.reach("usage.claimed")
        if not dead:
            return Report.objects.filter(pk=found.pk, lease=lease).first()
    return None


def settle(report: Report, **changes: Any) -> bool:
    """Write an outcome under this worker's lease; False when the lease was lost."""
    faults.reach("usage.settling")
    mine = Report.objects.open().filter(pk=report.pk, lease=report.lease)
    done = bool(mine.update(lease=None, leased_until=None, **changes))
    faults.reach("usage.settled")
    if not done:
        log.warning("report.lease_lost", report=str(report.pk))
    return done


def form(report: Report) -> bytes:
    """Return the multipart form of an upload; a retry has the very same bytes."""
    boundary = str(report.pk)
    head = (
        f"--{boundary}\r\n"
        'Content-Disposition: form-data; name="file"; '
        f'filename="usage-report-{boundary}.zip"\r\n'
        "Content-Type: application/zip\r\n\r\n"
    )
    parts = [bytes(part.content) for part in report.parts.all()]
    return b"".join([head.encode(), *parts, f"\r\n--{boundary}--\r\n".encode()])


def _waited_for(report: Report, now: datetime) -> bool:
    """Return whether somebody waits for a check that is asked about again soon."""
    asked = Report.objects.open().exclude(selected_at=None).exclude(status_id="")
    soon = now + SOON
    return not trouble() and asked.filter(pk=report.pk, due_at__lte=soon).exists()


def _step(
    report: Report, destination: Destination, ticket: gate.Pass, clock: Clock
) -> bool:
    """Make the next call of a report and settle it; return whether to go on."""
    try:
        token = licensing.token(licensing.standing(clock()).terms.license_id or 0)
    except SealBroken:
        log.exception("report.token_unreadable", report=str(report.pk))
        gate.left(ticket)
        settle(report, due_at=clock() + LATER)
        return False
    call = Call(report, destination, ticket, token, clock)
    step = _upload
    if report.status_id:
        step = _fetch if report.download_id else _ask
    try:
        return step(call)
    except NotAllowed:
        settle(report)
    except TransientError as error:
        until = gate.closed_until(destination.host) or clock()
        changes: dict[str, Any] = {"due_at": until, "attempts": F("attempts") + 1}
        if report.status_id and error.status in (404, 410):
            changes |= {"status_id": "", "download_id": "", "percent": 0}
        settle(report, **changes)
    except CredentialsRefused as error:
        gate.pause(DESTINATION, error.status or 401, clock())
        settle(report)
        log.warning("report.paused", status=error.status)
    except PermanentError as error:
        _refused(report, error, clock())
    return False


def _upload(call: Call) -> bool:
    report = call.report
    status_id = egress.send(
        _item(report, form(report)),
        call.destination,
        call.ticket,
        headers={"Authorization": f"Bearer {call.token}"},
        allowed=partial(_still_mine, report, call.clock),
        accept=answers.upload,
        clock=call.clock,
        content_type=f"multipart/form-data; boundary={report.pk}",
        deadline=DEADLINE,
    )
    now = call.clock()
    return settle(
        report,
        status_id=status_id,
        uploaded_at=now,
        due_at=now,
        attempts=F("attempts") + 1,
    )


def _ask(call: Call) -> bool:
    """Ask how far the check is; go on at once when the acknowledgement is ready."""
    status = _get(call, "status", call.report.status_id, answers.status)
    if status.download_id:
        return settle(
            call.report,
            percent=100,
            download_id=status.download_id,
            successful=status.successful,
        )
    settle(call.report, percent=status.percent, due_at=_next_question(call))
    return False


def _fetch(call: Call) -> bool:
    """Fetch the acknowledgement; only one of this very report ends it.

    What it leaves out goes into the next report.
    """
    report = call.report
    said = _get(
        call,
        "download",
        report.download_id,
        partial(
            answers.download,
            report_id=str(report.pk),
            digest=report.digest,
            jwks=key_set().jwks,
            algorithms=settings.NMS_JWT_ALGORITHMS,
            files=dict(report.files.values_list("name", "sha256")),
            successful=report.successful,
        ),
        deadline=DEADLINE,
        limit=answers.LARGEST,
    )
    log.info(
        "report.accepted",
        report=str(report.pk),
        receipt=said.receipt,
        left_out=len(said.left_out),
    )
    with transaction.atomic():
        done = settle(
            report,
            accepted_at=call.clock(),
            receipt=said.receipt,
            acknowledgement=said.body,
            acknowledgement_checked=said.checked,
            left_out=len(said.left_out),
        )
        if done:
            report.leave_out(said.left_out)
    return done


def _get(
    call: Call, step: str, number: str, accept: Callable[[Answer], Any], **more: Any
) -> Any:
    report = call.report
    there = replace(
        call.destination,
        name=f"{DESTINATION}-{step}",
        url=f"{call.destination.url}/{step}/{number}",
    )
    return egress.ask(
        _item(report, b""),
        there,
        call.ticket,
        headers={"Authorization": f"Bearer {call.token}"},
        allowed=partial(_still_mine, report, call.clock),
        accept=accept,
        clock=call.clock,
        **more,
    )


def _item(report: Report, body: bytes) -> egress.Item:
    number = str(report.pk)
    return egress.Item(KIND, number, number, body, licensing.connection_number())


def _still_mine(report: Report, clock: Clock) -> bool:
    """Ask everything again, right before the first byte."""
    mine = Report.objects.open().filter(pk=report.pk, lease=report.lease).first()
    return mine is not None and may_go(mine, clock())


def _next_question(call: Call) -> datetime:
    """Return when to ask again: at first every five seconds, later less often."""
    now, since = call.clock(), call.report.uploaded_at
    passed = (now - since) / 4 if since else SOON
    return now + min(max(passed, SOON), LONGEST_PAUSE)


def _refused(report: Report, error: PermanentError, now: datetime) -> None:
    sentence = error.sentence
    if error.code in ("partial", "none_accepted"):
        sentence = f"{sentence} All of it goes into the next report."
    elif error.status == 413:
        sentence = f"It takes no report of {report.size:,} bytes (413)."
    settle(report, dead_at=now, dead_reason=sentence, attempts=F("attempts") + 1)
    log.warning("report.refused", report=str(report.pk), status=error.status)
