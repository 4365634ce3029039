"""The addresses of Settings > Telemetry."""

from __future__ import annotations

from django.urls import URLPattern, path

from telemetry import views

PAGE = "ui/settings/telemetry"
urlpatterns: list[URLPattern] = [
    path(PAGE, views.page, name="ui-telemetry"),
    path(f"{PAGE}/batches/<uuid:number>", views.batch, name="telemetry-batch"),
    path(f"{PAGE}/batches/<uuid:number>/retry", views.retry, name="telemetry-retry"),
    path(
        f"{PAGE}/batches/<uuid:number>/discard",
        views.discard,
        name="telemetry-discard",
    ),
    path(f"{PAGE}/try-now", views.try_now, name="telemetry-try-now"),
    path(f"{PAGE}/delete-held", views.delete_held, name="telemetry-delete-held"),
    path(f"{PAGE}/ledger.csv", views.export, name="telemetry-export"),
    path(f"{PAGE}/data-points.json", views.data_points, name="telemetry-data-points"),
]
