"""The Help page: docs/telemetry-and-web-analytics.md, and short answers about words."""

from __future__ import annotations

from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from common.access import public
from nms_admin import prose

PAGE = settings.BASE_DIR / "docs" / "telemetry-and-web-analytics.md"


@public
@require_safe
def help_page(request: HttpRequest) -> HttpResponse:
    """Show what is captured, how to switch it, what to open, and what words mean."""
    template = "help.html" if request.user.is_authenticated else "help_public.html"
    hours = int(settings.NMS_HOLD_WINDOW.total_seconds() // 3600)
    context = {"sections": _sections(), "hold_window": f"{hours} hours"}
    return render(request, template, context)


@cache
def _sections() -> list[prose.Section]:
    return prose.read(PAGE)
