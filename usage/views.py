"""Where NGINX reports its use, and the page that shows it."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods

from common.access import client_address, public
from common.api import compact
from usage import intake, reading
from usage.errors import MessageRefused

log = structlog.get_logger(__name__)


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
