"""What is answered when something is not allowed, not there, or broken."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError, ProgrammingError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from nms_admin import people

RETRY_SECONDS = 10
MIGRATE = "manage.py migrate"


def no_access(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 403 with the role of who asks and whom to ask instead."""
    _ = exception
    if request.path_info.startswith("/api/"):
        return _json(403, "Forbidden")
    context = {}
    if request.user.is_authenticated:
        context = {
            "role": request.user.get_role_display(),
            "administrators": ", ".join(people.administrators()),
        }
    return render(request, "403.html", context, status=403)


def failed(request: HttpRequest) -> HttpResponse:
    """Answer 500, or 503 while the database is away or older than the code.

    Reads nothing from the database and shows nothing of the error but its number.
    """
    number = getattr(request, "request_id", "")
    error = sys.exc_info()[1]
    away = isinstance(error, OperationalError | InterfaceError | ProgrammingError)
    status = 503 if away else 500
    if request.path_info.startswith("/api/"):
        response: HttpResponse = _json(status, f"It is logged as {number}.")
    else:
        behind = isinstance(error, ProgrammingError) or "no such table" in str(error)
        context = {"request_id": number, "command": MIGRATE if behind else ""}
        page = render_to_string(f"{status}.html", context)
        response = HttpResponse(page, status=status)
    if away:
        response["Retry-After"] = response["Refresh"] = str(RETRY_SECONDS)
    return response


def _json(status: int, message: str) -> HttpResponse:
    return JsonResponse(
        {"message": message, "code": status},
        status=status,
        json_dumps_params={"separators": (",", ":")},
    )
