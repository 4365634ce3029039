"""Small middlewares of the whole site."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from urllib.parse import urlsplit

import structlog
from django.http import HttpRequest, HttpResponse, JsonResponse

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


def no_store(get_response: Handler) -> Handler:
    """Keep every page out of caches; static files are served before this."""

    def handle(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    return handle


def api_gateway(get_response: Handler) -> Handler:
    """Guard ``/api/``: no page of another site may use it with somebody's password.

    ``Origin`` is compared by host name, because clients reach us by address and port.
    """

    def handle(request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith("/api/"):
            return get_response(request)
        if _is_foreign(request):
            response: HttpResponse = JsonResponse(
                {"message": "Requests of other sites are refused.", "code": 403},
                status=403,
                json_dumps_params={"separators": (",", ":")},
            )
        else:
            response = get_response(request)
        response["Nginx-Management-Suite-Auth"] = "Basic"
        return response

    return handle


def _is_foreign(request: HttpRequest) -> bool:
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return True
    origin = request.headers.get("Origin", "")
    host = urlsplit(f"//{request.get_host()}").hostname
    return bool(origin) and urlsplit(origin).hostname != host
