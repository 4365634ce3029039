"""The product's addresses, Django admin, and the floor: session and user, no more."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import path

from nms_admin.models import User
from nms_admin.urls import urlpatterns as product


class PlainForm(admin.ModelAdmin):
    """The text fields of a user; without the long list of permissions."""

    fields = ("username", "email", "first_name", "last_name", "role", "is_active")


admin.site.register(User, PlainForm)


def floor(request: HttpRequest) -> HttpResponse:
    """Read the session and the user."""
    return HttpResponse(request.user.get_username())


urlpatterns = [path("floor", floor), path("admin/", admin.site.urls), *product]
