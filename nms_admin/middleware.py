"""Small middlewares of the whole site."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

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
