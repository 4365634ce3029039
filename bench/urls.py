"""The product's addresses, Django admin, and the floor: session and user, no more."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import path

from nms_admin.models import User
from nms_admin.urls import urlpatterns as product

admin.site.register(User)


def floor(request: HttpRequest) -> HttpResponse:
    """Read the session and the user."""
    return HttpResponse(request.user.get_username())


urlpatterns = [path("floor", floor), path("admin/", admin.site.urls), *product]
