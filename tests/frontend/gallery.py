"""Pages made of every shared part, for the tests only."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template import engines

PAGES = Path(__file__).parent / "pages"
DAYS = [date(2026, 11, 10) + timedelta(days=n) for n in range(14)]
SERIES = [
    {"kind": "ok", "name": "Accepted", "counts": [*range(13), 9]},
    {"kind": "held", "name": "Held", "counts": [5, 4, *[0] * 12]},
    {"kind": "bad", "name": "Refused", "counts": [*[0] * 13, 2]},
]


class Form(forms.Form):
    """One field of each kind."""

    name = forms.CharField(label="User name", help_text="Letters and digits.")
    email = forms.EmailField(label="Email", required=False)
    password = forms.CharField(label="Password", widget=forms.PasswordInput)
    zone = forms.ChoiceField(label="Time zone", choices=[("UTC", "UTC")])
    role = forms.ChoiceField(
        label="Role",
        choices=[("a", "Administrator"), ("o", "Operator")],
        widget=forms.RadioSelect,
    )
    on = forms.BooleanField(
        label="Enable Continuous Connection", required=False, help_text="Once a day."
    )
    text = forms.CharField(label="Note", widget=forms.Textarea, required=False)


def context() -> dict[str, object]:
    """Return what the gallery's pages show."""
    return {
        "kinds": ["info", "ok", "warn", "bad", "held"],
        "moment": datetime(2026, 11, 22, 12, 4, tzinfo=UTC),
        "days": DAYS,
        "series": SERIES,
        "payload": '{\n  "documentType": "nms-telemetry"\n}',
        "tabs": [
            {"url": "#o", "label": "Overview", "current": True},
            {"url": "#u", "label": "Usage reports"},
        ],
        "items": [
            {"value": "1", "label": "Allow", "help": "For all users.", "checked": True},
            {"value": "0", "label": "Opt out", "help": "For all users."},
        ],
        "form": Form({"name": "", "zone": "x"}),
        "empty": Form(),
        "sandbox": True,
        "disconnected": True,
        "privacy_banner": None,
        "tracker": None,
    }


def gallery(request: HttpRequest, name: str) -> HttpResponse:
    """Show one page of parts; ``say`` leaves a message, ``ends`` the session soon."""
    if said := request.GET.get("say"):
        messages.success(request, said)
    template = engines["django"].from_string((PAGES / f"{name}.html").read_text())
    shown = context()
    if seconds := request.GET.get("ends"):
        shown["session_ends_at"] = datetime.now(UTC) + timedelta(seconds=int(seconds))
    return HttpResponse(template.render(shown, request))
