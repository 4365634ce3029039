"""``/api/platform/v1/analytics``: the choice for all users. Our own inference."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from ninja.errors import HttpError

from analytics import services
from analytics.errors import ChoiceRefused
from common import locks
from common.access import client_address
from common.api import api_needs
from common.models import Via
from common.roles import Role

router = Router()


class ChoiceIn(Schema, extra="forbid"):
    """What an administrator decides for all users."""

    interactionData: bool  # noqa: N815  (names of the API are camelCase)


class ChoiceOut(Schema):
    """The choice in force, who decided, and whether a setting keeps it off."""

    interactionData: bool | None  # noqa: N815
    mode: str
    locked: bool
    lockedBy: str | None  # noqa: N815
    decidedBy: str | None  # noqa: N815
    decidedAt: datetime | None  # noqa: N815


@router.get("/analytics", response=ChoiceOut)
@api_needs(Role.VIEWER)
def read_choice(request: HttpRequest) -> ChoiceOut:  # noqa: ARG001
    """Return the choice for all users; null when nobody has chosen in opt-in mode."""
    newest, on = services.choice(), services.is_on()
    lock = locks.holding(locks.INTERACTION_DATA, on)
    return ChoiceOut(
        interactionData=on,
        mode=settings.NMS_ANALYTICS_MODE,
        locked=lock is not None,
        lockedBy=lock.sentence if lock else None,
        decidedBy=newest.decided_by if newest else None,
        decidedAt=newest.decided_at if newest else None,
    )


@router.put("/analytics", response=ChoiceOut)
@api_needs(Role.ADMINISTRATOR)
def write_choice(request: HttpRequest, body: ChoiceIn) -> ChoiceOut:
    """Decide for all users; 409 when a setting of this server keeps it off."""
    try:
        services.set_choice(
            collect=body.interactionData,
            by=request.user.get_username(),
            via=Via.API,
            now=timezone.now(),
            address=client_address(request),
        )
    except ChoiceRefused as refusal:
        raise HttpError(409, str(refusal)) from refusal
    return read_choice(request)
