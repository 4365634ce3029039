"""The product's addresses, Django admin, and the floors: a session, an INSERT."""

from __future__ import annotations

import json

from django.contrib import admin
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from nms_admin.models import User
from nms_admin.urls import urlpatterns as product


class PlainForm(admin.ModelAdmin):
    """The text fields of a user; without the long list of permissions."""

    fields = ("username", "email", "first_name", "last_name", "role", "is_active")


admin.site.register(User, PlainForm)


def floor(request: HttpRequest) -> HttpResponse:
    """Read the session and the user."""
    return HttpResponse(request.user.get_username())


@csrf_exempt
def raw(request: HttpRequest) -> HttpResponse:
    """Read the message and write one row of it, with no question asked."""
    said = json.loads(request.body)
    client = said["http"]["client"]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO bench_raw (uuid, since, until, requests, bytes)"
            " VALUES (%s, %s, %s, %s, %s)",
            [
                said["uuid"],
                said["start_time"],
                said["end_time"],
                client["requests"],
                client["received"] + client["sent"],
            ],
        )
    return HttpResponse(b'{"message":"Stored."}', "application/json")


urlpatterns = [
    path("floor", floor),
    path("raw", raw),
    path("admin/", admin.site.urls),
    *product,
]
