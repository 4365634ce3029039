"""``/api/platform/v1/license`` and its neighbours, in the documented shape."""

from __future__ import annotations

import json
import uuid
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
from egress.models import Attempt
from licensing import connection, services, tasks, terminate_notice
from licensing.errors import (
    AlreadyLicensed,
    ConnectionLocked,
    LicenseRejected,
    NotConfirmed,
)
from licensing.models import License
from licensing.reading import MOST_BYTES
from licensing.signals import events_asked
from licensing.states import State

router = Router()
ALREADY = "failed to register token. already registered"
NUMBERS = uuid.UUID("6f3a3d6e-5b0c-4a35-9f0d-0a5f5cf0a6f1")
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


@router.post("/license", response={202: dict[str, Any]}, openapi_extra=BODY)
@api_needs(Role.ADMINISTRATOR)
def add_license(request: HttpRequest, telemetry: str = "") -> Status[dict[str, Any]]:
    """Add a license; 409 when one is active already, which sets nothing."""
    on, now = _choice(request, telemetry), timezone.now()
    content = _content(request)
    if not content:
        raise Refused(400, "No license in desiredState.content.", "Send the token.")
    active = services.state(now).usable
    _apply(request, content, on, now, replace=not active)
    return Status(202, _document(now))


@router.put("/license", openapi_extra=BODY)
@api_needs(Role.ADMINISTRATOR)
def change_license(request: HttpRequest, telemetry: str = "") -> dict[str, Any]:
    """Replace the license; without content go on with the one added, set the choice."""
    on, now = _choice(request, telemetry), timezone.now()
    content = _content(request)
    if content:
        _apply(request, content, on, now, replace=True)
    elif on is not None:
        _switch(request, on, now)
    elif services.current() is None:
        raise Refused(400, "There is no license.", "Send desiredState.content.")
    services.confirm(now)
    return _document(now)


@router.delete("/license", response={202: dict[str, Any]})
@api_needs(Role.ADMINISTRATOR)
def end_license(request: HttpRequest, notify: str = "") -> Status[dict[str, Any]]:
    """Terminate the license in force; notify=true tells the vendor, by a worker."""
    found, now = services.current(), timezone.now()
    if notify not in ("", "true", "false"):
        raise Refused(400, "notify must be true or false.", f"Found: {notify[:20]}")
    tell = notify == "true"
    connected = setup.operation_mode() == "connected"
    if (
        tell
        and found
        and (silence := terminate_notice.silence(found, connected=connected))
    ):
        raise Refused(409, silence, "Leave notify out to terminate all the same.")
    try:
        name = services.name_of(found) if found else ""
        services.terminate(confirmation=name, tell=tell, **_who(request, now))
    except License.DoesNotExist:
        raise HttpError(404, "There is no license to terminate.") from None
    except NotConfirmed:
        raise HttpError(409, "The license was replaced at the same moment.") from None
    document = _document(now)
    instance = document["currentStatus"]["state"]["currentInstance"]
    instance["configState"]["selfConfigState"]["isDeleting"] = True
    return Status(202, document)


@router.get("/license/status")
@api_needs(Role.VIEWER)
def license_status(request: HttpRequest) -> dict[str, str]:  # noqa: ARG001
    """Return the status word alone."""
    found = services.current()
    return {"licenseStatus": _word(found, services.state_of(found, timezone.now()))}


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
        setup.operation_mode() == "connected" or standing.license.acknowledged_at
    )
    return {"licensed": bool(standing.state.usable and complete)}


@router.get("/report/device_mode")
@api_needs(Role.VIEWER)
def device_mode(request: HttpRequest) -> dict[str, str]:  # noqa: ARG001
    """Return the operation mode in the clients' words."""
    return {"device_mode": setup.operation_mode().upper()}


def _choice(request: HttpRequest, telemetry: str) -> bool | None:
    choices = {"": None, "true": True, "false": False}
    if telemetry not in choices or len(request.GET.getlist("telemetry")) > 1:
        raise Refused(
            400, "telemetry must be true or false, once.", f"Found: {telemetry[:20]}"
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
    request: HttpRequest,
    content: bytes,
    on: bool | None,
    now: datetime,
    *,
    replace: bool,
) -> None:
    try:
        added = services.apply_license(
            content=content, telemetry=on, replace=replace, **_who(request, now)
        )
    except AlreadyLicensed:
        raise HttpError(409, ALREADY) from None
    except ConnectionLocked as refusal:
        raise HttpError(409, str(refusal)) from None
    except LicenseRejected as refusal:
        details = [f"check: {refusal.code}"]
        if refusal.expected:
            details.append(f"expected: {refusal.expected}")
        if refusal.found:
            details.append(f"found: {refusal.found}")
        raise Refused(422, refusal.sentence, *details) from None
    tasks.nudge(added.pk)


def _switch(request: HttpRequest, on: bool, now: datetime) -> None:
    """Store the choice; *on* changes nothing while DO_NOT_TRACK is set."""
    try:
        services.set_connection(on=on, **_who(request, now))
    except ConnectionLocked as refusal:
        raise HttpError(409, str(refusal)) from None
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
            "uid": _number(found) if found else "",
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
            "events": _events(now),
        },
    }


def _events(now: datetime) -> dict[str, int]:
    """Return how many events wait and were discarded, from whoever keeps them."""
    answers: Any = events_asked.send(sender=None, now=now)
    return {name: number for _, found in answers for name, number in found.items()}


def _word(found: License | None, state: State) -> str:
    """Return the word clients wait for, step by step.

    What was added here becomes ACTIVATED and goes on by PUT; what was added on a page
    needs no PUT. In disconnected mode the first acknowledged report completes it.
    """
    if found is None or state.activation not in ("VALID", "CONFIG_REPORT_READY"):
        return state.activation
    confirmed = found.via != Via.API or found.confirmed_at is not None
    if setup.operation_mode() == "connected":
        return state.activation if confirmed else "ACTIVATED"
    if found.acknowledged_at:
        return "VALID"
    return "CONFIG_REPORT_READY" if confirmed else "INITIALIZE_ACTIVATION_COMPLETE"


def _last_reported() -> dict[str, str]:
    accepted = Attempt.objects.filter(
        destination="telemetry", outcome=Attempt.Outcome.ACCEPTED
    )
    newest = accepted.order_by("-started_at").first()
    if newest is None or newest.finished_at is None:
        return {}
    return {"telemetryLastReported": _time(newest.finished_at)}


def _instance(found: License | None, state: State) -> dict[str, Any]:
    days = "gracePeriodRemainingDays" if state.phase == "grace" else "daysUntilExpiry"
    waiting = state.phase == "waiting"
    return {
        "id": _number(found) if found else "",
        "type": PRODUCT,
        "version": settings.NMS_API_VERSION,
        "status": _word(found, state),
        "fileType": found.kind if found else "",
        "telemetry": connection.is_on(),
        **_last_reported(),
        "features": [
            {"id": row["id"], "name": row["name"], days: state.days_left}
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


def _number(found: License) -> str:
    """Return a license's own identity here, which says nothing of its content."""
    return str(uuid.uuid5(NUMBERS, f"license {found.pk}"))


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
