"""Audit log: every record of the chain, who did what, and whether the chain holds."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from audit import checking, listing, services, tasks
from audit.listing import Filters
from audit.models import Check, Record
from common.access import may, operator_required, sign_in_required
from common.http import HtmxRequest
from common.roles import Role
from nms_admin import activity, people
from nms_admin.models import User

TAKEN_WITHIN = timedelta(minutes=5)
ENDS_WITHIN = timedelta(hours=1)
LONGEST = 1 << 62
BYTES = {"batch": "telemetry-batch", "report": "ui-usage-report"}
NOTHING = hashlib.sha256(b"").hexdigest()


class FilterForm(forms.Form):
    """What somebody looks for in the audit log; nothing has to be filled in."""

    who = forms.CharField(label="User name", required=False, max_length=150)
    group = forms.ChoiceField(
        label="Action",
        required=False,
        choices=[
            ("", "All actions"),
            *((key, label) for key, (label, _) in activity.GROUPS.items()),
        ],
        error_messages={"invalid_choice": "Select one of the actions in the list."},
    )
    first = forms.DateField(
        label="From",
        required=False,
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": "Write the first day as 2026-11-23."},
    )
    last = forms.DateField(
        label="To",
        required=False,
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": "Write the last day as 2026-11-23."},
    )

    def clean(self) -> dict[str, Any]:
        """Refuse days in the wrong order."""
        first, last = self.cleaned_data.get("first"), self.cleaned_data.get("last")
        if first and last and first > last:
            self.add_error("last", "The last day is before the first one.")
        return self.cleaned_data

    def filters(self) -> Filters:
        """Return the filters of a form without errors."""
        asked = self.cleaned_data
        actions = activity.actions_in(asked["group"]) if asked["group"] else ()
        return Filters(asked["who"], actions, asked["first"], asked["last"])

    def query(self) -> dict[str, str]:
        """Return what was filled in, for addresses."""
        return {name: text for name in self.fields if (text := self.data.get(name))}


@dataclass(frozen=True)
class Row:
    """One record as a line of the table."""

    record: Record

    @property
    def deed(self) -> str:
        """Return what was done, as a sentence."""
        return activity.deed(self.record)

    @property
    def origin(self) -> str:
        """Return through what it was done."""
        return activity.origin(self.record)

    @property
    def bytes_url(self) -> str:
        """Return where the bytes are shown that a sending is about; empty without."""
        kind, _, number = self.record.subject.partition(" ")
        route = BYTES.get(kind) if self.record.action == "delivery.sent" else None
        with suppress(NoReverseMatch):
            return reverse(route, kwargs={"number": number}) if route else ""
        return ""

    @property
    def details(self) -> list[tuple[str, object]]:
        """Return the details, and say of the digest of nothing that it is one."""
        said = {NOTHING: f"{NOTHING} (nothing: the request had no body)"}
        return [(name, said.get(str(x), x)) for name, x in self.record.details.items()]


@sign_in_required
@require_safe
def page(request: HtmxRequest) -> HttpResponse:
    """Show the records that match, and whether the chain holds."""
    now = timezone.now()
    context: dict[str, Any] = {
        "may_check": may(request.user, Role.OPERATOR),
        "may_see_addresses": may_see_addresses(request),
    }
    if request.htmx.target == "chain":
        context |= _chain(now)
        return render(request, "audit/_chain_answer.html", context)
    form = FilterForm(request.GET)
    context |= _records(request, form)
    status = 200 if form.is_valid() else 422
    if request.htmx.target == "records":
        return render(request, "audit/_records_answer.html", context, status=status)
    context |= _chain(now) | {"form": form, "actors": _actors()}
    return render(request, "audit/page.html", context, status=status)


@operator_required
@require_POST
def check(request: HtmxRequest) -> HttpResponse:
    """Store that the chain is to be checked, and wake a worker."""
    checking.ask(timezone.now())
    if not tasks.nudge():
        messages.info(request, "It is checked within a minute.")
    return redirect("ui-audit")


@sign_in_required
@require_safe
def record(request: HtmxRequest, number: int) -> HttpResponse:
    """Show all members of one record, and how its digest comes about."""
    found = _numbered(number) if number < LONGEST else None
    if found is None:
        raise Http404
    shown = may_see_addresses(request)
    context = {
        "row": Row(found),
        "record": found,
        "matches": services.digest(found) == found.digest,
        "content": services.content(found) if shown else "",
        "may_see_addresses": shown,
        "newer_url": _neighbour(number + 1),
        "older_url": _neighbour(number - 1),
    }
    return render(request, "audit/record.html", context)


def _records(request: HtmxRequest, form: FilterForm) -> dict[str, Any]:
    query = form.query()
    if not form.is_valid():
        wrong = [error for errors in form.errors.values() for error in errors]
        return {"rows": [], "wrong": wrong, "filtered": True}
    found = listing.page(
        form.filters(),
        after=request.GET.get("after", ""),
        before=request.GET.get("before", ""),
    )
    return {
        "rows": [Row(one) for one in found.records],
        "filtered": bool(request.GET),
        "newer_url": address_of_page(query | {"before": found.newer})
        if found.newer
        else "",
        "older_url": address_of_page(query | {"after": found.older})
        if found.older
        else "",
        "export_query": urlencode(query),
    }


def _chain(now: datetime) -> dict[str, Any]:
    """Return how the last check ended, what is under way, and the head."""
    state = checking.state()
    number, digest = services.head()
    return {
        "check": state,
        "going": _going(state, now),
        "number": number,
        "head_number": str(number),
        "digest": digest,
    }


def _going(state: Check, now: datetime) -> str:
    """Return ``running``, ``waiting``, ``not_taken`` or nothing."""
    if state.began_at and now - state.began_at < ENDS_WITHIN:
        return "running"
    asked = state.asked_at or state.began_at
    if asked is None:
        return ""
    return "waiting" if now - asked < TAKEN_WITHIN else "not_taken"


def _actors() -> list[str]:
    """Return the names to choose from; what nobody did has a name as well."""
    names = User.objects.order_by("username").values_list("username", flat=True)
    return [services.NOBODY, people.COMMAND_LINE, *names[:200]]


def may_see_addresses(request: HtmxRequest) -> bool:
    """Return whether the user may see from which IP address something was done."""
    return may(request.user, Role.ADMINISTRATOR)


def _numbered(number: int) -> Record | None:
    return Record.objects.filter(sequence=number).first()


def _neighbour(number: int) -> str:
    known = Record.objects.filter(sequence=number).exists()
    return reverse("ui-audit-record", args=[number]) if known else ""


def address_of_page(query: dict[str, str]) -> str:
    """Return the address of the page with what was filled in."""
    return f"{reverse('ui-audit')}?{urlencode(query)}"
