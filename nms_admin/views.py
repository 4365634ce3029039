"""Pages of the whole product: overview, the API's own page, liveness."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from analytics import services as analytics
from audit.models import Record
from common.access import public, sign_in_required
from common.api import compact
from common.http import HtmxRequest
from licensing import services as licensing
from nms_admin import activity, attention
from nms_admin.api import api
from telemetry import services as telemetry
from telemetry.models import Batch

RECENT = 8
LIVENESS = ("core", "integrations", "dpm")


@public
@require_safe
def front_door(_request: HttpRequest) -> HttpResponse:
    """Send the bare address to the console, as clients expect (302)."""
    return redirect("/ui/")


@sign_in_required
@require_safe
def overview(request: HtmxRequest) -> HttpResponse:
    """Show the state of license, delivery and choices, and what was done last."""
    now = timezone.now()
    standing = licensing.standing(now, request.set_up)
    context: dict[str, Any] = {
        "now": now,
        "license": attention.license_stat(standing),
        "notes": attention.notes(standing, now, request.user),
        "connection_on": licensing.connection_on(),
        "waiting": telemetry.waiting(now, standing.terms),
        "last_accepted": _last_accepted(),
        "interaction_on": analytics.shown_as(analytics.choice_of(request)),
        "activity": [activity.line(row) for row in Record.objects.all()[:RECENT]],
    }
    return render(request, "overview.html", context)


@sign_in_required
@require_safe
def api_page(request: HttpRequest) -> HttpResponse:
    """Show the REST API with what django-ninja ships, from this server only."""
    return render(request, "api_docs.html")


@sign_in_required
@require_safe
def api_schema(_request: HttpRequest) -> HttpResponse:
    """Return the API's OpenAPI document for the page above."""
    return JsonResponse(api.get_openapi_schema())


@public
@require_safe
def liveness(request: HttpRequest, name: str) -> HttpResponse:
    """Say whether a named process lives: 200, or 503 when it was not seen lately."""
    if name not in LIVENESS:
        return no_such_call(request, name)
    alive = name == "core" or name in attention.alive(timezone.now())
    status = 200 if alive else 503
    word = "healthy" if alive else "unhealthy"
    return compact({"service": name, "status": word}, status)


def _last_accepted() -> Batch | None:
    accepted = Batch.objects.filter(acknowledged_at__isnull=False)
    return accepted.order_by("-acknowledged_at").defer("body").first()


@public
@csrf_exempt
def no_such_call(_request: HttpRequest, rest: str) -> HttpResponse:
    """Answer an unknown address of the API in the API's own form."""
    _ = rest
    return compact({"message": "Not Found", "code": 404}, 404)
