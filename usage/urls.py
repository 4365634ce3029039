"""The addresses of NGINX usage."""

from __future__ import annotations

from django.urls import URLPattern, path

from usage import views

urlpatterns: list[URLPattern] = [
    path("ui/nginx-usage", views.page, name="ui-nginx-usage"),
    path("api/nginx-usage", views.take, name="nginx-usage"),
]
