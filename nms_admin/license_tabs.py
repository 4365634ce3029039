"""The pages under Settings > License, as tabs."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

PAGES = {
    "ui-license": "Overview",
    "ui-usage-reports": "Usage reports",
    "ui-license-history": "License history",
}


def tabs(current: str) -> list[dict[str, Any]]:
    """Return the tabs with the one of the route ``current`` marked."""
    return [
        {"url": reverse(route), "label": label, "current": route == current}
        for route, label in PAGES.items()
    ]
