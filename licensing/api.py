"""``/api/platform/v1/license`` and its neighbours, in the documented shape."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.http import HttpRequest
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from ninja import Router, Status
from ninja.errors import HttpError

from common import setup
from common.access import client_address
from common.api import Refused, api_needs
from common.models import Via
from common.roles import Role
from licensing import connection, services, tasks
from licensing.errors import AlreadyLicensed, LicenseRejected
from licensing.models import License
from licensing.reading import MOST_BYTES
from licensing.states import State

router = Router()
ALREADY = "failed to register token. already registered"
PRODUCT = "NGINX Management Suite"
BODY = {
    "requestBody": {
        "content": {
            "application/json": {
                "example": {
                    "metadata": {"name": "license"},
                    "desiredState": {"content": "<JSON Web Token>", "type": "JWT"},
                }
            }
        }
    }
}


@router.get("/license")
@api_needs(Role.VIEWER)
def read_license(request: HttpRequest) -> dict[str, Any]:  # noqa: ARG001
    """Return the license, its state and what it entitles to; never its text."""
    return _document(timezone.now())


@router.post("/license", openapi_extra=BODY)
@api_needs(Role.ADMINISTRATOR)
def add_license(request: HttpRequest, telemetry: str = "") -> Status[dict[str, Any]]:
    """Add a license; 409 when one is in force already, which sets nothing."""
    on = _choice(telemetry)
    content = _content(request)
    if not content:
        raise Refused(400, "No license in desiredState.content.", "Send the token.")
    return Status(202, _apply(request, content, on, replace=False))


@router.put("/license", openapi_extra=BODY)
@api_needs(Role.ADMINISTRATOR)
def change_license(request: HttpRequest, telemetry: str = "") -> dict[str, Any]:
    """Replace the license; without content set only the Continuous Connection choice."""
    on = _choice(telemetry)
    content = _content(request)
    if content:
        return _apply(request, content, on, replace=True)
    if on is not None:
        _switch(request, on)
    return _document(timezone.now())


@router.delete("/license")
@api_needs(Role.ADMINISTRATOR)
def end_license(request: HttpRequest) -> Status[dict[str, Any]]:
    """Terminate the license in force."""
    found = services.current()
    if found is None:
        raise HttpError(404, "There is no license to terminate.")
    now = timezone.now()
    name = services.name_of(found)
    services.terminate(confirmation=name, **_who(request, now))
    document = _document(now)
    instance = document["currentStatus"]["state"]["currentInstance"]
    instance["configState"]["selfConfigState"]["isDeleting"] = True
    return Status(202, document)


@router.get("/license/status")
@api_needs(Role.VIEWER)
def license_status(request: HttpRequest) -> dict[str, str]:  # noqa: ARG001
    """Return the status word alone."""
    return {"licenseStatus": services.state(timezone.now()).activation}


@router.get("/modules/versions")
@api_needs(Role.VIEWER)
def versions(request: HttpRequest) -> dict[str, str]:  # noqa: ARG001
    """Return the version clients choose their flow by (NMS_API_VERSION)."""
    return {"nim": settings.NMS_API_VERSION}


@router.get("/modules/licensed")
@api_needs(Role.VIEWER)
def licensed(request: HttpRequest) -> dict[str, bool]:  # noqa: ARG001
    """Return whether a checked license is in force."""
    state = services.state(timezone.now())
    return {"licensed": state.usable and not state.provisional}


@router.get("/report/device_mode")
@api_needs(Role.VIEWER)
def device_mode(request: HttpRequest) -> dict[str, str]:  # noqa: ARG001
    """Return the operation mode in the clients' words."""
    return {"device_mode": setup.operation_mode().upper()}


def _choice(telemetry: str) -> bool | None:
    choices = {"": None, "true": True, "false": False}
    if telemetry not in choices:
        raise Refused(
            400, "telemetry must be true or false.", f"Found: {telemetry[:20]}"
        )
    return choices[telemetry]


@sensitive_variables()
def _content(request: HttpRequest) -> bytes:
    """Return desiredState.content; whatever Content-Type it came with."""
    if not request.body.strip():
        return b""
    try:
        content = json.loads(request.body).get("desiredState", {}).get("content", "")
    except (ValueError, AttributeError, RecursionError):
        content = None
    if not isinstance(content, str) or len(content) > MOST_BYTES:
        raise Refused(
            400,
            "The body is not a license document.",
            "Send JSON with desiredState.content as text, up to 64 KB.",
        )
    return content.encode("utf-8", "replace").strip()


@sensitive_variables("content")
def _apply(
    request: HttpRequest, content: bytes, on: bool | None, *, replace: bool
) -> dict[str, Any]:
    now = timezone.now()
    try:
        added = services.apply_license(
            content=content, telemetry=on, replace=replace, **_who(request, now)
        )
    except AlreadyLicensed:
        raise HttpError(409, ALREADY) from None
    except LicenseRejected as refusal:
        details = [f"check: {refusal.code}"]
        if refusal.expected:
            details.append(f"expected: {refusal.expected}")
        if refusal.found:
            details.append(f"found: {refusal.found}")
        raise Refused(422, refusal.sentence, *details) from None
    tasks.nudge(added.pk)
    return _document(now)


def _switch(request: HttpRequest, on: bool) -> None:
    if on and settings.DO_NOT_TRACK:
        raise HttpError(409, "DO_NOT_TRACK is set on this server.")
    try:
        services.set_connection(on=on, **_who(request, timezone.now()))
    except IntegrityError:
        raise HttpError(409, "Somebody else answered at the same moment.") from None


def _who(request: HttpRequest, now: datetime) -> dict[str, Any]:
    return {
        "by": request.user.get_username(),
        "via": Via.API,
        "now": now,
        "address": client_address(request),
    }


def _document(now: datetime) -> dict[str, Any]:
    found = services.current()
    state = services.state_of(found, now)
    return {
        "metadata": {
            "name": "license",
            "kind": "license",
            "uid": str(found.pk) if found else "",
            **({"createTime": _time(found.applied_at)} if found else {}),
        },
        "desiredState": {
            "content": "******" if found else "",
            "type": found.kind if found else "",
            "features": [],
        },
        "currentStatus": {
            "modeOfOperation": setup.operation_mode().upper(),
            "subscription": {"id": found.subscription_id if found else ""},
            "entitlement": {"features": _entitled(found, state)},
            "state": {"currentInstance": _instance(found, state)},
        },
    }


def _instance(found: License | None, state: State) -> dict[str, Any]:
    waiting = state.phase == "waiting"
    return {
        "id": found.token_id if found else "",
        "type": PRODUCT,
        "version": settings.NMS_API_VERSION,
        "status": state.activation,
        "fileType": found.kind if found else "",
        "telemetry": connection.is_on(),
        "features": [
            {"id": row["id"], "name": row["name"], "daysUntilExpiry": state.days_left}
            for row in _entitled(found, state)
        ],
        "configState": {
            "selfConfigState": {
                "isConfigured": state.usable,
                "isConfiguring": waiting,
                "isError": state.phase == "expired",
                "isDeleting": False,
            },
            "conditions": [],
        },
    }


def _entitled(found: License | None, state: State) -> list[dict[str, Any]]:
    """Return the features; always at least one, because clients read the first."""
    rows = list(found.entitlements.all()) if found else []
    expiry = str(state.ends_on) if state.ends_on else ""
    features = [
        {
            "name": row.feature,
            "id": row.feature,
            "type": "",
            "limit": row.limit,
            "unlimited": row.unlimited,
            "unitOfMeasure": row.unit,
            "expiry": expiry,
            "gracePeriodDays": 0 if state.trial else 90,
        }
        for row in rows
    ]
    return features or [
        {"name": "NGINX_INSTANCES", "id": "NGINX_INSTANCES", "limit": 0}
    ]


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
