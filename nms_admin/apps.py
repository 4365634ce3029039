"""Register the system checks."""

from __future__ import annotations

from django.apps import AppConfig


class NmsAdminConfig(AppConfig):
    """The composition root."""

    name = "nms_admin"

    def ready(self) -> None:
        """Load the checks; they need the app registry."""
        from nms_admin import checks  # noqa: F401
