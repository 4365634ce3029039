"""Sign in and out with a browser."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from audit.services import record
from common.access import client_address, public
from nms_admin import lockout, sessions
from nms_admin.models import User

HOME = "/ui/"
PASSWORD_MOST = 4096
WRONG = "User name or password is wrong"
MANY = "Too many tries"
NOTES = {
    "ended": {
        "kind": "info",
        "title": "Your session ended",
        "body": "Sign in to go on. Your page opens again after that.",
    },
    "signed-out": {"kind": "ok", "title": "Signed out", "body": ""},
    "password-set": {
        "kind": "ok",
        "title": "Your password is set",
        "body": "Sign in with it now.",
    },
}


def begin_session(request: HttpRequest, user: User, now: datetime) -> None:
    """Sign ``user`` in: session, audit record and Login event, or none of them."""
    with transaction.atomic():
        sessions.prune(now=now)
        request.session.flush()
        login(request, user, backend=settings.AUTHENTICATION_BACKENDS[-1])
        sessions.begin(request, now=now)
        record(
            "user.signed_in",
            now=now,
            actor=user.get_username(),
            via=lockout.VIA_SIGN_IN,
            address=client_address(request),
        )


def next_page(request: HttpRequest, default: str = HOME) -> str:
    """Return the page asked for with ``next`` when it is one of ours, else another."""
    page = request.POST.get("next", request.GET.get("next", ""))
    ours = page.startswith("/") and url_has_allowed_host_and_scheme(
        page, {request.get_host()}, require_https=request.is_secure()
    )
    return page if ours else default


def locked_sentence(until: datetime) -> str:
    """Say when a locked name may try again; the next whole minute is safe."""
    at = until.replace(second=59)
    return (
        f"Try again at {at:%H:%M} UTC, or ask an administrator to unlock the account."
    )


@public
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Show the sign-in page, or sign in and open the page asked for."""
    if request.method != "POST":
        if request.user.is_authenticated:
            return HttpResponseRedirect(next_page(request))
        note = NOTES.get(request.GET.get("why", ""))
        return _page(request, note, request.session.get("username", ""), 200)
    name = lockout.typed_name(request.POST.get("username", ""))
    password = request.POST.get("password", "")[:PASSWORD_MOST]
    address = client_address(request)
    stands = lockout.standing(name, address, now=timezone.now())
    if not stands.locked_until:
        user = authenticate(request, username=name, password=password)
        if isinstance(user, User):
            begin_session(request, user, timezone.now())
            return HttpResponseRedirect(next_page(request))
        stands = lockout.standing(name, address, now=timezone.now())
    return _refused(request, name, stands)


def _refused(request: HttpRequest, name: str, stands: lockout.Standing) -> HttpResponse:
    if stands.locked_until:
        note = {"title": MANY, "body": locked_sentence(stands.locked_until)}
        response = _page(request, note, name, 429)
        wait = stands.locked_until - timezone.now()
        response["Retry-After"] = str(max(1, int(wait.total_seconds()) + 1))
        response._has_been_logged = True  # type: ignore[attr-defined]  # the chain has it
        return response
    left = f"{stands.tries_left} tr{'y' if stands.tries_left == 1 else 'ies'} left"
    note = {"title": WRONG, "body": f"{left} before a 15-minute wait."}
    return _page(request, note, name, 422)


def _page(
    request: HttpRequest, note: dict[str, Any] | None, name: str, status: int
) -> HttpResponse:
    context = {
        "note": note,
        "refused": status != 200,
        "username": name,
        "next": next_page(request),
    }
    return render(request, "registration/login.html", context, status=status)


@public
@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End this session and show the sign-in page."""
    if request.user.is_authenticated:
        with transaction.atomic():
            record(
                "user.signed_out",
                now=timezone.now(),
                actor=request.user.get_username(),
                via=lockout.VIA_SIGN_IN,
                address=client_address(request),
            )
            logout(request)
    return redirect("/login?why=signed-out")
