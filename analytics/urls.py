"""Addresses of interaction data, privacy and policy reports."""

from __future__ import annotations

from django.urls import path

from analytics import views

urlpatterns = [
    path("ui/settings/web-analytics", views.page, name="ui-web-analytics"),
    path(
        "ui/settings/web-analytics/choice", views.choose, name="interaction-data-choice"
    ),
    path(
        "ui/settings/web-analytics/opt-out",
        views.opt_out,
        name="interaction-data-opt-out",
    ),
    path(
        "ui/settings/web-analytics/acknowledgement",
        views.acknowledge,
        name="interaction-data-acknowledgement",
    ),
    path(
        "ui/interaction-data/permission",
        views.permission,
        name="interaction-data-permission",
    ),
    path("privacy", views.privacy, name="privacy"),
    path("privacy/not-me", views.not_me, name="privacy-not-me"),
    path("csp-report", views.csp_report, name="csp-report"),
]
