"""Fetch the vendor's keys from NMS_JWKS_URL, in a worker; the last good set is kept.

The address is a setting, never one inside a license. Once a day with Continuous
Connection on; at once, whatever the choice, when the license somebody added waits for
its key: that belongs to its activation.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction

from audit import services as audit
from common import setup
from common.models import Via
from common.sealing import SealBroken, unseal
from egress import destinations, gate
from egress import services as egress
from egress.errors import DeliveryError, NotAllowed, TransientError
from egress.transport import Answer
from licensing import connection, jwks, keys, services, tokens
from licensing.errors import LicenseRejected
from licensing.models import FetchedKeys, License

log = structlog.get_logger(__name__)
DESTINATION = "keys"
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
Clock = Callable[[], datetime]


def missing(found: License | None, held: keys.Held | None = None) -> str:
    """Return the name of the key a stored license waits for; empty when it has it.

    Args:
        found: The license.
        held: The keys at hand, when they were read already.
    """
    if found is None or found.kind != License.Kind.JWT or found.checked_at:
        return ""
    try:
        name = str(tokens.read(unseal(found.sealed))[0].get("kid", ""))
    except (LicenseRejected, SealBroken):
        return ""
    known = (held or keys.held()).key_set.jwks or {"keys": []}
    return "" if name in {key["kid"] for key in known["keys"]} else name


def wanted(now: datetime) -> bool:
    """Return whether keys may be asked for now, and it is time to."""
    if not destinations.find(DESTINATION) or not setup.finished_at():
        return False
    if setup.operation_mode() != "connected":
        return False
    found, row = services.current(), keys.last_try()
    waits = bool(missing(found))
    asked = [row.asked_at, found.applied_at if found and waits else None]
    newest = max((at for at in asked if at), default=None)
    if pause := gate.paused(DESTINATION):
        return newest is not None and newest > pause.paused_at
    if newest and (row.tried_at is None or newest > row.tried_at):
        return True
    return bool(found and (waits or connection.is_on()) and _is_due(row, waits, now))


def _is_due(row: FetchedKeys, waits: bool, now: datetime) -> bool:
    """Return whether the last try is long enough ago, or in the future."""
    if row.tried_at is None:
        return True
    pause = DAY
    if waits and row.error:
        pause = MINUTE
    elif waits or row.error or row.url != settings.NMS_JWKS_URL:
        pause = HOUR
    return not row.tried_at <= now < row.tried_at + pause


def try_again(now: datetime) -> None:
    """Let the next sweep ask at once, also after a refusal: somebody selected it."""
    if destination := destinations.find(DESTINATION):
        gate.override(destination.host, now)
    gate.resume(DESTINATION)
    keys.ask(now)


def fetch(clock: Clock) -> bool:
    """Ask once under the host's gate, and keep what came; say whether it did.

    What went wrong stands on the row for the page; the keys at hand stay.
    """
    destination = destinations.find(DESTINATION)
    if destination is None or not wanted(clock()):
        return False
    ticket = gate.enter(destination.host, clock())
    if ticket is None:
        return False
    gate.resume(DESTINATION)
    number = str(uuid.uuid4())
    began = clock()
    try:
        found = egress.ask(
            egress.Item("keys", number, number, b"", connection.number()),
            destination,
            ticket,
            headers={},
            allowed=lambda: wanted(clock()),
            accept=_read,
            clock=clock,
        )
    except NotAllowed:
        return False
    except DeliveryError as error:
        if not isinstance(error, TransientError):
            gate.pause(DESTINATION, error.status or 0, clock())
        said = f"{destination.host}: {error.sentence}"[:300]
        _note(tried_at=began, error=said)
        return False
    _store(found, destination.host, clock())
    return True


def _read(answer: Answer) -> str:
    """Return the key set as text.

    Raises:
        TransientError: It is none, or none that may replace another.
    """
    found = jwks.read(answer.body)
    if found is None:
        sentence = "The answer is not a set of public keys (captive portal?)."
        raise TransientError("no_keys", sentence, status=answer.status)
    if fault := jwks.fault(found):
        sentence = f"Its key set is not taken: {fault}."
        raise TransientError("bad_keys", sentence, status=answer.status)
    return json.dumps(found, separators=(",", ":"), sort_keys=True)


def _store(content: str, host: str, now: datetime) -> None:
    names = [key["kid"] for key in json.loads(content)["keys"]]
    before = keys.last_try()
    with transaction.atomic():
        _note(
            url=settings.NMS_JWKS_URL,
            content=content,
            fetched_at=now,
            tried_at=now,
            error="",
        )
        if content != before.content:
            audit.record(
                "keys.changed",
                now=now,
                via=Via.SYSTEM,
                subject=host,
                details={"keys": names},
            )
    log.info("keys.fetched", keys=names)


def _note(**changes: object) -> None:
    FetchedKeys.objects.update_or_create(pk=1, defaults=changes)
