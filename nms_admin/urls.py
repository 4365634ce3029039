"""Every address of the site in one place."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from nms_admin import health_page, views
from nms_admin.api import api
from nms_admin.help import help_page

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.front_door, name="front-door"),
    path("", include("nms_admin.people_urls")),
    path("", include("analytics.urls")),
    path("", include("dataplanes.urls")),
    path("ui/", views.overview, name="ui-overview"),
    path("ui/help", help_page, name="ui-help"),
    path("ui/docs", views.api_page, name="ui-docs"),
    path("ui/docs/openapi.json", views.api_schema, name="ui-docs-schema"),
    path("", include("telemetry.urls")),
    path("", include("usage.urls")),
    path("", include("nms_admin.license_urls")),
    path("", include("nms_admin.connectivity_urls")),
    path("", include("nms_admin.audit_urls")),
    path("ui/health", health_page.page, name="ui-health"),
    path("ui/health/bundle", health_page.support_bundle, name="support-bundle"),
    path("ui/health/rows", health_page.again, name="health-rows"),
    path("api/readiness", health_page.readiness, name="readiness"),
    path("api/liveness/<str:name>", views.liveness, name="liveness"),
    path("api/platform/v1/", api.urls),
    path("api/<path:rest>", views.no_such_call, name="no-such-call"),
]

handler403 = "nms_admin.error_pages.no_access"
handler500 = "nms_admin.error_pages.failed"
