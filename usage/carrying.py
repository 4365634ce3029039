"""Reports that are carried by hand: give them out, take their acknowledgement."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.conf import settings
from django.db import transaction

from audit import services as audit
from licensing import services as licensing
from licensing.keys import key_set
from usage import acknowledgement, document, reports
from usage.acknowledgement import Acknowledgement
from usage.errors import AcknowledgementRefused
from usage.models import Report

log = structlog.get_logger(__name__)
LARGEST = acknowledgement.LARGEST


@dataclass(frozen=True)
class Accepted:
    """The report an acknowledgement closed; ``again`` when it was closed before."""

    report: Report
    again: bool

    @property
    def part(self) -> str:
        """Return how much of it was accepted, as ``2 of 3 files``; empty for all."""
        if not self.report.left_out:
            return ""
        files = self.report.files.count()
        return f"{files - self.report.left_out} of {files} files"


def give(
    report: Report,
    *,
    credentials: bool,
    by: str,
    via: str,
    now: datetime,
    address: str = "",
) -> bytes:
    """Return the ZIP of a report for somebody who carries it; that is recorded.

    Args:
        credentials: Whether the license goes along; only for an administrator.
        by: User name of who takes it.
        via: One of ``common.models.Via``.
        address: That user's IP address, for the audit record only.

    Raises:
        SealBroken: The key that sealed the license is gone.
    """
    archive = reports.archive_of(report)
    if credentials:
        archive = document.with_credentials(archive, licensing.token(report.license_id))
    with transaction.atomic():
        Report.objects.filter(pk=report.pk).update(carried_at=now, carried_by=by)
        audit.record(
            "usage.credentials_downloaded"
            if credentials
            else "usage.report_downloaded",
            now=now,
            actor=by,
            via=via,
            subject=str(report.pk),
            address=address,
            details={"digest": report.digest},
        )
    return archive


def accept(
    body: bytes,
    *,
    confirmed: bool,
    by: str,
    via: str,
    now: datetime,
    address: str = "",
) -> Accepted:
    """Close the report an acknowledgement belongs to; the same again changes nothing.

    Files it leaves out were not accepted: their days go into the next report.

    Args:
        body: The file as it came.
        confirmed: An administrator takes it although it cannot be checked here.
        by: User name of who brings it.
        via: One of ``common.models.Via``.
        address: That user's IP address, for the audit record only.

    Raises:
        AcknowledgementRefused: It closes nothing; nothing was changed. Beside the codes
            of ``acknowledgement.read``: ``no_report``, ``closed``, ``unchecked``.

    Source:
        decision 8; protocol.md 1.4
    """
    with transaction.atomic():
        report = _report_of(body)
        report = Report.objects.select_for_update().get(pk=report.pk)
        said = _read(body, report)
        if report.accepted_at:
            return Accepted(report, again=True)
        if report.dead_at and not report.replaced:
            raise AcknowledgementRefused(
                "closed", f"Report {report.pk} is closed: {report.dead_reason}"
            )
        if not said.checked:
            _needs_confirmation(report, confirmed=confirmed)
        report.accepted_at, report.acknowledged_by = now, by
        report.acknowledgement, report.acknowledgement_checked = body, said.checked
        report.receipt, report.lease, report.leased_until = said.receipt, None, None
        report.left_out = len(said.left_out)
        report.dead_at, report.dead_reason, report.replaced = None, "", False
        report.save()
        report.leave_out(said.left_out)
        mine = licensing.standing(now).terms.subscription_id
        if report.subscription_id == mine and not report.left_out:
            licensing.report_acknowledged(now)
        audit.record(
            "usage.acknowledged",
            now=now,
            actor=by,
            via=via,
            subject=str(report.pk),
            address=address,
            details={
                "digest": report.digest,
                "checked": said.checked,
                "leftOut": report.left_out,
            },
        )
    log.info(
        "report.acknowledged",
        report=str(report.pk),
        checked=said.checked,
        left_out=report.left_out,
    )
    return Accepted(report, again=False)


def _report_of(body: bytes) -> Report:
    """Return the report a file is for: the one it names, else the one downloaded."""
    carried = Report.objects.open().exclude(carried_at=None)
    name = acknowledgement.named(body)
    if not name:
        known = Report.objects.filter(acknowledgement=body).first() or carried.first()
        if known:
            return known
        raise AcknowledgementRefused(
            "no_report",
            "No downloaded report waits for an acknowledgement. Download the report,"
            " carry it to F5, then upload what F5 returned.",
        )
    number = _number(name)
    found = number and Report.objects.filter(pk=number).first()
    if found:
        return found
    waiting = Report.objects.open().first()
    need = f"You need the one for {waiting.pk}." if waiting else "No report is open."
    raise AcknowledgementRefused(
        "other_report", f"This acknowledgement belongs to report {name[:36]}. {need}"
    )


def _number(name: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(name)
    except ValueError:
        return None


def _read(body: bytes, report: Report) -> Acknowledgement:
    return acknowledgement.read(
        body,
        report_id=str(report.pk),
        digest=report.digest,
        jwks=key_set().jwks,
        algorithms=settings.NMS_JWT_ALGORITHMS,
        files=dict(report.files.values_list("name", "sha256")),
    )


def _needs_confirmation(report: Report, *, confirmed: bool) -> None:
    if settings.SANDBOX:
        raise AcknowledgementRefused(
            "unchecked",
            "The file is no acknowledgement of the test receiver, or its keys are"
            " missing, so it cannot be checked.",
        )
    if not confirmed:
        raise AcknowledgementRefused(
            "unchecked",
            "The signature of this acknowledgement cannot be checked here. Confirm"
            f" that F5 returned it for report {report.pk}.",
        )
