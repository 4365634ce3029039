"""Settings > License: the license, its entitlements, and Continuous Connection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
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

from common import locks, setup
from common.access import (
    administrator_required,
    client_address,
    may,
    sign_in_required,
)
from common.http import HtmxRequest
from common.models import Via
from common.roles import Role
from egress import destinations
from egress.models import Gate, Pause
from licensing import (
    connection,
    entitlements,
    keys,
    refresh,
    stories,
    tasks,
    terminate_notice,
)
from licensing import services as licensing
from licensing.errors import (
    AlreadyLicensed,
    ConnectionLocked,
    LicenseRejected,
    NotConfirmed,
    Overtaken,
)
from licensing.models import Entitlement, License
from licensing.reading import MOST_BYTES
from licensing.states import State
from nms_admin import (
    before_start,
    health_hosts,
    license_keys,
    license_seen,
    notices,
    people,
    usage_page,
)
from nms_admin.attention import license_story
from nms_admin.help import hold_window
from nms_admin.license_tabs import tabs
from telemetry import services as telemetry
from usage import days, forecast
from usage.listing import Limit, limits
from usage.services import in_use

SLOW_AFTER = timedelta(seconds=60)


@sign_in_required
@require_safe
def page(request: HtmxRequest) -> HttpResponse:
    """Show how the license stands, and everything that can be done about it."""
    return render(request, "licensing/page.html", _page(request, timezone.now()))


@sign_in_required
@require_safe
def history(request: HtmxRequest) -> HttpResponse:
    """Show every license that was ever added, newest first."""
    context = {"licenses": licensing.history(), "tabs": tabs("ui-license-history")}
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
    try:
        seen = license_seen.of(request)
    except ValueError as error:
        return HttpResponseBadRequest(str(error))
    now, replaces = timezone.now(), licensing.current() is not None
    try:
        added = _apply(request, now, choice == ["on"] if choice else None, seen)
    except LicenseRejected as refusal:
        context = _form(refusal) | ({} if seen is None else {"seen": seen})
        return render(request, "licensing/add.html", context, status=422)
    except Overtaken:
        context = _form() | license_seen.overtaken()
        return render(request, "licensing/add.html", context, status=409)
    except AlreadyLicensed:
        messages.error(request, "Another administrator added a license meanwhile.")
        return redirect("ui-license")
    except ConnectionLocked as refusal:
        return _locked(request, refusal)
    tasks.nudge(added.pk)
    word = "replaced the one before" if replaces else "was added"
    if added.applied_at != now:
        word = "is in force already; nothing was changed"
    messages.success(request, f"License {licensing.name_of(added)} {word}.")
    return redirect("ui-license")


@sensitive_variables()
def _apply(
    request: HtmxRequest, now: datetime, on: bool | None, seen: int | None
) -> License:
    file = request.FILES.get("file")
    pasted = request.POST.get("token", "")[: MOST_BYTES + 1].encode()
    return licensing.apply_license(
        content=bytes(file.read(MOST_BYTES + 1)) if file else pasted,
        subscription_id=request.POST.get("subscription_id", "")[:200],
        telemetry=None if settings.DO_NOT_TRACK else on,
        replace=True,
        cautious="anyway" not in request.POST,
        seen=seen,
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
    lock = locks.against(locks.TELEMETRY, on)
    if lock:
        return _locked(
            request, ConnectionLocked(f"{lock.sentence}. Nothing was changed.")
        )
    waits = telemetry.waiting(now).total
    if not on and waits and "confirmed" not in request.POST:
        return _ask(request)
    try:
        if licensing.set_connection(on=on, **_who(request, now)):
            messages.success(request, _said(on, waits))
    except IntegrityError:
        messages.error(request, "Another administrator answered at the same moment.")
    return _again(request)


def _locked(request: HtmxRequest, refusal: ConnectionLocked) -> HttpResponse:
    """Say on a page of its own what keeps the choice; with htmx on the page itself."""
    if request.htmx:
        messages.error(request, str(refusal))
        return HttpResponseClientRefresh()
    context = {"sentence": str(refusal)}
    return render(request, "licensing/locked.html", context, status=409)


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
    context: dict[str, Any] = {
        "name": licensing.name_of(found),
        **_telling(found, setup.mode_of(request.set_up)),
    }
    if request.method != "POST":
        return render(request, "licensing/terminate.html", context)
    now = timezone.now()
    try:
        licensing.terminate(
            confirmation=request.POST.get("confirm", ""),
            tell="tell" in request.POST and not context["silence"],
            **_who(request, now),
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
    now = timezone.now()
    context = _page(request, now)
    found = context["license"]
    if found is None or not request.htmx:
        return redirect("ui-license")
    going = context["activation"]
    if going and going["polls"]:
        if request.GET.get("seen") == going["key"]:
            return HttpResponse(status=204)
        return render(request, "licensing/_activation.html", context)
    if going is None:
        context["activation"] = {
            "steps": _steps(found, context["state"]),
            "ended": True,
        }
    status = HttpResponseStopPolling.status_code
    return render(request, "licensing/_activation.html", context, status=status)


@administrator_required
@require_POST
def ask_again(request: HtmxRequest) -> HttpResponse:
    """Ask for the missing key or the entitlements now, also after a refusal."""
    found = licensing.current()
    if refresh.missing(found):
        refresh.try_again(timezone.now())
        messages.info(request, "It is asked within a minute.")
    elif found and entitlements.asking(found, timezone.now()):
        entitlements.try_again(timezone.now())
        soon = tasks.nudge(found.pk)
        messages.info(
            request, "Asking now." if soon else "It is asked within a minute."
        )
    return redirect("ui-license")


def _page(request: HtmxRequest, now: datetime) -> dict[str, Any]:
    """Return what the page shows; each thing is read once and handed on."""
    standing = licensing.standing(now, request.set_up)
    choice, editable = connection.choice(), may(request.user, Role.ADMINISTRATOR)
    on, found = connection.says(choice), standing.license
    context: dict[str, Any] = {
        "license": found,
        "hold": stories.HOLDS.get(standing.terms.hold or "", ""),
        "connection": {
            "on": on,
            "row": choice,
            "restored": connection.restored(choice),
        },
        "hold_window": hold_window(),
        "silent": _silent(standing, now) if on else "",
        "locked": locks.holding(locks.TELEMETRY, on),
        "editable": editable,
        "administrators": "" if editable else ", ".join(people.administrators()),
        "waiting": telemetry.waiting(now, standing.terms) if on else None,
        "tabs": tabs("ui-license"),
    }
    if found is None:
        context["usage"] = {"may_send": may(request.user, Role.OPERATOR)}
        if editable:
            context["before_start"] = before_start.lines(standing.mode, now)
        return context
    return context | _of_license(request, found, standing, now, on=on)


def _silent(standing: licensing.Standing, now: datetime) -> str:
    """Say that events wait for their host, as Overview does; empty when they go out."""
    if standing.terms.hold:
        return ""
    return health_hosts.failing("telemetry", now)


def _of_license(
    request: HtmxRequest,
    found: License,
    standing: licensing.Standing,
    now: datetime,
    *,
    on: bool,
) -> dict[str, Any]:
    """Return what the page shows only with a license: how it stands, keys, usage."""
    state, held = standing.state, keys.held()
    checked, wrong = found.checked_at is not None, found.check_error
    kind, word = stories.pill(state, checked=checked, check_error=wrong)
    usage = usage_page.part(request, standing, now, on=on)
    entitled = list(found.entitlements.all())
    return {
        "name": licensing.name_of(found),
        "state": state,
        "pill": {"kind": kind, "text": word},
        "story": license_story(standing, held, now),
        **notices.on_license(request.user, standing, usage["report_by"], now),
        "activation": _activation(found, state, now),
        "keys": license_keys.part(standing, held),
        **_telling(found, standing.mode),
        "usage": usage,
        "entitlements": _limits(entitled, now) if entitled else None,
        "entitlements_public": bool(settings.NMS_ENTITLEMENTS_URL),
    }


def _limits(entitled: list[Entitlement], now: datetime) -> list[Limit]:
    """Return what is used of each entitlement, and when it is full at this pace."""
    today = now.astimezone(UTC).date()
    since, use = today - timedelta(days=forecast.DAYS), in_use(now)
    counts = days.written(since, today) if use else {}
    return limits(entitled, use, counts=counts, today=today)


def _telling(found: License, mode: str) -> dict[str, str]:
    """Return whom a termination can be told, or why nobody."""
    silence = terminate_notice.silence(found, connected=mode == "connected")
    return {"silence": silence, "tell_host": terminate_notice.host()}


def _form(refusal: LicenseRejected | None = None) -> dict[str, Any]:
    return license_seen.drawn() | {
        "refusal": refusal,
        "connection_on": licensing.connection_on(),
        "locked": locks.find(locks.TELEMETRY),
    }


def _activation(found: License, state: State, now: datetime) -> dict[str, Any] | None:
    """Return how far a license is; None when nothing is asked, or refused, for it.

    ``key`` names what is shown, so that an answer without news swaps nothing.
    """
    if not entitlements.asking(found, now):
        return None
    stopped = entitlements.stopped(found)
    slow = now - found.applied_at > SLOW_AFTER
    return {
        "steps": _steps(found, state),
        "story": _unanswered(found, now),
        "stopped": stopped,
        "slow": slow,
        "polls": not stopped and not slow,
        "key": f"{found.pk}-{'bad' if found.entitlements_error else 'now'}",
    }


def _unanswered(found: License, now: datetime) -> stories.Story | None:
    """Return what to know when a try brought no entitlements; None before one."""
    asked = destinations.find(entitlements.DESTINATION)
    if asked is None or not found.entitlements_error:
        return None
    trouble = entitlements.trouble(found)
    closed = trouble if isinstance(trouble, Gate) else None
    again = closed.closed_until if closed else None
    return stories.unanswered_story(
        licensing.name_of(found),
        recipient="the test receiver" if settings.SANDBOX else "F5",
        host=asked.host,
        status=trouble.status if isinstance(trouble, Pause) else 0,
        cause=closed.cause if closed else "",
        again=again if again and again > now else None,
    )


def _steps(found: License, state: State) -> list[stories.Step]:
    asked = destinations.find(entitlements.DESTINATION)
    host = asked.host if asked else ""
    return stories.steps(
        state,
        checked=found.checked_at is not None,
        fetched=found.entitlements_at is not None and not found.entitlements_error,
        error=found.entitlements_error,
        host=host,
    )


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
