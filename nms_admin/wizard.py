"""The set-up in five steps; answers are kept step by step and can be changed back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
)
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import (
    sensitive_post_parameters,
    sensitive_variables,
)
from django.views.decorators.http import require_http_methods, require_safe

from analytics import services as analytics
from audit.services import record
from common import locks, setup
from common.access import client_address, may, public, sign_in_first
from common.http import HtmxRequest
from common.models import Setup, Via
from common.roles import Role
from egress import destinations
from licensing import services as licensing
from licensing import tasks
from licensing.errors import AlreadyLicensed, LicenseRejected
from licensing.reading import MOST_BYTES
from nms_admin import first_run, license_seen, lockout, people, setup_code
from nms_admin.connectivity import in_force, results_context
from nms_admin.models import User
from nms_admin.setup_forms import AdministratorForm
from nms_admin.sign_in import begin_session, locked_sentence

WRONG_CODE = "This code is wrong, older than 60 minutes, or a newer one was made."
CHOOSE = "Choose whether to collect interaction data."
NAMES = list(first_run.STEPS)


@public
@require_safe
def start(_request: HttpRequest) -> HttpResponse:
    """Lead to the first undone step."""
    row = _unfinished()
    return redirect("setup-step", number=first_run.first_undone(row))


@public
@sensitive_post_parameters("code", "password", "token")
@require_http_methods(["GET", "HEAD", "POST"])
def step(request: HttpRequest, number: int) -> HttpResponse:
    """Show one step of the set-up, or keep its answer and go on."""
    row = _unfinished()
    if not 1 <= number <= len(NAMES):
        raise Http404
    undone = first_run.first_undone(row)
    if row.claimed_at is not None and not may(request.user, Role.ADMINISTRATOR):
        if request.method == "POST" and number == 1:
            return _claimed_already(request)
        if request.user.is_authenticated:
            raise PermissionDenied
        return sign_in_first(request)
    if number > undone:
        return redirect("setup-step", number=undone)
    return HANDLERS[number - 1](request, row)


def _unfinished() -> Setup:
    row = setup.current()
    if row.finished_at is not None:
        raise Http404
    return row


def _by(request: HtmxRequest) -> people.By:
    return people.By(
        request.user.get_username(),
        timezone.now(),
        via=Via.WIZARD,
        address=client_address(request),
        pk=request.user.pk,
    )


def _show(
    request: HttpRequest, number: int, context: dict[str, Any], status: int = 200
) -> HttpResponse:
    name = NAMES[number - 1]
    undone = first_run.first_undone(setup.current())
    done = NAMES[: undone - 1]
    page = {
        **context,
        "number": number,
        "name": name,
        "steps": [
            {"name": n, "done": n in done and n != name, "now": n == name}
            for n in NAMES
        ],
        "resumed": len(done) if _is_resumed(request, number) else 0,
    }
    return render(request, f"setup/{name.lower()}.html", page, status=status)


def _is_resumed(request: HttpRequest, number: int) -> bool:
    """Return whether somebody comes back to a set-up begun in another session."""
    if number == 1 or request.session.get("in_setup"):
        return False
    request.session["in_setup"] = True
    return True


def _on(number: int) -> HttpResponse:
    """Go to the next step, or back to the last when all others have answers."""
    undone = first_run.first_undone(setup.current())
    return redirect("setup-step", number=5 if undone == 5 else number + 1)


def administrator(request: HtmxRequest, row: Setup) -> HttpResponse:
    """Step 1: make the first administrator and sign them in."""
    if row.claimed_at is not None:
        return _show(request, 1, {}) if request.method != "POST" else _on(1)
    form = AdministratorForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return _show(request, 1, {"form": form}, 422 if form.errors else 200)
    now, address = timezone.now(), client_address(request)
    if not lockout.claim(setup_code.COUNTED_AS, address, now=now):
        stands = lockout.standing(setup_code.COUNTED_AS, address, now=now)
        wait = locked_sentence(stands.locked_until or now).split(",")[0]
        form.add_error("code", f"Too many tries. {wait}, or make a new code.")
        return _show(request, 1, {"form": form}, 429)
    if _make_administrator(request, form):
        request.session["in_setup"] = True
        return redirect("setup-step", number=2)
    if setup.current().claimed_at is not None:
        return _claimed_already(request)
    form.add_error("code", WRONG_CODE)
    return _show(request, 1, {"form": form}, 403)


def _make_administrator(request: HtmxRequest, form: AdministratorForm) -> bool:
    """Make and sign in the administrator, if the code is right and nobody was faster."""
    now = timezone.now()
    data = form.cleaned_data
    user: User = form.save(commit=False)
    user.role, user.password = Role.ADMINISTRATOR, make_password(data["password"])
    with transaction.atomic():
        if not setup_code.claim(data["code"], now=now):
            return False
        user.save()
        record(
            "setup.claimed",
            now=now,
            actor=user.username,
            via=Via.WIZARD,
            address=client_address(request),
        )
        begin_session(request, user, now)
    lockout.forgive(setup_code.COUNTED_AS)
    return True


def _claimed_already(request: HttpRequest) -> HttpResponse:
    return render(request, "setup/claimed.html", status=409)


def privacy(request: HtmxRequest, _row: Setup) -> HttpResponse:
    """Step 2: the notice, and the two choices."""
    locked = locks.find(locks.TELEMETRY)
    asks = settings.NMS_ANALYTICS_MODE == "opt-in" and not locks.find(
        locks.INTERACTION_DATA
    )
    context: dict[str, Any] = {
        "asks": asks,
        "locked": locked,
        "connection_on": licensing.connection_on(),
        "interaction_on": analytics.is_on(),
    }
    if request.method != "POST":
        return _show(request, 2, context)
    connection = request.POST.getlist("connection")
    interaction = request.POST.getlist("interaction")
    if not locked and connection not in (["on"], ["off"]):
        context["connection_error"] = "Choose what this server sends."
    if asks and interaction not in (["on"], ["off"]):
        context["interaction_error"] = CHOOSE
    if "connection_error" in context or "interaction_error" in context:
        return _show(request, 2, context, 422)
    _store_privacy(
        _by(request), [] if locked else connection, interaction if asks else []
    )
    return _on(2)


def _store_privacy(
    by: people.By, connection: list[str], interaction: list[str]
) -> None:
    who: dict[str, Any] = {
        "by": by.actor,
        "via": by.via,
        "now": by.now,
        "address": by.address,
    }
    with transaction.atomic():
        if connection:
            licensing.set_connection(on=connection == ["on"], **who)
        if interaction:
            analytics.set_choice(collect=interaction == ["on"], **who)
        first_run.answered("Privacy", by.now)


def connectivity(request: HtmxRequest, _row: Setup) -> HttpResponse:
    """Step 3: whether this server reaches F5, and through what."""
    locked = settings.NMS_OPERATION_MODE
    if request.method == "POST":
        modes = request.POST.getlist("mode") if not locked else [locked]
        if modes in (["connected"], ["disconnected"]):
            by = _by(request)
            with transaction.atomic():
                if not locked:
                    first_run.set_operation_mode(modes[0], by)
                first_run.answered("Connectivity", by.now)
            return _on(3)
    context = {
        "mode": setup.operation_mode(),
        "locked": locked,
        "addresses": _addresses(setup.operation_mode()),
        **in_force(),
        **results_context(request, timezone.now()),
    }
    return _show(request, 3, context, 422 if request.method == "POST" else 200)


def _addresses(mode: str) -> list[dict[str, str]]:
    """Return every address that may be called later, and who calls it for what.

    Disconnected, only browsers call one.
    """
    batch = destinations.usage() == destinations.BATCH
    usage = settings.NMS_USAGE_BATCH_URL if batch else settings.NMS_F5_API_URL
    rows = [
        ("This server", settings.NMS_TELEMETRY_URL, "Telemetry events"),
        ("This server", usage, "Usage reports"),
        ("This server", settings.NMS_ENTITLEMENTS_URL, "Entitlements"),
        ("This server", settings.NMS_JWKS_URL, "License keys"),
        ("This server", settings.NMS_TERMINATE_URL, "Notices of termination"),
        ("Browsers", settings.NMS_COLLECTOR_URL, "Interaction data"),
    ]
    if mode == "disconnected":
        rows = [row for row in rows if row[0] == "Browsers"]
    return [{"who": who, "url": url, "what": what} for who, url, what in rows if url]


def finish(request: HtmxRequest, _row: Setup) -> HttpResponse:
    """Step 5: the answers once more, and the way into the console."""
    if request.method == "POST":
        added = licensing.current()
        if first_run.finish(_by(request)) and added:
            tasks.nudge(added.pk)
        return redirect("/ui/")
    context = {
        "administrators": people.administrators(),
        "interaction_on": analytics.is_on(),
        "connection_on": licensing.connection_on(),
        "mode": setup.operation_mode(),
        "license": licensing.current(),
    }
    return _show(request, 5, context)


def license_step(request: HtmxRequest, _row: Setup) -> HttpResponse:
    """Step 4: add the license, or skip it."""
    hours = {"hold_hours": int(settings.NMS_HOLD_WINDOW.total_seconds() // 3600)}
    if request.method != "POST":
        return _show(request, 4, license_seen.drawn() | hours)
    try:
        seen = license_seen.of(request)
    except ValueError as error:
        return HttpResponseBadRequest(str(error))
    by = _by(request)
    try:
        if "add" in request.POST:
            _add_license(request, by, seen)
    except LicenseRejected as refusal:
        context = license_seen.drawn() | hours | {"refusal": refusal}
        return _show(
            request, 4, context | ({} if seen is None else {"seen": seen}), 422
        )
    except AlreadyLicensed:
        return _show(request, 4, license_seen.overtaken() | hours, 409)
    first_run.answered("License", by.now)
    return redirect("setup-step", number=5)


@sensitive_variables()
def _add_license(request: HtmxRequest, by: people.By, seen: int | None) -> None:
    licensing.apply_license(
        content=_uploaded(request),
        by=by.actor,
        via=by.via,
        now=by.now,
        address=by.address,
        subscription_id=request.POST.get("subscription_id", ""),
        replace=True,
        seen=seen,
    )


def _uploaded(request: HtmxRequest) -> bytes:
    """Return the bytes of the chosen file, or of what was pasted; never far too many."""
    file = request.FILES.get("file")
    if file:
        return bytes(file.read(MOST_BYTES + 1))
    return request.POST.get("token", "")[: MOST_BYTES + 1].encode()


HANDLERS: list[Callable[[Any, Setup], HttpResponse]] = [
    administrator,
    privacy,
    connectivity,
    license_step,
    finish,
]
