"""Beside ``/license``: the words that clients wait for, and what decides their flow."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from common import setup
from common.api import api_needs
from common.roles import Role
from licensing import services, shape

router = Router()


@router.get("/license/status")
@api_needs(Role.VIEWER)
def license_status(request: HttpRequest) -> dict[str, str]:  # noqa: ARG001
    """Return the status word alone."""
    return {"licenseStatus": shape.word(services.standing(timezone.now()))}


@router.get("/modules/versions")
@api_needs(Role.VIEWER)
def versions(request: HttpRequest) -> dict[str, str]:  # noqa: ARG001
    """Return the version clients choose their flow by (NMS_API_VERSION)."""
    return {"nim": settings.NMS_API_VERSION}


@router.get("/modules/licensed")
@api_needs(Role.VIEWER)
def licensed(request: HttpRequest) -> dict[str, bool]:  # noqa: ARG001
    """Return whether the license is in effect; disconnected, a report comes first."""
    standing = services.standing(timezone.now())
    complete = standing.license and (
        standing.connected or standing.license.acknowledged_at
    )
    return {"licensed": bool(standing.state.usable and complete)}


@router.get("/report/device_mode")
@api_needs(Role.VIEWER)
def device_mode(request: HttpRequest) -> dict[str, str]:  # noqa: ARG001
    """Return the operation mode in the clients' words."""
    return {"device_mode": setup.operation_mode().upper()}
