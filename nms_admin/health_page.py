"""Operate > System health, the same as JSON, and whether this process can serve."""

from __future__ import annotations

from typing import Any

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe
from ninja import Router

from common.access import (
    administrator_required,
    client_address,
    may,
    public,
    sign_in_required,
)
from common.api import api_needs, compact
from common.http import HtmxRequest
from common.models import Via
from common.roles import Role
from nms_admin import bundle, health

router = Router()
TITLES = {
    "ok": "Everything works",
    "warn": "Something needs a look",
    "bad": "Something does not work",
}
_migrated = False  # once true it stays so: a release brings its processes anew


@sign_in_required
@require_safe
def page(request: HtmxRequest) -> HttpResponse:
    """Show every row, the worst first."""
    return render(request, "health/page.html", _context(request))


@sign_in_required
@require_safe
def again(request: HtmxRequest) -> HttpResponse:
    """Show the rows alone, for the page that is open; it extends no session."""
    if not request.htmx:
        return redirect("ui-health")
    return render(request, "health/_rows.html", _context(request))


def _context(request: HtmxRequest) -> dict[str, Any]:
    now = timezone.now()
    found = health.rows(now)
    kind = health.overall(found)
    return {
        "rows": found,
        "kind": kind,
        "title": TITLES[kind],
        "wrong": sum(row.kind in ("bad", "warn") for row in found),
        "now": now,
        "paused": "paused" in request.GET,
        "may_take": may(request.user, Role.ADMINISTRATOR),
    }


@administrator_required
@require_POST
def support_bundle(request: HtmxRequest) -> HttpResponse:
    """Give out the support bundle; the audit log names who took it."""
    now = timezone.now()
    content = bundle.write(
        now,
        actor=request.user.get_username(),
        via=Via.SETTINGS,
        address=client_address(request),
    )
    answer = HttpResponse(content, content_type="application/zip")
    name = bundle.name_of(now)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "no-store"
    return answer


@router.get("/health")
@api_needs(Role.VIEWER)
def read_health(request: HttpRequest) -> dict[str, Any]:  # noqa: ARG001
    """Return what System health shows. Our own inference."""
    return health.as_json(timezone.now())


@public
@require_safe
def readiness(_request: HttpRequest) -> HttpResponse:
    """Say whether this process can serve: 200, or 503 while the database cannot.

    The vendor, the license and the other processes have no say: a console that shows
    what is wrong has to stay reachable.
    """
    checks = {"database": "ok", "migrations": "ok"}
    try:
        list(health.database())
        if not _up_to_date():
            checks["migrations"] = "missing"
    except Error:
        checks = {"database": "away", "migrations": "unknown"}
    ready = set(checks.values()) == {"ok"}
    word = "ready" if ready else "not ready"
    return compact({"status": word, **checks}, 200 if ready else 503)


def _up_to_date() -> bool:
    """Return whether every migration was applied; asked until it is so."""
    global _migrated  # noqa: PLW0603  (one answer a process)
    if not _migrated:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
        _migrated = not plan
    return _migrated
