"""Staged notices to administrators about the license's end and the next usage report.

One note a stage, on Overview and License. Whoever snoozes it does not see it for seven
days, or until the next stage; nobody else is affected, and nobody else is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from common.access import administrator_required, may
from common.http import HtmxRequest
from common.roles import Role
from licensing import services as licensing
from licensing.states import State
from nms_admin.models import Snooze, User
from usage import ledger

SNOOZED_FOR = timedelta(days=7)
REPORT_DAYS = (7, 30)


@dataclass(frozen=True)
class Notice:
    """One stage that was reached: ``stage`` names it, with the day it leads to."""

    stage: str
    kind: str  # "info", "warn" or "bad"
    title: str
    body: str


def license_stage(state: State) -> str:
    """Return the stage a license is in: ``60-…``, ``30-…``, ``7-…``, ``grace-…``, ``ended-…``.

    It carries the day it leads to, so that another license begins anew; empty when
    nothing is near.
    """
    if state.ends_on is None or state.provisional:
        return ""
    words = {"grace": "grace", "expired": "ended", "valid": str(state.warn_stage or "")}
    word = words.get(state.phase, "")
    return f"license-{word}-{state.ends_on.isoformat()}" if word else ""


def report_notice(
    due: date | None, now: datetime, *, by_hand: bool = False
) -> Notice | None:
    """Return what is to be said about the next usage report; None while it is far.

    Args:
        due: The day by which it is wanted.
        now: The moment.
        by_hand: Whether reports are carried: the server is disconnected.
    """
    if due is None:
        return None
    left = (due - now.astimezone(UTC).date()).days
    day = f"{due.day} {due:%b %Y}"
    if left < 0:
        return Notice(
            f"report-overdue-{due.isoformat()}",
            "bad",
            f"A usage report was due on {day}",
            "Usage is counted on and nothing stops here. "
            + (
                "Carry one to F5 and bring back its acknowledgement."
                if by_hand
                else "Send it now, or see why the last one was not accepted."
            ),
        )
    stage = next((days for days in REPORT_DAYS if left <= days), None)
    if stage is None:
        return None
    when = {0: "today", 1: "in 1 day"}.get(left, f"in {left} days")
    return Notice(
        f"report-{stage}-{due.isoformat()}",
        "warn",
        f"A usage report is due {when}",
        f"One has to be accepted by {day}. Usage is counted meanwhile. "
        + (
            "Carry it to F5 and bring back its acknowledgement."
            if by_hand
            else "Send it on the License page, or turn Continuous Connection on."
        ),
    )


def snoozed(user: User, now: datetime) -> set[str]:
    """Return the stages this user does not want to see now."""
    rows = Snooze.objects.filter(user=user, until__gt=now)
    return set(rows.values_list("stage", flat=True))


def snooze(user: User, stage: str, now: datetime) -> None:
    """Hide one stage from one user for seven days."""
    Snooze.objects.update_or_create(
        user=user, stage=stage, defaults={"until": now + SNOOZED_FOR}
    )


def on_license(
    user: User, standing: licensing.Standing, due: date | None, now: datetime
) -> dict[str, Any]:
    """Return what the License page shows of the notices to this user.

    Others than administrators are told what is the case: that it has expired, not that
    it will.

    Args:
        user: Who looks.
        standing: How the license stands now.
        due: The day by which the next usage report is wanted.
        now: The moment.
    """
    stage, state = license_stage(standing.state), standing.state
    said = report_notice(due, now, by_hand=not standing.connected)
    if not may(user, Role.ADMINISTRATOR):
        soon = bool(stage) and state.phase == "valid"
        return {"stage": "", "story_hidden": soon, "report_notice": None}
    hidden = snoozed(user, now)
    return {
        "stage": stage,
        "story_hidden": stage in hidden,
        "report_notice": said if said and said.stage not in hidden else None,
    }


@administrator_required
@require_POST
def hide(request: HtmxRequest) -> HttpResponse:
    """Snooze a stage that is reached now, for who asks, and go back to the page."""
    now, stage = timezone.now(), request.POST.get("stage", "")
    standing = licensing.standing(now)
    due = ledger.report_by(ledger.last_accepted(), standing)
    report = report_notice(due, now, by_hand=not standing.connected)
    reached = {license_stage(standing.state), report.stage if report else ""}
    if not stage or stage not in reached:
        return HttpResponseBadRequest("Send stage=, one that is shown to you now.")
    snooze(request.user, stage, now)
    messages.info(request, "Hidden for 7 days, or until the next stage, for you only.")
    target = request.POST.get("next", "")
    return redirect(target if target == reverse("ui-overview") else "ui-license")
