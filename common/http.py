"""The typed request of our views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

if TYPE_CHECKING:
    from common.models import Setup
    from nms_admin.models import User


class HtmxRequest(HttpRequest):
    """A request that passed our middlewares; ``set_up`` is as it stood then."""

    htmx: HtmxDetails
    user: User
    set_up: Setup
    request_id: str
