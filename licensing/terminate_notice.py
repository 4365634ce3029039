"""Tell the vendor that a license was terminated, only when somebody selected it.

How to tell is not public: NMS_TERMINATE_URL has no default in live mode, and without it
nothing is sent. The body is ours. What was selected goes on until it is answered, also
with Continuous Connection off.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from common import setup
from common.sealing import SealBroken, unseal
from egress import destinations, gate
from egress import services as egress
from egress.errors import DeliveryError, NotAllowed, TransientError
from egress.transport import Answer
from licensing import connection
from licensing.models import License, TerminateNotice

log = structlog.get_logger(__name__)
DESTINATION = "terminate"
GIVEN_UP_AFTER = timedelta(days=30)
Clock = Callable[[], datetime]


def silence(found: License, *, connected: bool) -> str:
    """Return why the vendor cannot be told of a license; empty when it can."""
    if destinations.find(DESTINATION) is None:
        return "F5 has not published how to tell it, so it is not told."
    if not connected:
        return "This server is disconnected, so F5 is not told."
    if found.kind != License.Kind.JWT or found.checked_at is None:
        return "The license was never verified, so F5 is not told."
    return ""


def host() -> str:
    """Return whom a notice goes to; empty when nobody."""
    destination = destinations.find(DESTINATION)
    return destination.host if destination else ""


def deliver(clock: Clock) -> int:
    """Send every open notice once under the host's gate; return how many arrived."""
    return sum(_deliver(notice, clock) for notice in TerminateNotice.objects.open())


def _deliver(notice: TerminateNotice, clock: Clock) -> bool:
    """Send one; what went wrong stands on it for the page."""
    destination = destinations.find(DESTINATION)
    if destination is None or not _wanted(notice):
        return False
    if clock() > notice.selected_at + GIVEN_UP_AFTER:
        return _ended(notice, clock(), f"{destination.host} did not answer in 30 days.")
    ticket = gate.enter(destination.host, clock())
    if ticket is None:
        return False
    try:
        token = unseal(notice.license.sealed)
    except SealBroken as error:
        gate.left(ticket)
        return _ended(notice, clock(), str(error))
    key = str(notice.key)
    try:
        egress.send(
            egress.Item(
                "terminate", key, key, _body(notice.license), connection.number()
            ),
            destination,
            ticket,
            headers={"Authorization": f"Bearer {token}"},
            allowed=lambda: _wanted(notice),
            accept=_accept,
            clock=clock,
        )
    except NotAllowed:
        return False
    except TransientError as error:
        said = f"{destination.host}: {error.sentence}"[:300]
        TerminateNotice.objects.filter(pk=notice.pk).update(error=said)
        return False
    except DeliveryError as error:
        return _ended(notice, clock(), f"{destination.host}: {error.sentence}")
    TerminateNotice.objects.filter(pk=notice.pk).update(accepted_at=clock(), error="")
    log.info("notice.accepted", notice=key)
    return True


def _wanted(notice: TerminateNotice) -> bool:
    return (
        TerminateNotice.objects.open().filter(pk=notice.pk).exists()
        and bool(setup.finished_at())
        and setup.operation_mode() == "connected"
    )


def _body(found: License) -> bytes:
    """Return what is said: which license ended, and when; nothing of this server."""
    said = {
        "documentType": "nms-termination",
        "documentVersion": "1",
        "subscriptionId": found.subscription_id,
        "terminatedAt": f"{found.ended_at:%Y-%m-%dT%H:%M:%SZ}",
    }
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def _accept(answer: Answer) -> None:
    """Take an empty answer, or a JSON object.

    Raises:
        TransientError: It is something else.
    """
    try:
        taken = not answer.body or isinstance(json.loads(answer.body), dict)
    except (ValueError, RecursionError):
        taken = False
    if not taken:
        sentence = "The answer is no acceptance (captive portal?)."
        raise TransientError("no_acceptance", sentence, status=answer.status)


def _ended(notice: TerminateNotice, now: datetime, sentence: str) -> bool:
    TerminateNotice.objects.filter(pk=notice.pk).update(
        ended_at=now, error=sentence[:300]
    )
    log.warning("notice.ended", notice=str(notice.key))
    return False
