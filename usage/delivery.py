"""From a built report to its acknowledgement: upload, ask how far, fetch, check.

With NMS_USAGE_CHANNEL=batch each file goes by itself and its answer is the receipt.

Each step is one call under a lease of its own, and none is open in a transaction. What
a worker that died may have sent is sent again: the same bytes under the same key.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
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
from egress import gate
from egress import services as egress
from egress.destinations import BATCH, Destination
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
from usage import answers, batch
from usage.models import Report

log = structlog.get_logger(__name__)
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
    while clock() - start < BUDGET:
        now = clock()
        waiting = Report.objects.due(now).first()
        if waiting is None or stopped(waiting) or not may_go(waiting, now):
            break
        destination = batch.destination(waiting)
        if destination is None:
            break
        ticket = gate.enter(destination.host, now, LEASE)
        if ticket is None:
            break
        report = claim(now)
        if report is None:
            gate.left(ticket)
            break
        done = report
        gate.resume(destination.name)  # of another license
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


def stopped(report: Report | None = None) -> Pause | None:
    """Return the refusal of the license since which nothing is sent; else None.

    Another license lifts it.

    Args:
        report: The one to be sent, where it is known: it may have been begun another
            way than the settings say now.
    """
    destination = batch.destination(report)
    pause = gate.paused(destination.name) if destination else None
    found = licensing.current() if pause else None
    lifted = pause and found and pause.paused_at < found.applied_at
    return None if lifted else pause


def trouble(report: Report) -> Gate | Pause | None:
    """Return why a report waits although it may go: a pause, or a closed gate."""
    destination = batch.destination(report)
    return stopped(report) or (gate.state(destination.host) if destination else None)


def try_now(report: Report, now: datetime) -> None:
    """Let the next sweep send at once, also after a refusal: somebody asked."""
    if destination := batch.destination(report):
        gate.override(destination.host, now)
        gate.resume(destination.name)


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
            egress.abandon(batch.KIND, str(found.pk), now)
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
    return not trouble(report) and asked.filter(pk=report.pk, due_at__lte=soon).exists()


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
    step = _send_part if destination.name == BATCH else _upload
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
        gate.pause(destination.name, error.status or 401, clock())
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


def _send_part(call: Call) -> bool:
    """Send the next file by itself; one that is refused for good is left out."""
    report, part = call.report, batch.next_part(call.report)
    if part is None:  # the worker that had the last answer died
        gate.left(call.ticket)
        return _conclude(call)
    receipt = ""
    try:
        receipt = egress.send(
            replace(_item(report, part.body), key=part.key),
            call.destination,
            call.ticket,
            headers={"Authorization": f"Bearer {call.token}"},
            allowed=partial(_still_mine, report, call.clock),
            accept=partial(batch.take, report=report, part=part),
            clock=call.clock,
            content_type="application/gzip",
            deadline=DEADLINE,
        )
    except PermanentError as error:
        if not part.number:
            raise
        batch.leave(report, part)
        log.warning("report.file_refused", report=str(report.pk), status=error.status)
    return _conclude(call, receipt)


def _conclude(call: Call, receipt: str = "") -> bool:
    """Go on with the next file, or end the report when each has its answer."""
    report, now = call.report, call.clock()
    files = list(report.files.all())
    since = report.uploaded_at or now
    if any(one.accepted is None for one in files):
        return settle(report, due_at=now, uploaded_at=since)
    if refused := batch.refusal(report, files):
        return settle(report, dead_at=now, **refused)
    left_out = [one.name for one in files if not one.accepted]
    receipts = [one.receipt for one in files if one.receipt]
    receipt = receipts[-1] if receipts else receipt
    return _accepted(call, left_out, receipt=receipt, uploaded_at=since)


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
    return _accepted(
        call,
        said.left_out,
        receipt=said.receipt,
        acknowledgement=said.body,
        acknowledgement_checked=said.checked,
    )


def _accepted(
    call: Call, left_out: Collection[str], *, receipt: str, **changes: Any
) -> bool:
    """End a report as accepted, but for the files that were left out."""
    report, many = call.report, len(left_out)
    log.info("report.accepted", report=str(report.pk), receipt=receipt, left_out=many)
    changes |= {"accepted_at": call.clock(), "receipt": receipt, "left_out": many}
    with transaction.atomic():
        done = settle(report, **changes)
        if done:
            report.leave_out(left_out)
    return done


def _get(
    call: Call, step: str, number: str, accept: Callable[[Answer], Any], **more: Any
) -> Any:
    report = call.report
    there = replace(
        call.destination,
        name=f"{call.destination.name}-{step}",
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
    return egress.Item(batch.KIND, number, number, body, licensing.connection_number())


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
