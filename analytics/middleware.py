"""Open the policy for the one page that bears the tracker, and keep who saw the notice."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.cache import patch_vary_headers

from analytics import services
from common.access import may
from common.roles import Role

Handler = Callable[[HttpRequest], HttpResponse]


def interaction_data(get_response: Handler) -> Handler:
    """Act on what the templates of this response really rendered.

    The tracker in the page puts the collector into ``connect-src``, of this response
    and nothing else. The notice in a page for an administrator is kept as shown.
    ``X-Page`` tells the tracker which page an htmx request opened.
    """

    def handle(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        rendered: set[str] = getattr(request, "interaction_rendered", set())
        if "tracker" in rendered:
            collector = urlsplit(settings.NMS_COLLECTOR_URL)
            origin = f"{collector.scheme}://{collector.netloc}"
            response._csp_update = {"connect-src": [origin]}  # type: ignore[attr-defined]
        if (
            "notice" in rendered
            and response.status_code == 200
            and may(request.user, Role.ADMINISTRATOR)
        ):
            services.notice_rendered(to=request.user.get_username(), now=timezone.now())
        if request.path.startswith("/ui/"):
            patch_vary_headers(response, ["Sec-GPC", "DNT"])
            if request.headers.get("HX-Request") and request.resolver_match:
                response["X-Page"] = request.resolver_match.url_name or ""
        return response

    return handle
