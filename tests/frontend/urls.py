"""The gallery beside the product's own URLs."""

from __future__ import annotations

from django.urls import include, path

from tests.frontend.gallery import gallery

urlpatterns = [
    path("parts/<str:name>", gallery),
    path("", include("nms_admin.urls")),
]
