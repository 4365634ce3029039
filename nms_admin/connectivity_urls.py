"""The addresses of Settings > Connectivity."""

from __future__ import annotations

from django.urls import URLPattern, path

from nms_admin import connectivity

PAGE = "ui/settings/connectivity"
urlpatterns: list[URLPattern] = [
    path(PAGE, connectivity.page, name="ui-connectivity"),
    path(f"{PAGE}/run", connectivity.run, name="connectivity-run"),
    path(f"{PAGE}/results", connectivity.results, name="connectivity-results"),
]
