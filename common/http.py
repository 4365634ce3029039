"""The typed request of our views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

if TYPE_CHECKING:
    from nms_admin.models import User


class HtmxRequest(HttpRequest):
    """A request that passed the htmx and authentication middlewares."""

    htmx: HtmxDetails
    user: User
    request_id: str
