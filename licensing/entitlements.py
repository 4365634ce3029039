"""Ask the vendor what a license entitles to: once somebody added it, then daily.

The first question belongs to the activation. Later ones go out once a day with Continuous
Connection on; what changed is audited, and a renewed license in the answer takes effect
after the checks of any other. That an answer may hold one is our inference.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction

from audit import services as audit
from common import setup
from common.models import Via
from common.sealing import SealBroken, unseal
from egress import destinations, gate
from egress import services as egress
from egress.destinations import Destination
from egress.errors import DeliveryError, NotAllowed, TransientError
from egress.models import Gate, Pause
from egress.transport import Answer
from licensing import connection, services
from licensing.errors import LicenseRejected
from licensing.models import Entitlement, License

log = structlog.get_logger(__name__)
DESTINATION = "entitlements"
IN_USE = 409  # our inference: the subscription is another installation's
MOST, MOST_TOKEN = 200, 16 * 1024
DAY = timedelta(days=1)
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Granted:
    """An answer: what is allowed, and the text of a renewed license, or none."""

    rows: list[dict[str, Any]]
    renewed: str


def wanted(found: License | None) -> bool:
    """Return whether entitlements should be asked for a first time.

    Adding a license selects its activation, which goes on until it ends, also with
    Continuous Connection off; never in disconnected mode or before set-up is finished.
    """
    return bool(found and found.entitlements_at is None and _may_ask(found))


def due(found: License | None, now: datetime) -> bool:
    """Return whether to ask now: a first time, or again a day after the last answer.

    An answer of the future does not keep a clock that ran back from asking.
    """
    if found is None or found.entitlements_at is None:
        return wanted(found)
    fresh = found.entitlements_at <= now < found.entitlements_at + DAY
    return not fresh and connection.is_on() and _may_ask(found)


def _may_ask(found: License) -> bool:
    return bool(
        found.kind == License.Kind.JWT
        and found.current
        and found.checked_at
        and destinations.find(DESTINATION)
        and setup.finished_at()
        and setup.operation_mode() == "connected"
    )


def asking(found: License, now: datetime) -> bool:
    """Return whether a first answer is awaited, or a refused refresh waits for somebody."""
    return wanted(found) or bool(stopped(found) and due(found, now))


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
    if found is None or destination is None or not due(found, clock()):
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
    try:
        granted = _ask(license_id, destination, ticket, token, clock)
    except NotAllowed:
        return False
    except DeliveryError as error:
        if not isinstance(error, TransientError):
            gate.pause(DESTINATION, error.status or 0, clock())
        return _failed(found, f"{destination.host}: {error.sentence}")
    _store(found, granted.rows, clock())
    _renew(found, granted.renewed, clock())
    return True


def _ask(
    license_id: int,
    destination: Destination,
    ticket: gate.Pass,
    token: str,
    clock: Clock,
) -> Granted:
    number = str(uuid.uuid4())
    return egress.ask(
        egress.Item("entitlements", number, number, b"", connection.number()),
        destination,
        ticket,
        headers={"Authorization": f"Bearer {token}"},
        allowed=lambda: due(License.objects.filter(pk=license_id).first(), clock()),
        accept=_read,
        clock=clock,
        final=(IN_USE,),
    )


def _read(answer: Answer) -> Granted:
    """Return the rows of an answer, checked; a renewed license is checked later.

    Raises:
        TransientError: It is not the document we expect.
    """
    try:
        document = json.loads(answer.body)
        rows = [_row(one) for one in document["entitlements"][:MOST]]
        renewed = document.get("renewedLicense")
    except (ValueError, TypeError, KeyError, RecursionError):
        raise TransientError(
            "no_entitlements",
            "The answer is not a list of entitlements (captive portal?).",
            status=answer.status,
        ) from None
    taken = isinstance(renewed, str) and len(renewed) <= MOST_TOKEN
    return Granted(rows, renewed if taken else "")


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
    """Keep the rows instead of the ones before; a change after the first is audited."""
    unique = {row["feature"]: row for row in rows}
    with transaction.atomic():
        before = {one.feature: _allows(one) for one in found.entitlements.all()}
        found.entitlements.all().delete()
        added = Entitlement.objects.bulk_create(
            Entitlement(license=found, **row) for row in unique.values()
        )
        after = {one.feature: _allows(one) for one in added}
        License.objects.filter(pk=found.pk).update(
            entitlements_at=now, entitlements_error=""
        )
        if found.entitlements_at and before != after:
            changed = sorted(
                name
                for name in before.keys() | after.keys()
                if before.get(name) != after.get(name)
            )
            audit.record(
                "license.entitlements_changed",
                now=now,
                via=Via.SYSTEM,
                subject=found.subscription_id,
                details={
                    name: f"{before.get(name, 'none')} to {after.get(name, 'none')}"
                    for name in changed
                },
            )


def _allows(one: Entitlement) -> str:
    return "not limited" if one.unlimited else f"{one.limit} {one.unit}".strip()


def _renew(found: License, text: str, now: datetime) -> None:
    """Put a renewed license in force; one that is not taken changes nothing."""
    if not text:
        return
    try:
        services.renew(found, text, now)
    except LicenseRejected as refusal:
        log.warning("license.renewal_refused", code=refusal.code)


def _failed(found: License, sentence: str) -> bool:
    License.objects.filter(pk=found.pk).update(entitlements_error=sentence[:300])
    return False
