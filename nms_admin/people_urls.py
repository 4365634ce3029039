"""The addresses of sign-in, users, profile and set-up."""

from __future__ import annotations

from django.urls import URLPattern, path

from nms_admin import sign_in

urlpatterns: list[URLPattern] = [
    path("login", sign_in.sign_in, name="login"),
    path("logout", sign_in.sign_out, name="logout"),
]
