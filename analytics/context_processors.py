"""What the shell shows about interaction data; each part is read only when shown."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.urls import Resolver404, resolve, reverse
from django.utils.functional import SimpleLazyObject

from analytics import catalog, services
from common import labels, locks
from common.access import may
from common.models import Via
from common.roles import Role


def interaction_data(request: HttpRequest) -> dict[str, Any]:
    """Return ``tracker``, ``privacy_banner``, ``interaction_choice`` and the words for them.

    ``tracker`` and ``privacy_banner`` are false when nothing is to be rendered.
    """
    return {
        "tracker": SimpleLazyObject(lambda: tracker(request)),
        "privacy_banner": SimpleLazyObject(lambda: _banner(request)),
        "interaction_choice": SimpleLazyObject(lambda: shown_choice(request)),
        "interaction_points": catalog.POINTS,
        "recipient": "the test receiver" if settings.SANDBOX else "F5",
        "privacy_notice_url": settings.NMS_PRIVACY_NOTICE_URL,
    }


def tracker(request: HttpRequest) -> dict[str, str] | None:
    """Return the tracker's configuration for this page; None when it may not load."""
    if not services.is_collecting(request):
        return None
    page = request.resolver_match
    return {
        "collector": settings.NMS_COLLECTOR_URL + catalog.PATH,
        "schema": catalog.SCHEMA,
        "permission": reverse("interaction-data-permission"),
        "points": json.dumps(
            services.allowed_fields(services.choice_of(request)), separators=(",", ":")
        ),
        "page": (page and page.url_name) or "",
        "came_from": _page_from(request),
    }


def shown_choice(request: HttpRequest) -> dict[str, Any]:
    """Return how the choice for all users is shown to this user."""
    newest = services.choice_of(request)
    number = newest.pk if newest else 0
    on = services.shown_as(newest)
    lock = locks.holding(locks.INTERACTION_DATA, on)

    def action(via: Via) -> str:
        return f"{reverse('interaction-data-choice')}?via={via}&seen={number}"

    return {
        "label": labels.INTERACTION_DATA,
        "on": on,
        "row": newest,
        "number": number,
        "locked": lock,
        "collector": bool(settings.NMS_COLLECTOR_URL),
        "editable": may(request.user, Role.ADMINISTRATOR) and lock is None,
        "menu_action": action(Via.USER_MENU),
        "page_action": action(Via.SETTINGS),
        "notice_action": action(Via.NOTICE),
        "opt_out": f"{reverse('interaction-data-opt-out')}?via=notice&seen={number}",
    }


def _page_from(request: HttpRequest) -> str:
    """Return the name of the console's page this one was reached from, else nothing.

    The name comes from the ``Referer`` of our own origin; the address itself is
    read here and never leaves.
    """
    parts = urlsplit(request.headers.get("Referer", ""))
    if parts.netloc != request.get_host() or not parts.path.startswith("/ui/"):
        return ""
    try:
        return resolve(parts.path).url_name or ""
    except Resolver404:
        return ""


def _banner(request: HttpRequest) -> services.Banner | None:
    if not may(request.user, Role.ADMINISTRATOR):
        return None
    return services.banner(services.choice_of(request))
