"""Settings > License, the part on usage: send it, follow it, see every report."""

from __future__ import annotations

import hashlib
import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseStopPolling

from audit import services as audit
from common.access import (
    administrator_required,
    client_address,
    may,
    operator_required,
    sign_in_required,
)
from common.http import HtmxRequest
from common.models import Via
from common.roles import Role
from common.templatetags.nms import utc_day_text
from licensing import services as licensing
from nms_admin.license_tabs import tabs
from usage import acknowledgement, carrying, document, ledger, reports, tasks
from usage.errors import AcknowledgementRefused, ReportRefused
from usage.models import Report

COURIER = settings.BASE_DIR / "courier.py"


def part(
    request: HtmxRequest, standing: licensing.Standing, now: datetime, *, on: bool
) -> dict[str, Any]:
    """Return what the card *Usage reporting* of Settings > License shows.

    Args:
        request: Who looks.
        standing: How the license stands now.
        now: The moment.
        on: Whether Continuous Connection is.
    """
    last, shown, waits = ledger.last_accepted(), ledger.shown(now), ledger.open_report()
    due = ledger.report_by(last, standing)
    going = ledger.progress(shown, now, _recipient(), due) if shown else None
    return {
        "carrying": None if standing.connected else _carrying(request, standing, waits),
        "last": last,
        "next_at": reports.next_at() if on else None,
        "report_by": due,
        "refusal": reports.refusal(standing),
        "may_send": may(request.user, Role.OPERATOR),
        "nothing_new": "nothing-new" in request.GET,
        "progress": going,
        "open": waits,
    }


@operator_required
@require_POST
def send(request: HtmxRequest) -> HttpResponse:
    """Build the report and let it go; say so when there is nothing new."""
    now = timezone.now()
    try:
        outcome = reports.send(
            by=request.user.get_username(),
            via=Via.SETTINGS,
            now=now,
            address=client_address(request),
            force="anyway" in request.POST,
        )
    except ReportRefused as refusal:
        messages.error(request, refusal.sentence)
        return redirect("ui-license")
    if outcome.done == "nothing_new":
        return redirect(f"{reverse('ui-license')}?nothing-new#usage")
    if outcome.done == "running":
        messages.info(request, _running(outcome.report, now))
    tasks.nudge()
    return redirect(f"{reverse('ui-license')}#usage")


@sign_in_required
@require_safe
def courier(request: HtmxRequest) -> HttpResponse:  # noqa: ARG001
    """Give the courier: the script that carries a report on a connected machine."""
    answer = HttpResponse(COURIER.read_bytes(), content_type="text/x-python")
    answer["Content-Disposition"] = 'attachment; filename="courier.py"'
    return answer


@operator_required
@require_POST
def prepare(request: HtmxRequest) -> HttpResponse:
    """Build the report that is carried by hand, unless nothing is new since."""
    try:
        report = reports.carry(
            by=request.user.get_username(), via=Via.SETTINGS, now=timezone.now()
        )
    except ReportRefused as refusal:
        messages.error(request, refusal.sentence)
        return redirect("ui-license")
    messages.success(request, f"Report {report.pk} is ready. Download it.")
    return redirect(f"{reverse('ui-license')}#carrying")


@administrator_required
@require_POST
def acknowledge(request: HtmxRequest) -> HttpResponse:
    """Take the acknowledgement of a carried report from a file."""
    file = request.FILES.get("file")
    if file is None:
        messages.error(request, "Choose the .zip that F5 returned, then select Add.")
        return redirect(f"{reverse('ui-license')}#carrying")
    try:
        done = carrying.accept(
            file.read(carrying.LARGEST + 1),
            confirmed=request.POST.get("confirm") == "on",
            by=request.user.get_username(),
            via=Via.SETTINGS,
            now=timezone.now(),
            address=client_address(request),
        )
    except AcknowledgementRefused as refusal:
        messages.error(request, refusal.sentence)
        return redirect(f"{reverse('ui-license')}#carrying")
    report = done.report
    if done.again and report.accepted_at:
        day = utc_day_text(report.accepted_at)
        by = f" by {report.acknowledged_by}" if report.acknowledged_by else ""
        messages.info(request, f"Already uploaded on {day}{by}.")
    elif done.part:
        left = "file" if report.left_out == 1 else f"{report.left_out} files"
        said = format_html(
            "Report {} is accepted in part: {}. The rest goes into the next report."
            ' <a href="{}#files">See the {} left out</a>',
            report.pk,
            done.part,
            reverse("ui-usage-report", args=[report.pk]),
            left,
        )
        messages.warning(request, said)
    else:
        messages.success(request, f"Report {report.pk} is accepted.")
    return redirect(f"{reverse('ui-license')}#carrying")


@sign_in_required
@require_safe
def outcome(request: HtmxRequest) -> HttpResponse:
    """Show how far the report is; the last answer ends the polling (286)."""
    now = timezone.now()
    shown = ledger.shown(now)
    if shown is None or not request.htmx:
        return redirect("ui-license")
    standing = licensing.standing(now, request.set_up)
    due = ledger.report_by(ledger.last_accepted(), standing)
    going = ledger.progress(shown, now, _recipient(), due)
    if going.polls and request.GET.get("seen") == going.key:
        return HttpResponse(status=204)
    editable = may(request.user, Role.ADMINISTRATOR)
    context: dict[str, Any] = {"progress": going, "editable": editable}
    if going.polls:
        return render(request, "usage/_outcome.html", context)
    on = licensing.connection_on()
    context["usage"] = part(request, standing, now, on=on) | {"progress": None}
    context["connection"] = {"on": on}
    status = HttpResponseStopPolling.status_code
    return render(request, "usage/_ended.html", context, status=status)


@sign_in_required
@require_safe
def all_reports(request: HtmxRequest) -> HttpResponse:
    """Show every report, newest first."""
    context = {"rows": ledger.rows(), "tabs": tabs("ui-usage-reports")}
    return render(request, "usage/reports.html", context)


@sign_in_required
@require_safe
def one_report(request: HtmxRequest, number: uuid.UUID) -> HttpResponse:
    """Show one report: what it says, its digests, every call, the acknowledgement."""
    report = _found(number)
    archive = reports.archive_of(report)
    context = {
        "row": ledger.Row(report),
        "report": report,
        "totals": ledger.totals_of(report),
        "files": ledger.files_of(report),
        "alone": ledger.goes_alone(report),
        "rest": ledger.rest_of(report) if report.left_out else [],
        "attempts": ledger.attempts_of(report),
        "may_see": may(request.user, Role.OPERATOR),
        "content": document.read(archive) if archive else None,
        "said": _said(bytes(report.acknowledgement)),
    }
    return render(request, "usage/report.html", context)


@operator_required
@require_safe
def acknowledgement_file(request: HtmxRequest, number: uuid.UUID) -> HttpResponse:
    """Give the acknowledgement of a report as it came; who took it is recorded."""
    report = _found(number)
    body = bytes(report.acknowledgement)
    if not body:
        messages.error(request, "There is no acknowledgement of this report.")
        return redirect("ui-usage-report", number=number)
    audit.record(
        "usage.acknowledgement_downloaded",
        now=timezone.now(),
        actor=request.user.get_username(),
        via=Via.SETTINGS,
        subject=str(number),
        address=client_address(request),
        details={"sha256": hashlib.sha256(body).hexdigest()},
    )
    answer = HttpResponse(body, content_type="application/zip")
    name = f"acknowledgement-{number}.zip"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _said(body: bytes) -> dict[str, str] | None:
    """Return an acknowledgement's digest and readable part; None when there is none."""
    if not body:
        return None
    digest = hashlib.sha256(body).hexdigest()
    return {"sha256": digest, "text": acknowledgement.text(body)}


@sign_in_required
@require_safe
def preview(request: HtmxRequest) -> HttpResponse:
    """Show what the next report would hold; nothing is stored."""
    context: dict[str, Any] = {
        "may_see": may(request.user, Role.OPERATOR),
        "alone": ledger.goes_alone(),
    }
    try:
        context["content"] = reports.preview(timezone.now())
    except ReportRefused as refusal:
        context["refusal"] = refusal
    return render(request, "usage/preview.html", context)


@operator_required
@require_safe
def download(request: HtmxRequest, number: uuid.UUID) -> HttpResponse:
    """Give the ZIP as it was built, without credentials; who took it is recorded."""
    report = _found(number)
    archive = reports.archive_of(report)
    if not archive:
        messages.error(request, "The bytes of this report are not kept any more.")
        return redirect("ui-usage-report", number=number)
    archive = carrying.give(
        report,
        credentials=False,
        by=request.user.get_username(),
        via=Via.SETTINGS,
        now=timezone.now(),
        address=client_address(request),
    )
    answer = HttpResponse(archive, content_type="application/zip")
    name = f"usage-report-{number}.zip"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _carrying(
    request: HtmxRequest, standing: licensing.Standing, report: Report | None
) -> dict[str, Any]:
    """Return what the four steps of a disconnected server show of its open report."""
    return {
        "report": report,
        "instances": ledger.instances_of(report) if report else 0,
        "refusal": reports.refusal(standing, by_hand=True),
        "may_prepare": may(request.user, Role.OPERATOR),
        "may_upload": may(request.user, Role.ADMINISTRATOR),
        "lines": _lines(report) if report else [],
        "courier": _courier_line(report) if report else "",
        "courier_sha256": hashlib.sha256(COURIER.read_bytes()).hexdigest(),
        "past": ledger.rows()[:5],
    }


def _courier_line(report: Report) -> str:
    """Return the call of the courier; its own address is that of live mode."""
    line = f"python3 courier.py --report usage-report-{report.pk}.zip"
    return f"{line} \\\n  --license license.jwt --url {settings.NMS_F5_API_URL}"


def _lines(report: Report) -> list[str]:
    """Return the calls of upload, status and download, as they are typed."""
    url = f"{settings.NMS_F5_API_URL}/entitlements/telemetry/bulk"
    shown = '-H "Authorization: Bearer $(cat license.jwt)"'
    return [
        f'curl --fail-with-body -F "file=@usage-report-{report.pk}.zip" \\\n'
        f"  {shown} \\\n  {url}",
        f"curl --fail-with-body {shown} \\\n  {url}/status/ID",
        f"curl --fail-with-body -o acknowledgement.zip {shown} \\\n  {url}/download/ID",
    ]


def _found(number: uuid.UUID) -> Report:
    found = Report.objects.filter(pk=number).first()
    if found is None:
        raise Http404
    return found


def _running(report: Report, now: datetime) -> str:
    seconds = (
        int((now - report.selected_at).total_seconds()) if report.selected_at else 0
    )
    since = f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
    return (
        f"A report is already being sent (started {since} ago by {report.selected_by})."
    )


def _recipient() -> str:
    return "the test receiver" if settings.SANDBOX else "F5"
