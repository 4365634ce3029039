"""Settings > License: the license, its entitlements, and Continuous Connection."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db import IntegrityError
from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import (
    sensitive_post_parameters,
    sensitive_variables,
)
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)
from django_htmx.http import (
    HttpResponseClientRedirect,
    HttpResponseClientRefresh,
    HttpResponseStopPolling,
)

from common import setup
from common.access import (
    administrator_required,
    client_address,
    may,
    sign_in_required,
)
from common.http import HtmxRequest
from common.models import Via
from common.roles import Role
from licensing import connection, stories, tasks
from licensing import services as licensing
from licensing.errors import AlreadyLicensed, LicenseRejected, NotConfirmed
from licensing.keys import key_set
from licensing.models import License
from licensing.reading import MOST_BYTES
from nms_admin import people
from telemetry import services as telemetry


@sign_in_required
@require_safe
def page(request: HtmxRequest) -> HttpResponse:
    """Show how the license stands, and everything that can be done about it."""
    return render(request, "licensing/page.html", _page(request, timezone.now()))


@sign_in_required
@require_safe
def history(request: HtmxRequest) -> HttpResponse:
    """Show every license that was ever added, newest first."""
    context = {"licenses": licensing.history(), "tabs": _tabs("ui-license-history")}
    return render(request, "licensing/history.html", context)


@administrator_required
@sensitive_post_parameters("token", "subscription_id")
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: HtmxRequest) -> HttpResponse:
    """Take a license from a file or pasted text; with one current it is replaced."""
    if request.method != "POST":
        return render(request, "licensing/add.html", _form())
    choice = request.POST.getlist("telemetry")
    if choice not in ([], ["on"], ["off"]):
        return HttpResponseBadRequest("Send telemetry=on or telemetry=off, once.")
    now, replaces = timezone.now(), licensing.current() is not None
    try:
        added = _apply(request, now, choice == ["on"] if choice else None)
    except LicenseRejected as refusal:
        return render(request, "licensing/add.html", _form(refusal), status=422)
    except AlreadyLicensed:
        messages.error(request, "Another administrator added a license meanwhile.")
        return redirect("ui-license")
    tasks.nudge(added.pk)
    word = "replaced the one before" if replaces else "was added"
    messages.success(request, f"License {licensing.name_of(added)} {word}.")
    return redirect("ui-license")


@sensitive_variables()
def _apply(request: HtmxRequest, now: datetime, on: bool | None) -> License:
    file = request.FILES.get("file")
    pasted = request.POST.get("token", "")[: MOST_BYTES + 1].encode()
    return licensing.apply_license(
        content=bytes(file.read(MOST_BYTES + 1)) if file else pasted,
        subscription_id=request.POST.get("subscription_id", "")[:200],
        telemetry=None if settings.DO_NOT_TRACK else on,
        replace=True,
        **_who(request, now),
    )


@administrator_required
@require_POST
def connect(request: HtmxRequest) -> HttpResponse:
    """Switch Continuous Connection; ask first when that deletes what waits."""
    answer = request.POST.getlist("enabled")
    if answer not in (["0"], ["1"]):
        return HttpResponseBadRequest("Send enabled=0 or enabled=1, once.")
    if settings.DO_NOT_TRACK:
        messages.error(request, "DO_NOT_TRACK is set, so nothing is sent.")
        return _again(request)
    on, now = answer == ["1"], timezone.now()
    waits = telemetry.waiting(now).total
    if not on and waits and "confirmed" not in request.POST:
        return _ask(request)
    try:
        if licensing.set_connection(on=on, **_who(request, now)):
            messages.success(request, _said(on, waits))
    except IntegrityError:
        messages.error(request, "Another administrator answered at the same moment.")
    return _again(request)


@administrator_required
@require_safe
def turn_off(request: HtmxRequest) -> HttpResponse:
    """Ask whether what waits may be deleted."""
    context = {"waiting": telemetry.waiting(timezone.now())}
    return render(request, "licensing/turn_off.html", context)


@administrator_required
@require_http_methods(["GET", "HEAD", "POST"])
def terminate(request: HtmxRequest) -> HttpResponse:
    """End the license after its subscription ID was typed again."""
    found = licensing.current()
    if found is None:
        messages.info(request, "There is no license to terminate.")
        return redirect("ui-license")
    context: dict[str, Any] = {"name": licensing.name_of(found)}
    if request.method != "POST":
        return render(request, "licensing/terminate.html", context)
    now = timezone.now()
    try:
        licensing.terminate(
            confirmation=request.POST.get("confirm", ""), **_who(request, now)
        )
    except NotConfirmed as error:
        context["error"] = str(error)
        return render(request, "licensing/terminate.html", context, status=422)
    except License.DoesNotExist:
        return redirect("ui-license")
    messages.success(
        request,
        f"License {context['name']} was terminated at {now:%H:%M} UTC. Usage history is"
        " kept.",
    )
    return redirect("ui-license")


@sign_in_required
@require_safe
def activation(request: HtmxRequest) -> HttpResponse:
    """Show how far a new license is; the last answer ends the polling (286)."""
    found = licensing.current()
    context = {"steps": _steps(found, timezone.now())}
    if found is None or not _is_activating(found):
        status = HttpResponseStopPolling.status_code
        return render(request, "licensing/_activation.html", context, status=status)
    return render(request, "licensing/_activation.html", context)


def _page(request: HtmxRequest, now: datetime) -> dict[str, Any]:
    found = licensing.current()
    state = licensing.state_of(found, now)
    terms = licensing.delivery_terms(now)
    kind, word = stories.PILLS.get(state.phase, ("", ""))
    context: dict[str, Any] = {
        "license": found,
        "name": licensing.name_of(found) if found else "",
        "state": state,
        "pill": {"kind": kind, "text": word},
        "story": stories.story(state),
        "keys": key_set(),
        "hold": stories.HOLDS.get(terms.hold or "", ""),
        "connection": {"on": licensing.connection_on(), "row": connection.choice()},
        "locked": settings.DO_NOT_TRACK,
        "editable": may(request.user, Role.ADMINISTRATOR),
        "administrators": ", ".join(people.administrators()),
        "waiting": telemetry.waiting(now),
        "tabs": _tabs("ui-license"),
        "entitlements_public": bool(settings.NMS_ENTITLEMENTS_URL),
    }
    if found:
        context["entitlements"] = list(found.entitlements.all())
        if _is_activating(found):
            context["steps"] = _steps(found, now)
    return context


def _tabs(current: str) -> list[dict[str, Any]]:
    pages = (("ui-license", "Overview"), ("ui-license-history", "License history"))
    return [
        {"url": reverse(route), "label": label, "current": route == current}
        for route, label in pages
    ]


def _form(refusal: LicenseRejected | None = None) -> dict[str, Any]:
    return {
        "current": licensing.current(),
        "refusal": refusal,
        "connection_on": licensing.connection_on(),
        "locked": settings.DO_NOT_TRACK,
    }


def _is_activating(found: License) -> bool:
    """Return whether entitlements are still being asked for."""
    return tasks.wanted(found)


def _steps(found: License | None, now: datetime) -> list[dict[str, str]]:
    """Return the steps of a new license: title, state (done, now, bad, todo), text."""
    if found is None:
        return []
    state = licensing.state_of(found, now)
    signed = "Signed by F5, meant for urn:f5:teem."
    dates = f"Valid through {state.ends_on:%d %b %Y}." if state.ends_on else "No end."
    fetched = bool(found.entitlements_at)
    error = found.entitlements_error
    asked = "now" if not error else "bad"
    host = settings.NMS_ENTITLEMENTS_URL.split("/")[2]
    return [
        {"title": "File read", "state": "done", "text": "The token has three parts."},
        {
            "title": "Signature and audience",
            "state": "done" if found.checked_at else "now",
            "text": signed if found.checked_at else "Waiting for F5’s keys.",
        },
        {"title": "Dates", "state": "done", "text": dates},
        {
            "title": "Entitlements from F5",
            "state": "done" if fetched else asked,
            "text": error or f"Asking {host}. You can leave this page.",
        },
        {"title": "Ready", "state": "done" if fetched else "todo", "text": ""},
    ]


def _who(request: HtmxRequest, now: datetime) -> dict[str, Any]:
    return {
        "by": request.user.get_username(),
        "via": Via.SETTINGS,
        "now": now,
        "address": client_address(request),
    }


def _ask(request: HtmxRequest) -> HttpResponse:
    """Lead to the question; htmx follows by its own header."""
    if request.htmx:
        return HttpResponseClientRedirect(reverse("ui-license-turn-off"))
    return redirect("ui-license-turn-off")


def _again(request: HtmxRequest) -> HttpResponse:
    if request.htmx and "confirmed" not in request.POST:
        return HttpResponseClientRefresh()
    return redirect("ui-license")


def _said(on: bool, waits: int) -> str:
    if on:
        to = "the test receiver" if settings.SANDBOX else "F5"
        held = setup.operation_mode() == "disconnected"
        return "Continuous Connection is now on." + (
            " This server is disconnected, so events are held."
            if held
            else f" Events go to {to} under a valid license."
        )
    deleted = f" {waits} waiting event{'s were' if waits != 1 else ' was'} deleted."
    return "Continuous Connection is now off." + (deleted if waits else "")
