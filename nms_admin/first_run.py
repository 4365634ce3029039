"""Until set-up is finished every page leads to its first undone step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import Resolver404, resolve

from audit.services import record
from common import setup
from common.api import compact
from common.models import Setup
from nms_admin.people import By

# Steps in order: what the progress bar calls them, and the moment each was answered.
STEPS = {
    "Administrator": "claimed_at",
    "Privacy": "privacy_at",
    "Connectivity": "connectivity_at",
    "License": "license_at",
    "Finish": "finished_at",
}
OPEN_ROUTES = {
    "setup",
    "setup-step",
    "liveness",
    "readiness",
    "csp-report",
    "privacy",
    "privacy-not-me",
    "ui-help",
    "logout",
    "interaction-data-opt-out",
    "interaction-data-choice",
    "interaction-data-permission",
    "connectivity-run",
    "connectivity-results",
}
PROBES = ("/api/liveness/", "/api/readiness")  # answered without asking how it stands
UNFINISHED = {
    "message": "Set-up is not finished. Open /setup/ in a browser.",
    "code": 503,
}


def first_undone(row: Setup) -> int:
    """Return the number of the first step without an answer, 1 to 5."""
    moments = [getattr(row, field) for field in STEPS.values()]
    return moments.index(None) + 1 if None in moments else len(moments)


def set_up_first(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Lead every page to set-up, and answer the API with 503, until it is finished.

    How set-up stands goes on with the request: what shows it need not ask again.
    """

    def handle(request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(PROBES):
            return get_response(request)
        request.set_up = row = setup.read()  # type: ignore[attr-defined]
        if row.finished_at is None and not _is_open(request.path_info):
            if request.path_info.startswith("/api/"):
                return compact(UNFINISHED, 503)
            return redirect("setup")
        return get_response(request)

    return handle


def _is_open(path: str) -> bool:
    try:
        route = resolve(path).url_name
    except Resolver404:
        return False
    if route == "login":  # of use as soon as there is somebody who can sign in
        return setup.current().claimed_at is not None
    return route in OPEN_ROUTES


def answered(step: str, now: datetime) -> None:
    """Note that a step was answered now; the first time counts."""
    field = STEPS[step]
    Setup.objects.filter(pk=1, **{field: None}).update(**{field: now})


def set_operation_mode(mode: str, by: By) -> None:
    """Store whether this server can reach F5; the same answer again adds no record."""
    with transaction.atomic():
        setup.current()
        changed = (
            Setup.objects.filter(pk=1)
            .exclude(operation_mode=mode)
            .update(operation_mode=mode, mode_changed_at=by.now)
        )
        if changed:
            _note("setup.operation_mode", by, mode=mode)


def keep_disconnected(by: By) -> None:
    """Store that NMS_OPERATION_MODE says so: without the variable it stays so.

    Only NMS_OPERATION_MODE=connected leads out again.
    """
    if settings.NMS_OPERATION_MODE == "disconnected":
        set_operation_mode("disconnected", by)


def finish(by: By) -> bool:
    """Finish set-up; false when somebody else just did."""
    with transaction.atomic():
        keep_disconnected(by)
        finished = Setup.objects.filter(pk=1, finished_at=None).update(
            finished_at=by.now, code_digest=""
        )
        if finished:
            _note("setup.finished", by)
    return bool(finished)


def _note(action: str, by: By, **details: str) -> None:
    record(
        action,
        now=by.now,
        actor=by.actor,
        via=by.via,
        address=by.address,
        details=details,
    )
