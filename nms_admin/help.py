"""The Help page: docs/telemetry-and-web-analytics.md, and short answers about words."""

from __future__ import annotations

from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from common.access import public
from nms_admin import prose
from nms_admin.users import role_cards

PAGE = settings.BASE_DIR / "docs" / "telemetry-and-web-analytics.md"
WRITTEN = "http://127.0.0.1:8000"  # the address of this console in that page
PROVE = """sha256sum usage-report-*.zip
unzip -p usage-report-*.zip manifest.json | sha256sum"""


@public
@require_safe
def help_page(request: HttpRequest) -> HttpResponse:
    """Show what is captured, how to switch it, what to open, and what words mean."""
    template = "help.html" if request.user.is_authenticated else "help_public.html"
    context = {
        "sections": _sections(settings.NMS_PUBLIC_URL),
        "hold_window": hold_window(),
        "roles": role_cards(""),
        "prove": PROVE,
    }
    return render(request, template, context)


def hold_window() -> str:
    """Return for how long held events wait: ``24 hours``."""
    hours = settings.NMS_HOLD_WINDOW.total_seconds() / 3600
    return f"{hours:g} hour{'' if hours == 1 else 's'}"


@cache
def _sections(address: str) -> list[prose.Section]:
    return prose.read(PAGE, {WRITTEN: address})
