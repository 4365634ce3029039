"""``/api/platform/v1/report/send``: send usage from a script. Our own inference."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Status

from common.access import client_address
from common.api import Refused, api_needs
from common.models import Via
from common.roles import Role
from usage import ledger, reports, tasks
from usage.errors import ReportRefused

router = Router()
PAYMENT_REQUIRED = ("no_license", "license", "smime")


@router.post("/report/send", response={200: dict[str, Any], 202: dict[str, Any]})
@api_needs(Role.OPERATOR)
def send_report(request: HttpRequest) -> Status[dict[str, Any]]:
    """Build and send a usage report; 200 with the last one when nothing is new."""
    user: Any = request.user
    try:
        outcome = reports.send(
            by=user.get_username(),
            via=Via.API,
            now=timezone.now(),
            address=client_address(request),
        )
    except ReportRefused as refusal:
        status = 402 if refusal.code in PAYMENT_REQUIRED else 409
        raise Refused(status, refusal.sentence) from None
    if outcome.done != "nothing_new":
        tasks.nudge()
    report = outcome.report
    document = {
        "reportId": str(report.pk),
        "status": ledger.Row(report).status,
        "digest": report.digest,
        "fileSha256": report.file_sha256,
        "size": report.size,
        "receiptId": report.receipt or None,
    }
    return Status(200 if outcome.done == "nothing_new" else 202, document)
