"""The addresses of Data planes."""

from __future__ import annotations

from django.urls import URLPattern, path

from dataplanes import views

PAGE = "ui/data-planes"
urlpatterns: list[URLPattern] = [
    path(PAGE, views.page, name="ui-data-planes"),
    path(f"{PAGE}/<int:pk>/remove", views.remove, name="ui-data-plane-remove"),
    path(f"{PAGE}/tokens/issue", views.issue, name="ui-agent-token-issue"),
    path(f"{PAGE}/tokens/<int:pk>/revoke", views.revoke, name="ui-agent-token-revoke"),
]
