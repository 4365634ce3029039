"""Where NGINX reports its use, and the page that shows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from common.access import client_address, public, sign_in_required
from common.api import compact
from common.http import HtmxRequest
from egress.destinations import LOOPBACK
from licensing import services as licensing
from usage import days, intake, listing, reading, services
from usage.errors import MessageRefused

log = structlog.get_logger(__name__)
SPANS = (7, 30, 90)
MGMT = """mgmt {{
    usage_report  endpoint={host};
    license_token /etc/nginx/license.jwt;
}}
"""


@sign_in_required
@require_safe
def page(request: HtmxRequest) -> HttpResponse:
    """Show what is in use against the license, day by day, and who reports."""
    now = timezone.now()
    rows, older = listing.reporters(now, request.GET.get("after", ""))
    context: dict[str, Any] = {
        "rows": rows,
        "older_url": _link(request, after=older) if older else "",
        "first_url": _link(request) if "after" in request.GET else "",
        "clusters": listing.clusters(),
        "any": listing.known(),
        "refused": listing.turned_away(now),
        "mgmt": MGMT.format(host=_endpoint()),
        "tls": settings.NMS_PUBLIC_URL.startswith("https:"),
        "detail": settings.NMS_USAGE_DETAIL,
    }
    if context["any"]:
        context |= _in_use(request, now)
    return render(request, "usage/nginx_usage.html", context)


@public
@csrf_exempt
@require_http_methods(["GET", "POST"])
def take(request: HttpRequest) -> HttpResponse:
    """Take one usage report of NGINX: JSON by POST, or a header by GET.

    Who may report stands in decision 17: a license of ours, or an allowed address; the
    header form only by address, because it is so easily made up.
    """
    now, address = timezone.now(), _address(request)
    try:
        intake.check_trust(_token(request), address, now)
        new = intake.store(_message(request, now), now)
    except MessageRefused as refusal:
        return _refused(refusal, intake.count_refusal(refusal, address, now))
    said = "Stored." if new else "Known already; nothing was changed."
    return compact({"message": said, "code": 200}, 200)


def _endpoint() -> str:
    """Return where NGINX on another host reports, as far as this server knows it."""
    address = urlsplit(settings.NMS_PUBLIC_URL)
    here = address.hostname in LOOPBACK
    return "<this-server>:443" if here else address.netloc


def _in_use(request: HttpRequest, now: datetime) -> dict[str, Any]:
    today, span = now.astimezone(UTC).date(), _span(request)
    found = days.between(today - timedelta(days=span - 1), today)
    current = licensing.current()
    entitled = list(current.entitlements.all()) if current else []
    history = listing.history(found)
    most = max(history.instances)
    return {
        "limits": listing.limits(entitled, services.in_use(now, days.totals(found))),
        "standing": listing.standing(now),
        "versions": listing.versions(now),
        "history": history,
        "most": most,
        "plot": {
            "label": f"NGINX instances per day in the last {span} days: {most} at most.",
            "days": history.days,
            "series": [
                {"kind": "info", "name": "Instances", "counts": history.instances}
            ],
        },
        "days": span,
        "spans": [
            {"label": f"{one} days", "url": _link(request, days=str(one))}
            | {"current": one == span}
            for one in SPANS
        ],
    }


def _span(request: HttpRequest) -> int:
    """Return how many days are shown: the first of ``SPANS`` unless asked otherwise."""
    asked = request.GET.get("days", "")
    return next((span for span in SPANS if str(span) == asked), SPANS[0])


def _link(request: HttpRequest, **query: str) -> str:
    """Return the address of the page with the days shown now, changed by ``query``."""
    days = str(_span(request))
    kept = {"days": days} if days != str(SPANS[0]) else {}
    return f"{reverse('ui-nginx-usage')}?{urlencode(kept | query)}"


def _message(request: HttpRequest, now: datetime) -> reading.Message:
    if request.method == "GET":
        return reading.usage_header(request.headers.get("Nginx-Usage", ""), now)
    return reading.usage_json(request.body, now)


@sensitive_variables()
def _token(request: HttpRequest) -> str:
    """Return the license shown with a POST; nothing else proves who asks by GET."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    shown = request.method == "POST" and scheme.lower() == "bearer"
    return token.strip() if shown else ""


def _address(request: HttpRequest) -> str:
    """Return the client's address; empty behind a proxy that is not trusted.

    Such a proxy may run on this host, and its own address would be an allowed one.
    """
    address = client_address(request)
    forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    return "" if forwarded and address == request.META.get("REMOTE_ADDR") else address


def _refused(refusal: MessageRefused, wait: int) -> HttpResponse:
    if wait:
        answer = compact({"message": "Too many refused messages.", "code": 429}, 429)
        answer["Retry-After"] = str(wait)
        return answer
    log.info("usage.refused", code=refusal.code)
    details = [f"check: {refusal.code}"]
    if refusal.expected:
        details += [f"expected: {refusal.expected}", f"found: {refusal.found}"]
    body = {
        "message": refusal.sentence,
        "code": refusal.status,
        "details": [{"description": one} for one in details],
    }
    return compact(body, refusal.status)
