"""What every page's shell needs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def shell(request: HttpRequest) -> dict[str, Any]:
    """Return version, mode and navigation for base.html."""
    return {
        "version": settings.VERSION,
        "sandbox": settings.SANDBOX,
        "request_id": getattr(request, "request_id", ""),
    }
