"""Settings > License, as of a day: what would warn, stop and be due then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from common.access import sign_in_required
from common.http import HtmxRequest
from common.templatetags.nms import utc_day_text
from licensing import keys, stories
from licensing import services as licensing
from licensing.states import WARN_DAYS, State
from nms_admin.attention import license_story
from nms_admin.license_tabs import tabs
from usage import ledger, reports

DAY = timedelta(days=1)
YEARS = 50
REPORT_WARN_DAYS = (30, 7)


@dataclass(frozen=True)
class Change:
    """Something that happens at the beginning of a UTC day."""

    day: date
    text: str

    @property
    def at(self) -> datetime:
        """When that is."""
        return beginning(self.day)


@sign_in_required
@require_safe
def page(request: HtmxRequest) -> HttpResponse:
    """Show how the license would stand on a day, and everything that changes when."""
    now = timezone.now()
    today = now.astimezone(UTC).date()
    day, error = asked(request.GET.get("date", ""), today)
    at = now if day == today else beginning(day)
    standing = licensing.standing(at, request.set_up)
    due = ledger.report_by(ledger.last_accepted(), standing)
    state = standing.state
    checked = standing.license is not None and standing.license.checked_at is not None
    kind, word = stories.pill(state, checked=checked)
    context = {
        "day": day,
        "at": at,
        "today": today,
        "last": last_day(today),
        "error": error,
        "zone": timezone.get_current_timezone_name(),
        "license": standing.license,
        "state": state,
        "pill": {"kind": kind, "text": word},
        "warns": license_story(standing, keys.held(), at),
        "hold": stories.HOLDS.get(standing.terms.hold or "", ""),
        "connection_on": licensing.connection_on(),
        "refusal": reports.refusal(standing),
        "due": due,
        "due_days": (due - day).days if due else None,
        "changes": changes(state, due),
        "tabs": tabs("ui-license"),
    }
    status = 422 if error else 200
    return render(request, "licensing/as_of.html", context, status=status)


def asked(text: str, today: date) -> tuple[date, str]:
    """Return the day that is asked for, today without one, and what is wrong with it.

    Example:
        >>> asked("2027-02-30", date(2026, 11, 23))[0]
        datetime.date(2026, 11, 23)
    """
    if not text:
        return today, ""
    last = last_day(today)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return today, "This is no date. Write it as 2027-02-01."
    if not today <= day <= last:
        span = f"{utc_day_text(today)} to {utc_day_text(last)}"
        return today, f"Choose a day from {span}."
    return day, ""


def changes(state: State, report_by: date | None) -> list[Change]:
    """Return what changes when, in order of time; a license in its phase today.

    Args:
        state: Of the license, at any moment.
        report_by: The day by which the next usage report is wanted; None before one.
    """
    found = []
    if state.starts_at:
        found.append(
            Change(state.starts_at.astimezone(UTC).date(), "The license starts.")
        )
    if state.ends_on and state.grace_ends_on:
        for days in WARN_DAYS:
            text = f"Administrators are warned: {days} days left."
            found.append(Change(state.ends_on - days * DAY, text))
        if not state.trial:
            text = "The license has expired, grace begins. Everything goes on."
            found.append(Change(state.ends_on + DAY, text))
        text = "Events are held until a new license is added. Nothing else stops here."
        if not state.trial:
            text += " NGINX Plus stops processing traffic, by F5’s documentation."
        found.append(Change(state.grace_ends_on + DAY, text))
    if report_by:
        for days in REPORT_WARN_DAYS:
            text = f"Administrators are warned: {days} days to report usage."
            found.append(Change(report_by - days * DAY, text))
        found.append(Change(report_by, "The next usage report is due."))
    return sorted(found, key=lambda change: change.day)


def beginning(day: date) -> datetime:
    """Return the first moment of a UTC day."""
    return datetime.combine(day, time.min, UTC)


def last_day(today: date) -> date:
    """Return the last day that can be asked for."""
    return today + timedelta(days=365 * YEARS)
