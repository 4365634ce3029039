"""Settings > Users and roles, and the page a one-time link leads to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.password_validation import validate_password
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from common.access import (
    administrator_required,
    client_address,
    may,
    public,
    sign_in_required,
)
from common.http import HtmxRequest
from common.roles import Role
from nms_admin import lockout, people, sessions
from nms_admin.models import User

ROLE_HELP = {
    Role.ADMINISTRATOR: "Everything: license, both choices, users.",
    Role.OPERATOR: "Sees everything. Runs checks, sends usage, tries deliveries again.",
    Role.VIEWER: "Sees everything but payloads, receipts and addresses. Changes nothing.",
}


class AddForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new user: name, email, role."""

    class Meta:
        model = User
        fields = ["username", "email", "role"]
        labels = {"username": "User name", "email": "Email", "role": "Role"}
        help_texts = {"username": "Letters, digits and @ . + - _ only."}
        widgets = {
            "username": forms.TextInput(
                attrs={
                    "autocomplete": "off",
                    "autocapitalize": "none",
                    "spellcheck": "false",
                }
            ),
            "email": forms.EmailInput(attrs={"autocomplete": "off"}),
        }
        error_messages = {
            "username": {"unique": "There is already a user with this name."}
        }


class PasswordForm(forms.Form):
    """A new password, once: it can be shown while typing."""

    password = forms.CharField(
        label="New password",
        help_text="At least 12 characters; a few words are easy to remember.",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_password(self) -> str:
        """Return the password when it obeys the rules of ``passwords.py``."""
        password: str = self.cleaned_data["password"]
        validate_password(password, self.user)
        return password


def role_cards(chosen: str) -> list[dict[str, Any]]:
    """Return the roles as radio cards, each with what it may do."""
    return [
        {
            "value": role.value,
            "label": role.label,
            "help": ROLE_HELP[role],
            "checked": role.value == chosen,
        }
        for role in Role
    ]


def by(request: HtmxRequest) -> people.By:
    """Return who asks, for the audit chain."""
    return people.By(
        request.user.get_username(),
        timezone.now(),
        address=client_address(request),
        pk=request.user.pk,
    )


@sign_in_required
@require_safe
def users(request: HtmxRequest) -> HttpResponse:
    """Show all users with role, last sign-in and state."""
    context = {
        "rows": people.rows(now=timezone.now()),
        "roles": role_cards(""),
        "may_change": may(request.user, Role.ADMINISTRATOR),
        "administrators": people.administrators(),
    }
    return render(request, "users/list.html", context)


@administrator_required
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: HtmxRequest) -> HttpResponse:
    """Show the form for a new user; store it and show the one-time link once."""
    form = AddForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        data = form.cleaned_data
        try:
            user, token = people.add_user(
                data["username"], data["email"], data["role"], by(request)
            )
        except people.ChangeRefused as refusal:
            form.add_error("username", str(refusal))
        else:
            return _link_page(request, user, token, new=True)
    cards = role_cards(request.POST.get("role", Role.VIEWER))
    context = {"form": form, "cards": cards}
    return render(
        request, "users/add.html", context, status=422 if form.errors else 200
    )


def _link_page(
    request: HtmxRequest, user: User, token: str, *, new: bool = False
) -> HttpResponse:
    link = settings.NMS_PUBLIC_URL + reverse("welcome", args=[token])
    context = {"person": user, "link": link, "new": new}
    return render(request, "users/link.html", context)


@administrator_required
@require_safe
def user(request: HtmxRequest, pk: int) -> HttpResponse:
    """Show one user: role, link, sessions, access."""
    person = get_object_or_404(User, pk=pk)
    return _user_page(request, person)


def _user_page(
    request: HtmxRequest, person: User, refusal: str = "", status: int = 200
) -> HttpResponse:
    now = timezone.now()
    context = {
        "person": person,
        "own": person.pk == request.user.pk,
        "cards": role_cards(person.role),
        "sessions": sessions.of(person, now=now),
        "locked": bool(lockout.locked([person.username], now=now)),
        "refusal": refusal,
    }
    return render(request, "users/user.html", context, status=status)


def _changed(
    request: HtmxRequest, pk: int, change: Callable[[], User], done: str
) -> HttpResponse:
    """Make a change and go back to the user's page; 409 with the reason if refused."""
    person = get_object_or_404(User, pk=pk)
    try:
        person = change()
    except people.ChangeRefused as refusal:
        return _user_page(request, person, str(refusal), 409)
    messages.success(request, done.format(person.username, person.get_role_display()))
    if person.pk == request.user.pk and not person.is_active:
        return redirect("login")
    return redirect("ui-user", pk=pk)


@administrator_required
@require_POST
def role(request: HtmxRequest, pk: int) -> HttpResponse:
    """Give the user another role."""
    roles = request.POST.getlist("role")
    if len(roles) != 1 or roles[0] not in Role.values:
        return _user_page(
            request, get_object_or_404(User, pk=pk), "Choose a role.", 422
        )
    return _changed(
        request,
        pk,
        lambda: people.change_role(pk, roles[0], by(request)),
        "{} is now {}. Their sessions have ended.",
    )


@administrator_required
@require_POST
def deactivate(request: HtmxRequest, pk: int) -> HttpResponse:
    """Shut the user out; nothing of theirs is deleted."""
    return _changed(
        request,
        pk,
        lambda: people.set_active(pk, False, by(request)),
        "{} is deactivated and signed out.",
    )


@administrator_required
@require_POST
def activate(request: HtmxRequest, pk: int) -> HttpResponse:
    """Let the user sign in again with the password they had."""
    return _changed(
        request,
        pk,
        lambda: people.set_active(pk, True, by(request)),
        "{} can sign in again.",
    )


@administrator_required
@require_POST
def link(request: HtmxRequest, pk: int) -> HttpResponse:
    """Make a new one-time link and show it once."""
    person = get_object_or_404(User, pk=pk)
    try:
        person, token = people.make_link(pk, by(request))
    except people.ChangeRefused as refusal:
        return _user_page(request, person, str(refusal), 409)
    return _link_page(request, person, token)


@administrator_required
@require_POST
def end_sessions(request: HtmxRequest, pk: int) -> HttpResponse:
    """End all sessions of the user; one's own browser stays signed in."""
    keep = request.session.session_key if pk == request.user.pk else None
    return _changed(
        request,
        pk,
        lambda: (people.end_sessions(pk, by(request), keep), User.objects.get(pk=pk))[
            1
        ],
        "The sessions of {} have ended.",
    )


@administrator_required
@require_POST
def unlock(request: HtmxRequest, pk: int) -> HttpResponse:
    """Give the user their tries back before the wait ends."""
    person = get_object_or_404(User, pk=pk)
    people.unlock(person.username, by(request))
    messages.success(request, f"{person.username} can try to sign in again.")
    return redirect("ui-user", pk=pk)


@public
@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def welcome(request: HttpRequest, token: str) -> HttpResponse:
    """Let the person of a one-time link set their password."""
    now = timezone.now()
    person = people.invited(token, now=now)
    if person is None:
        return render(request, "users/welcome.html", {"used": True}, status=404)
    form = PasswordForm(request.POST if request.method == "POST" else None, user=person)
    if form.is_valid():
        password = form.cleaned_data["password"]
        address = client_address(request)
        if not people.accept_link(token, password, now=now, address=address):
            raise Http404
        request.session["username"] = person.username
        return redirect("/login?why=password-set")
    context = {"form": form, "person": person}
    return render(
        request, "users/welcome.html", context, status=422 if form.errors else 200
    )
