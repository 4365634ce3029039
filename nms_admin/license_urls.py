"""The addresses of Settings > License."""

from __future__ import annotations

from django.urls import URLPattern, path

from nms_admin import license_page

PAGE = "ui/settings/license"
urlpatterns: list[URLPattern] = [
    path(PAGE, license_page.page, name="ui-license"),
    path(f"{PAGE}/add", license_page.add, name="ui-license-add"),
    path(f"{PAGE}/history", license_page.history, name="ui-license-history"),
    path(f"{PAGE}/activation", license_page.activation, name="license-activation"),
    path(
        f"{PAGE}/activation/again",
        license_page.ask_again,
        name="license-ask-again",
    ),
    path(
        f"{PAGE}/continuous-connection",
        license_page.connect,
        name="license-connection",
    ),
    path(
        f"{PAGE}/continuous-connection/off",
        license_page.turn_off,
        name="ui-license-turn-off",
    ),
    path(f"{PAGE}/terminate", license_page.terminate, name="ui-license-terminate"),
]
