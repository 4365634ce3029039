"""Ask the vendor what a license entitles to; only after somebody added it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import transaction

from common import setup
from common.sealing import SealBroken, unseal
from egress import destinations, gate
from egress import services as egress
from egress.errors import DeliveryError, NotAllowed, TransientError
from egress.models import Gate, Pause
from egress.transport import Answer
from licensing import connection
from licensing.models import Entitlement, License

DESTINATION = "entitlements"
IN_USE = 409  # our inference: the subscription is another installation's
MOST = 200
Clock = Callable[[], datetime]


def wanted(found: License | None) -> bool:
    """Return whether entitlements should be asked for now.

    Adding a license selects its activation, which goes on until it ends, also with
    Continuous Connection off; never in disconnected mode or before set-up is finished.
    """
    return bool(
        found
        and found.kind == License.Kind.JWT
        and found.current
        and found.checked_at
        and found.entitlements_at is None
        and destinations.find(DESTINATION)
        and setup.finished_at()
        and setup.operation_mode() == "connected"
    )


def stopped(found: License) -> Pause | None:
    """Return the refusal since which nothing is asked for this license; else None."""
    pause = gate.paused(DESTINATION)
    return pause if pause and pause.paused_at >= found.applied_at else None


def trouble(found: License) -> Pause | Gate | None:
    """Return why entitlements are not here after a try: a refusal, or a closed gate.

    None also when the gate opened meanwhile; the next sweep asks then.
    """
    destination = destinations.find(DESTINATION)
    return stopped(found) or (gate.state(destination.host) if destination else None)


def try_again(now: datetime) -> None:
    """Let the next sweep ask at once, also after a refusal: somebody selected it."""
    if destination := destinations.find(DESTINATION):
        gate.override(destination.host, now)
    gate.resume(DESTINATION)


def fetch(license_id: int, clock: Clock) -> bool:
    """Ask once under the host's gate and store the answer; say whether it came.

    What went wrong stands on the license for the page. The sweep asks again when the
    gate allows it; after a refusal only when the license changes or somebody tries.
    """
    found = License.objects.filter(pk=license_id).first()
    destination = destinations.find(DESTINATION)
    if found is None or destination is None or not wanted(found):
        return False
    if stopped(found):
        return False
    gate.resume(DESTINATION)
    ticket = gate.enter(destination.host, clock())
    if ticket is None:
        return False
    try:
        token = unseal(found.sealed)
    except SealBroken as error:
        gate.left(ticket)
        return _failed(found, str(error))
    number = str(uuid.uuid4())
    try:
        rows = egress.ask(
            egress.Item("entitlements", number, number, b"", connection.number()),
            destination,
            ticket,
            headers={"Authorization": f"Bearer {token}"},
            allowed=lambda: wanted(License.objects.filter(pk=license_id).first()),
            accept=_read,
            clock=clock,
            final=(IN_USE,),
        )
    except NotAllowed:
        return False
    except DeliveryError as error:
        if not isinstance(error, TransientError):
            gate.pause(DESTINATION, error.status or 0, clock())
        return _failed(found, f"{destination.host}: {error.sentence}")
    _store(found, rows, clock())
    return True


def _read(answer: Answer) -> list[dict[str, Any]]:
    """Return the rows of an answer, checked.

    Raises:
        TransientError: It is not the document we expect.
    """
    try:
        document = json.loads(answer.body)
        rows = [_row(one) for one in document["entitlements"][:MOST]]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise TransientError(
            "no_entitlements",
            "The answer is not a list of entitlements (captive portal?).",
            status=answer.status,
        ) from None
    return rows


def _row(one: dict[str, Any]) -> dict[str, Any]:
    name, limit = one["name"], one.get("limit", 0)
    if not isinstance(name, str) or not 0 < len(name) <= 100 or not name.isprintable():
        raise ValueError("name")
    if type(limit) is not int or not 0 <= limit < 2**62:
        raise ValueError("limit")
    unit = one.get("unitOfMeasure", "")
    return {
        "feature": name,
        "limit": limit,
        "unlimited": one.get("unlimited") is True,
        "unit": unit[:60] if isinstance(unit, str) and unit.isprintable() else "",
    }


def _store(found: License, rows: list[dict[str, Any]], now: datetime) -> None:
    with transaction.atomic():
        found.entitlements.all().delete()
        unique = {row["feature"]: row for row in rows}.values()
        Entitlement.objects.bulk_create(
            Entitlement(license=found, **row) for row in unique
        )
        License.objects.filter(pk=found.pk).update(
            entitlements_at=now, entitlements_error=""
        )


def _failed(found: License, sentence: str) -> bool:
    License.objects.filter(pk=found.pk).update(entitlements_error=sentence[:300])
    return False
