"""Connects the receivers."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class TelemetryConfig(AppConfig):
    """Events about this installation, delivered to the receiver."""

    name = "telemetry"

    def ready(self) -> None:
        """Listen to what other apps announce."""
        import_module("telemetry.receivers")
