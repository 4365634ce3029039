"""``/api/platform/v1/report``: carry usage reports by script, or send one.

Download and upload are those of public clients; ``send`` is our own inference.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router, Status

from common.access import client_address, may
from common.api import Refused, api_needs, compact
from common.models import Via
from common.roles import Role
from common.sealing import SealBroken
from usage import carrying, ledger, reports, tasks
from usage.errors import AcknowledgementRefused, ReportRefused
from usage.models import Report

router = Router()
PAYMENT_REQUIRED = ("no_license", "license", "smime")
CONFLICT = (
    *("other_report", "no_report", "closed", "unchecked"),
    *("partial", "none_accepted"),
)
_TELEMETRY = (("telemetry", "prepare"), ("telemetry", "download"))
FILE = {
    "requestBody": {
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            }
        }
    }
}


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
        raise _refused(refusal) from None
    if outcome.done != "nothing_new":
        tasks.nudge()
    document = _document(outcome.report)
    return Status(200 if outcome.done == "nothing_new" else 202, document)


@router.get("/report/status/{number}", response=dict[str, Any])
@api_needs(Role.OPERATOR)
def report_status(
    request: HttpRequest,  # noqa: ARG001
    number: str,
) -> dict[str, Any]:
    """Say how far a report is, and of each of its files whether it was accepted."""
    try:
        report = Report.objects.filter(pk=UUID(number)).first()
    except ValueError:
        report = None
    if report is None:
        raise Refused(404, "There is no report with this id.")
    files = [
        {
            "name": one.name,
            "sha256": one.sha256,
            "size": one.size,
            "records": one.record_count,
            "firstDay": one.first_day.isoformat(),
            "lastDay": one.last_day.isoformat(),
            "accepted": one.accepted,
        }
        for one in report.files.all()
    ]
    rest = ledger.rest_of(report) if report.left_out else []
    return _document(report) | {
        "files": files,
        "continuedIn": [str(one.pk) for one in rest],
    }


@router.get("/report/download")
@api_needs(Role.OPERATOR)
def download_report(
    request: HttpRequest,
    format: str = "zip",  # noqa: A002
    reportType: str = "",  # noqa: N803
    telemetryAction: str = "",  # noqa: N803
    credentials: str = "include",
) -> HttpResponse:
    """Give the open report as a ZIP, with the license in it unless told to omit it.

    ``telemetryAction=prepare`` builds it and answers at once. The license goes to
    administrators only. Whatever ``accept`` says, the answer is the same.
    """
    asked = (reportType, telemetryAction)
    if (
        format != "zip"
        or credentials not in ("include", "omit")
        or asked not in (("", ""), ("initial", ""), *_TELEMETRY)
    ):
        raise Refused(
            400,
            "The request is not as documented.",
            "expected: format=zip; reportType=initial, or reportType=telemetry with"
            " telemetryAction=prepare or download; credentials=omit",
        )
    with_license = credentials == "include" and telemetryAction != "prepare"
    if with_license and not may(request.user, Role.ADMINISTRATOR):
        raise Refused(
            403,
            "The report with the license in it needs the role Administrator.",
            "Without it: credentials=omit",
        )
    user: Any = request.user
    now, by = timezone.now(), user.get_username()
    try:
        report = reports.carry(by=by, via=Via.API, now=now)
        if telemetryAction == "prepare":
            return compact({"telemetry": "Report generation in progress"}, 200)
        archive = carrying.give(
            report,
            credentials=with_license,
            by=by,
            via=Via.API,
            now=now,
            address=client_address(request),
        )
    except ReportRefused as refusal:
        raise _refused(refusal) from None
    except SealBroken as error:
        raise Refused(409, str(error)) from None
    answer = HttpResponse(archive, content_type="application/zip")
    name = f"usage-report-{report.pk}.zip"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "no-store"
    return answer


@router.post("/report/upload", openapi_extra=FILE)
@api_needs(Role.ADMINISTRATOR)
def upload_acknowledgement(
    request: HttpRequest,
    confirm: bool = False,
) -> dict[str, str]:
    """Take the acknowledgement of a carried report; the same again changes nothing.

    ``confirm=true`` takes one whose signature cannot be checked here. When it accepts
    a part, ``status`` and ``accepted`` say so; the message is the same.
    """
    file = request.FILES.get("file")
    if file is None or (file.size or 0) > carrying.LARGEST:
        raise Refused(
            413 if file else 400,
            "The acknowledgement is missing." if not file else "The file is too large.",
            "expected: multipart/form-data with one .zip of up to 2 MiB, named file",
        )
    user: Any = request.user
    try:
        done = carrying.accept(
            file.read(),
            confirmed=confirm,
            by=user.get_username(),
            via=Via.API,
            now=timezone.now(),
            address=client_address(request),
        )
    except AcknowledgementRefused as refusal:
        status = 409 if refusal.code in CONFLICT else 400
        details = [f"check: {refusal.code}"]
        if refusal.code == "unchecked":
            details.append("To accept it unchecked: confirm=true")
        raise Refused(status, refusal.sentence, *details) from None
    said = {"message": "Report uploaded successfully."}
    if done.part:
        said |= {"status": ledger.Row(done.report).status, "accepted": done.part}
    return said


def _document(report: Report) -> dict[str, Any]:
    return {
        "reportId": str(report.pk),
        "status": ledger.Row(report).status,
        "digest": report.digest,
        "fileSha256": report.file_sha256,
        "size": report.size,
        "receiptId": report.receipt or None,
    }


def _refused(refusal: ReportRefused) -> Refused:
    status = 402 if refusal.code in PAYMENT_REQUIRED else 409
    return Refused(status, refusal.sentence, f"check: {refusal.code}")
