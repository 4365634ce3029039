"""What every API operation needs: its role, and the one shape of errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, TypeVar

from django.http import HttpRequest, JsonResponse
from ninja.errors import HttpError

from common.access import may
from common.roles import Role

Operation = TypeVar("Operation", bound=Callable[..., Any])


def compact(body: dict[str, Any], status: int) -> JsonResponse:
    """Return JSON without spaces, for what is answered before or outside the API."""
    return JsonResponse(
        body, status=status, json_dumps_params={"separators": (",", ":")}
    )


class Refused(HttpError):
    """A refusal with details; each is a sentence of its own."""

    def __init__(self, status: int, message: str, *details: str) -> None:
        super().__init__(status, message)
        self.details = details


def api_needs(role: str) -> Callable[[Operation], Operation]:
    """Let only accounts of at least ``role`` use an API operation; others get 403.

    Who asks is settled before, by the API's own authentication. Stands under the
    route decorator: ``@router.put("/license")``, then ``@api_needs(...)``.
    """

    def decorate(operation: Operation) -> Operation:
        @wraps(operation)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            if not may(request.user, role):
                raise HttpError(403, f"This needs the role {Role(role).label}.")
            return operation(request, *args, **kwargs)

        guarded.access = role  # type: ignore[attr-defined]
        # django-ninja reads types from here; it would look names up in this module.
        guarded.__signature__ = signature(operation, eval_str=True)  # type: ignore[attr-defined]
        return guarded  # type: ignore[return-value]

    return decorate
