"""What every page's shell needs."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from common import setup
from nms_admin import sessions

# heading -> (label, route, icon)
NAVIGATION = {
    "Monitor": [
        ("Overview", "ui-overview", "layout-dashboard"),
        ("Data planes", "ui-data-planes", "server-2"),
        ("NGINX usage", "ui-nginx-usage", "chart-bar"),
    ],
    "Settings": [
        ("License", "ui-license", "certificate"),
        ("Telemetry", "ui-telemetry", "antenna-bars-5"),
        ("Web analytics", "ui-web-analytics", "click"),
        ("Connectivity", "ui-connectivity", "plug-connected"),
        ("Users and roles", "ui-users", "users"),
    ],
    "Operate": [
        ("Audit log", "ui-audit", "history"),
        ("System health", "ui-health", "heartbeat"),
    ],
}


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return version, mode and navigation for base.html; read only when rendered."""
    return {
        "version": settings.VERSION,
        "sandbox": settings.SANDBOX,
        "disconnected": SimpleLazyObject(lambda: _mode(request) == "disconnected"),
        "navigation": SimpleLazyObject(lambda: navigation(request.path)),
        "session_ends_at": sessions.ends_at(request, now=timezone.now()),
        "request_id": getattr(request, "request_id", ""),
    }


def _mode(request: HttpRequest) -> str:
    """Return the operation mode; a page made before set-up was read asks itself."""
    row = getattr(request, "set_up", None)
    return setup.mode_of(row) if row else setup.operation_mode()


def navigation(path: str) -> list[dict[str, Any]]:
    """Return the sidebar with the item ``path`` belongs to marked as current."""
    home = reverse("ui-overview")
    return [
        {
            "heading": heading,
            "items": [
                {
                    **entry,
                    "current": path == entry["url"]
                    if entry["url"] == home
                    else path.startswith(entry["url"]),
                }
                for entry in entries
            ],
        }
        for heading, entries in _entries()
    ]


@cache
def _entries() -> list[tuple[str, list[dict[str, str]]]]:
    """Return headings and entries with their addresses, which never change."""
    return [
        (
            heading,
            [
                {
                    "url": reverse(route),
                    "label": label,
                    "icon": icon,
                    "track": f"nav:{route.removeprefix('ui-')}",
                }
                for label, route, icon in entries
            ],
        )
        for heading, entries in NAVIGATION.items()
    ]
