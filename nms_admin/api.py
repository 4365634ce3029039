"""The documented REST API: one frame, one shape of errors, Basic accounts only."""

from __future__ import annotations

from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.renderers import JSONRenderer

from analytics.api import router as analytics_router
from common.api import Refused, api_needs
from common.roles import Role
from licensing.api import router as words_router
from nms_admin.basic import Basic, TooManyTries
from nms_admin.health_page import router as health_router
from nms_admin.license_api import router as license_router
from nms_admin.metrics import router as metrics_router
from usage.api import router as usage_router
from usage.report_api import router as report_router

log = structlog.get_logger(__name__)


class Compact(JSONRenderer):
    """JSON on one line without spaces: clients read it with sed and grep."""

    json_dumps_params = {"separators": (",", ":")}


api = NinjaAPI(
    title="NGINX Management Suite admin",
    version=settings.VERSION,
    docs_url=None,
    openapi_url=None,
    auth=Basic(),
    renderer=Compact(),
)
api.add_router("", license_router)
api.add_router("", words_router)
api.add_router("", analytics_router)
api.add_router("", report_router)
api.add_router("", usage_router)
api.add_router("", metrics_router)
api.add_router("", health_router)


@api.get("/userinfo")
@api_needs(Role.VIEWER)
def userinfo(request: HttpRequest) -> dict[str, str]:
    """Return who asks and with what role. Our own inference."""
    user: Any = request.user
    return {"username": user.get_username(), "role": user.role}


@api.exception_handler(HttpError)
def _refused(request: HttpRequest, error: HttpError) -> HttpResponse:
    response = _answer(request, error.status_code, str(error), _details(error))
    if isinstance(error, TooManyTries):
        response["Retry-After"] = str(error.retry_after)
    return response


@api.exception_handler(AuthenticationError)
def _unknown(request: HttpRequest, _error: AuthenticationError) -> HttpResponse:
    return _answer(request, 401, "Sign in with HTTP Basic.")


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    details = [
        f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors
    ]
    return _answer(request, 400, "The request is not as documented.", details)


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, _error: Http404) -> HttpResponse:
    return _answer(request, 404, "Not Found")


@api.exception_handler(RequestDataTooBig)
def _too_large(request: HttpRequest, _error: RequestDataTooBig) -> HttpResponse:
    return _answer(request, 413, "The request is too large.")


@api.exception_handler(Exception)
def _failed(request: HttpRequest, error: Exception) -> HttpResponse:
    log.error("api.failed", path=request.path, exc_info=error)
    number = getattr(request, "request_id", "")
    return _answer(
        request, 500, f"Something went wrong here. It is logged as {number}."
    )


def _details(error: HttpError) -> list[str]:
    return list(error.details) if isinstance(error, Refused) else []


def _answer(
    request: HttpRequest, status: int, message: str, details: list[str] | None = None
) -> HttpResponse:
    body: dict[str, Any] = {"message": message, "code": status}
    if details:
        body["details"] = [{"description": one} for one in details]
    return api.create_response(request, body, status=status)
