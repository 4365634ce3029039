"""Small middlewares of the whole site."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from common.api import compact

# Paths that take more: an acknowledgement of 2 MiB, and the form around it. Who asks is
# known there before the body is read.
LARGER = {"/api/platform/v1/report/upload": 2 * 1024 * 1024 + 4096}
Handler = Callable[[HttpRequest], HttpResponse]


def request_id(get_response: Handler) -> Handler:
    """Give every request an id: in its log lines, on error pages, in the answer."""

    def handle(request: HttpRequest) -> HttpResponse:
        request.request_id = f"req-{uuid.uuid4().hex[:12]}"  # type: ignore[attr-defined]
        with structlog.contextvars.bound_contextvars(
            request_id=request.request_id  # type: ignore[attr-defined]
        ):
            response = get_response(request)
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        return response

    return handle


def body_limit(get_response: Handler) -> Handler:
    """Answer 413 to a body that is larger than anything we take, before it is read.

    Django's own limit does not count files, and they would be written to disk before
    anybody is asked who they are.
    """

    def handle(request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        most = LARGER.get(request.path_info, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        if length.isdigit() and int(length) <= most:
            return get_response(request)
        if request.path_info.startswith("/api/"):
            return _problem(413)
        return render(request, "413.html", status=413)

    return handle


def no_store(get_response: Handler) -> Handler:
    """Keep every page out of caches; static files are served before this."""

    def handle(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return handle


def api_gateway(get_response: Handler) -> Handler:
    """Guard ``/api/``: no page of another site may use it with somebody's password.

    Errors are JSON whoever answers. ``Origin`` is compared by host name, because
    clients reach us by address and port.
    """

    def handle(request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith("/api/"):
            return get_response(request)
        if _is_foreign(request):
            response = _problem(403, "Requests of other sites are refused.")
        else:
            response = get_response(request)
        is_json = response.get("Content-Type", "").startswith("application/json")
        if response.status_code >= 400 and not is_json:
            allow = response.get("Allow")
            response = _problem(response.status_code)
            if allow:
                response["Allow"] = allow
        response["Nginx-Management-Suite-Auth"] = "Basic"
        if response.status_code == 401 and "Sec-Fetch-Site" not in request.headers:
            # Not to a browser: it would keep the password and send it by itself.
            response["WWW-Authenticate"] = 'Basic realm="NGINX Management Suite admin"'
        return response

    return handle


def _problem(status: int, message: str = "") -> HttpResponse:
    text = message or HTTPStatus(status).phrase
    return compact({"message": text, "code": status}, status)


def _is_foreign(request: HttpRequest) -> bool:
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return True
    origin = request.headers.get("Origin", "")
    return bool(origin) and _host(origin) != _host(f"//{request.get_host()}")


def _host(address: str) -> str | None:
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
