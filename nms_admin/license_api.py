"""``/api/platform/v1/license`` in the documented shape, with use and events in it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

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
from licensing import services, shape, tasks, terminate_notice
from licensing.errors import (
    AlreadyLicensed,
    ConnectionLocked,
    LicenseRejected,
    NotConfirmed,
)
from licensing.models import License
from licensing.reading import MOST_BYTES
from telemetry import ledger as deliveries
from telemetry import services as events
from usage.listing import limits
from usage.services import in_use

router = Router()
ALREADY = "failed to register token. already registered"
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
def change_license(
    request: HttpRequest, telemetry: str = "", anyway: str = ""
) -> dict[str, Any]:
    """Replace the license; without content go on with the one added, set the choice.

    anyway=true takes one that ended or is older than the one in force, too.
    """
    on, now = _choice(request, telemetry), timezone.now()
    if anyway not in ("", "true", "false"):
        raise Refused(400, "anyway must be true or false.", f"Found: {anyway[:20]}")
    content = _content(request)
    if content:
        cautious = anyway != "true"
        _apply(request, content, on, now, replace=True, cautious=cautious)
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
    cautious: bool = False,
) -> None:
    try:
        added = services.apply_license(
            content=content,
            telemetry=on,
            replace=replace,
            cautious=cautious,
            **_who(request, now),
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
        if refusal.command:
            details.append(f"make one with: {refusal.command}")
        if refusal.anyway:
            details.append("to take it all the same: anyway=true")
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
    """Return the license with what is in use of it and what waits, as it is now."""
    standing = services.standing(now)
    found = standing.license
    entitled = list(found.entitlements.all()) if found else []
    counted = limits(entitled, in_use(now))
    beside = shape.Beside(
        entitled=entitled,
        used={one.feature: one.used for one in counted if one.used is not None},
        connection=services.connection_on(),
        reported_at=deliveries.last_reported_at(),
        events={
            "waiting": events.waiting(now, standing.terms).total,
            "discarded": sum(deliveries.discarded().values()),
        },
    )
    return shape.document(standing, beside)
