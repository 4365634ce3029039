"""A user's own page: password, time zone, theme, sessions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from common.access import client_address, sign_in_required
from common.http import HtmxRequest
from common.roles import Role
from nms_admin import lockout, people, sessions
from nms_admin.models import Session, User
from nms_admin.sign_in import locked_sentence, next_page
from nms_admin.users import ROLE_HELP, PasswordForm, by

AREAS = (
    "Africa/",
    "America/",
    "Antarctica/",
    "Arctic/",
    "Asia/",
    "Atlantic/",
    "Australia/",
    "Europe/",
    "Indian/",
    "Pacific/",
)
THEMES = ("system", "light", "dark")
THEME_LASTS = timedelta(days=365)
BROWSERS = {
    "Edg": "Edge",
    "OPR": "Opera",
    "Firefox": "Firefox",
    "Chrome": "Chrome",
    "Safari": "Safari",
    "curl": "curl",
}
SYSTEMS = {
    "Windows": "Windows",
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Mac OS": "macOS",
    "Linux": "Linux",
}


class ZoneField(forms.CharField):
    """A time zone by its name, with the known ones to choose from."""

    def __init__(self, **kwargs: Any) -> None:
        attrs = {"list": "time-zones", "autocomplete": "off", "spellcheck": "false"}
        widget = forms.TextInput(attrs=attrs)
        super().__init__(label="Time zone", widget=widget, max_length=64, **kwargs)

    @staticmethod
    def zones() -> list[str]:
        """Return the names to choose from: UTC, then Area/City in order."""
        places = {name for name in available_timezones() if name.startswith(AREAS)}
        return ["UTC", *sorted(places)]

    def validate(self, value: Any) -> None:
        """Refuse a name this host does not know."""
        super().validate(value)
        if value not in available_timezones():
            raise forms.ValidationError("Write a time zone such as Europe/Berlin.")


class TimeZoneForm(forms.Form):
    """The zone in which times are shown beside UTC."""

    time_zone = ZoneField(
        help_text="Times are shown in UTC. Point at one to see it in this zone."
    )


class OwnPasswordForm(PasswordForm):
    """A new password, against the old one."""

    old = forms.CharField(
        label="Password now",
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    field_order = ["old", "password"]

    def __init__(self, *args: Any, request: HtmxRequest, **kwargs: Any) -> None:
        super().__init__(*args, user=request.user, **kwargs)
        self.request = request

    def clean_old(self) -> str:
        """Return the old password when it is right; guesses count as at sign-in."""
        old: str = self.cleaned_data["old"]
        name, now = self.user.username, timezone.now()
        address = client_address(self.request)
        if not lockout.claim(name, address, now=now):
            until = lockout.standing(name, address, now=now).locked_until or now
            raise forms.ValidationError(f"Too many tries. {locked_sentence(until)}")
        if not self.user.check_password(old):
            raise forms.ValidationError("This is not your password.")
        lockout.forgive(name)
        return old


def browser(agent: str) -> str:
    """Name browser and system of a User-Agent for people.

    Example:
        >>> browser("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0")
        'Firefox on Linux'
    """
    name = next((label for part, label in BROWSERS.items() if part in agent), "")
    system = next((label for part, label in SYSTEMS.items() if part in agent), "")
    return " on ".join(filter(None, [name, system])) or "Unknown browser"


@sign_in_required
@require_safe
def profile(request: HtmxRequest) -> HttpResponse:
    """Show what the signed-in user may change about themselves."""
    return _page(request)


def _page(request: HtmxRequest, **forms_given: forms.Form) -> HttpResponse:
    zone = TimeZoneForm(initial={"time_zone": request.user.time_zone})
    now = timezone.now()
    rows = [
        {"session": row, "browser": browser(row.agent), "own": _is_own(request, row)}
        for row in sessions.of(request.user, now=now)
    ]
    context = {
        "password_form": OwnPasswordForm(request=request),
        "zone_form": zone,
        "sessions": rows,
        "role_help": ROLE_HELP[Role(request.user.role)],
        "now": now,
        **forms_given,
    }
    status = 422 if forms_given else 200
    return render(request, "profile/profile.html", context, status=status)


def _is_own(request: HtmxRequest, row: Session) -> bool:
    return row.pk == sessions.stored(request.session.session_key or "")


@sign_in_required
@sensitive_post_parameters("old", "password")
@require_POST
def password(request: HtmxRequest) -> HttpResponse:
    """Change the password; other sessions end, this one goes on."""
    form = OwnPasswordForm(request.POST, request=request)
    if not form.is_valid():
        return _page(request, password_form=form)
    user = User.objects.get(pk=request.user.pk)
    keep = request.session.session_key
    people.set_password(user, form.cleaned_data["password"], by(request), keep=keep)
    update_session_auth_hash(request, user)
    messages.success(request, "Your password is changed. Other sessions have ended.")
    return redirect("profile")


@sign_in_required
@require_POST
def time_zone(request: HtmxRequest) -> HttpResponse:
    """Store the zone in which times are shown beside UTC."""
    form = TimeZoneForm(request.POST)
    if not form.is_valid():
        return _page(request, zone_form=form)
    zone = form.cleaned_data["time_zone"]
    User.objects.filter(pk=request.user.pk).update(time_zone=zone)
    messages.success(request, f"Times are shown in UTC, and in {zone} beside it.")
    return redirect("profile")


@sign_in_required
@require_POST
def theme(request: HtmxRequest) -> HttpResponse:
    """Store light, dark or the system's own, and show the page again.

    A cookie tells it to the pages before sign-in, and to those of errors.
    """
    chosen = request.POST.getlist("theme")
    if len(chosen) != 1 or chosen[0] not in THEMES:
        return HttpResponseBadRequest("Send theme=system, light or dark, once.")
    User.objects.filter(pk=request.user.pk).update(theme=chosen[0])
    response = HttpResponseRedirect(next_page(request))
    response.set_cookie(
        "theme",
        chosen[0],
        max_age=THEME_LASTS,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    return response


@sign_in_required
@require_POST
def end_sessions(request: HtmxRequest) -> HttpResponse:
    """End the user's other sessions, or one of them named by its handle."""
    keep, only = request.session.session_key, request.POST.get("session", "")
    ended = people.end_sessions(request.user.pk, by(request), keep=keep, only=only)
    messages.success(request, f"{ended} other session{'s' * (ended != 1)} ended.")
    return redirect("profile")
