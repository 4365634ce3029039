"""What the first step of set-up asks."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password

from nms_admin.models import User
from nms_admin.profile import ZoneField


class AdministratorForm(forms.ModelForm):  # type: ignore[type-arg]
    """The first administrator, and the code that proves who runs this server."""

    code = forms.CharField(
        label="Setup code",
        max_length=64,
        help_text="Printed in the server log when the product first started. Lost it? "
        ".venv/bin/python manage.py setup_code makes a new one and ends the old.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    password = forms.CharField(
        label="Password",
        strip=False,
        help_text="At least 12 characters; a few words are easy to remember.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    time_zone = ZoneField(
        initial="UTC",
        help_text="Times are shown in UTC. Point at one to see it in this zone.",
    )
    field_order = ["code", "username", "email", "password", "time_zone"]

    class Meta:
        model = User
        fields = ["username", "email", "time_zone"]
        labels = {"username": "User name", "email": "Email"}
        help_texts = {"username": ""}
        widgets = {
            "username": forms.TextInput(
                attrs={
                    "autocomplete": "username",
                    "autocapitalize": "none",
                    "spellcheck": "false",
                }
            ),
            "email": forms.EmailInput(attrs={"autocomplete": "email"}),
        }

    def clean(self) -> dict[str, Any]:
        """Return the answers when the password obeys the rules."""
        data = self.cleaned_data
        if "password" in data:
            person = User(
                username=data.get("username", ""), email=data.get("email", "")
            )
            try:
                validate_password(data["password"], person)
            except forms.ValidationError as error:
                self.add_error("password", error)
        return data
