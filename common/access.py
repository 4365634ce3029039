"""The decorators by which every view states who may use it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django_htmx.http import HttpResponseClientRedirect

from common.roles import RANK, Role

View = Callable[..., HttpResponse]


def may(user: Any, role: str) -> bool:
    """Return whether ``user`` is signed in, active and at least ``role``."""
    return bool(
        user.is_authenticated
        and user.is_active
        and RANK.get(user.role, 0) >= RANK[Role(role)]
    )


def needs(role: str) -> Callable[[View], View]:
    """Let only users of at least ``role`` reach a page; others get 403 or sign in.

    An htmx request of somebody who is not signed in gets ``HX-Redirect``, never a
    sign-in page inside a card.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                if request.headers.get("HX-Request"):
                    return HttpResponseClientRedirect("/login?why=ended")
                return redirect_to_login(request.get_full_path())
            if not may(request.user, role):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        guarded.access = role  # type: ignore[attr-defined]
        return guarded

    return decorate


def public(view: View) -> View:
    """Mark a view that anybody may reach without signing in."""
    view.access = "public"  # type: ignore[attr-defined]
    return view


administrator_required = needs(Role.ADMINISTRATOR)
operator_required = needs(Role.OPERATOR)
sign_in_required = needs(Role.VIEWER)
