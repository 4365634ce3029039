"""Send one item through the one door: written down before, completed after."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from django.db import transaction

from audit import services as audit
from common import faults
from egress import backoff, facts, gate, transport
from egress.destinations import Destination
from egress.errors import (
    CredentialsRefused,
    DeliveryError,
    NotAllowed,
    PermanentError,
    TransientError,
)
from egress.models import Attempt
from egress.transport import Answer

log = structlog.get_logger(__name__)
MOST_SKEW = 2**31 - 1  # seconds that the table holds
Clock = Callable[[], datetime]
T = TypeVar("T")


@dataclass(frozen=True)
class Item:
    """What is sent: its kind and identity, its bytes, and the choice in force."""

    kind: str
    id: str
    key: str
    body: bytes
    choice: int


def send(
    item: Item,
    destination: Destination,
    ticket: gate.Pass,
    *,
    headers: Mapping[str, str],
    allowed: Callable[[], bool],
    accept: Callable[[Answer], T],
    clock: Clock,
    content_type: str = "application/json",
    deadline: timedelta = transport.DEADLINE,
) -> T:
    """Send an item once, outside any transaction, and return what was accepted.

    One attempt and one record of the chain are written before the first byte; the
    attempt is completed and the gate told afterwards. The pass is handed back.

    Args:
        ticket: From ``gate.enter``.
        allowed: Asked again right before the first byte.
        accept: Returns what the item's owner makes of a 2xx answer, or raises
            ``TransientError`` when it is no acceptance. What it writes is committed
            together with the attempt.
        clock: Returns the time.
        deadline: For the whole call; the caller's lease must outlive it.

    Raises:
        NotAllowed: Nothing was sent.
        TransientError: To be tried again; the gate is closed.
        CredentialsRefused: 401 or 403; the caller decides whether to pause.
        PermanentError: 400, 413 or 422; never with the same bytes again.
    """
    return _exchange(
        item,
        destination,
        ticket,
        lambda: transport.post(
            destination,
            item.body,
            headers=headers,
            key=item.key,
            allowed=allowed,
            content_type=content_type,
            deadline=deadline,
        ),
        accept,
        clock,
    )


def ask(
    item: Item,
    destination: Destination,
    ticket: gate.Pass,
    *,
    headers: Mapping[str, str],
    allowed: Callable[[], bool],
    accept: Callable[[Answer], T],
    clock: Clock,
    deadline: timedelta = transport.DEADLINE,
    limit: int = transport.LIMIT,
    final: Collection[int] = (),
) -> T:
    """Ask a destination for something (GET) and return what was accepted.

    Written down, judged and raising like ``send``; the item's body is empty.

    Args:
        limit: The longest body that is read, in bytes.
        final: Statuses that end this call like 400 and 422, though others retry them.
    """
    return _exchange(
        item,
        destination,
        ticket,
        lambda: transport.get(
            destination,
            headers=headers,
            allowed=allowed,
            deadline=deadline,
            limit=limit,
        ),
        accept,
        clock,
        final,
    )


def _exchange(
    item: Item,
    destination: Destination,
    ticket: gate.Pass,
    call: Callable[[], Answer],
    accept: Callable[[Answer], T],
    clock: Clock,
    final: Collection[int] = (),
) -> T:
    attempt = _open(item, destination, clock())
    faults.reach("egress.opened")
    try:
        answer = call()
        faults.reach("egress.answered")
        attempt.skew = _skew(answer, attempt.started_at, clock())
        judge(answer, clock(), final)
        with transaction.atomic():
            accepted = accept(answer)
            outcome = Attempt.Outcome.ACCEPTED
            _close(attempt, clock(), outcome, status=answer.status)
            faults.reach("egress.closed")
    except NotAllowed:
        gate.left(ticket)
        _close(attempt, clock(), Attempt.Outcome.NOT_SENT, reached=False)
        raise
    except TransientError as error:
        gate.failed(ticket, error, clock())
        _close(attempt, clock(), _failure(error), error, reached=error.reached)
        raise
    except DeliveryError as error:
        gate.succeeded(ticket)
        _close(attempt, clock(), Attempt.Outcome.REFUSED, error)
        raise
    gate.succeeded(ticket)
    return accepted


def judge(answer: Answer, now: datetime, final: Collection[int] = ()) -> None:
    """Sort an answer by its status; return when it is 2xx.

    Raises:
        CredentialsRefused: 401 and 403.
        PermanentError: 400, 413, 422 and those of ``final``.
        TransientError: Everything else that is not 2xx, redirects included.
    """
    status = answer.status
    if 200 <= status < 300:
        return
    if status in (401, 403):
        raise CredentialsRefused(
            "credentials", f"It refused the license ({status}).", status=status
        )
    if status == 413:
        raise PermanentError("too_large", "It is too large (413).", status=status)
    if status in (400, 422):
        raise PermanentError("refused", f"It was refused ({status}).", status=status)
    if status in final:
        raise PermanentError(
            f"status_{status}", f"It answered {status}.", status=status
        )
    if 300 <= status < 400:
        sentence = f"It sent us elsewhere ({status}); redirects are never followed."
        raise TransientError("redirect", sentence, status=status)
    raise TransientError(
        f"status_{status}",
        f"It answered {status}.",
        status=status,
        retry_after=backoff.retry_after(answer.headers.get("retry-after", ""), now),
    )


def abandon(kind: str, item: str, now: datetime) -> None:
    """Close the tries of a worker that died: their outcome is unknown."""
    Attempt.objects.filter(kind=kind, item=item, outcome="").update(
        outcome=Attempt.Outcome.UNKNOWN,
        finished_at=now,
        cause="worker_ended",
        sentence="The worker ended during this try.",
    )


def _open(item: Item, destination: Destination, now: datetime) -> Attempt:
    digest = hashlib.sha256(item.body).hexdigest()
    with transaction.atomic():
        attempt = Attempt.objects.create(
            kind=item.kind,
            item=item.id,
            destination=destination.name,
            host=destination.host,
            key=item.key,
            sha256=digest,
            size=len(item.body),
            choice=item.choice,
            started_at=now,
        )
        audit.record(
            "delivery.sent",
            now=now,
            subject=f"{item.kind} {item.id}",
            details={
                "sha256": digest,
                "destination": destination.url,
                "choice": item.choice,
                "key": item.key,
                "attempt": attempt.pk,
            },
        )
    return attempt


def _close(
    attempt: Attempt,
    now: datetime,
    outcome: str,
    error: DeliveryError | None = None,
    *,
    status: int | None = None,
    reached: bool = True,
) -> None:
    Attempt.objects.filter(pk=attempt.pk, outcome="").update(
        finished_at=now,
        outcome=outcome,
        reached=reached,
        status=error.status if error else status,
        cause=error.code if error else "",
        sentence=error.sentence[:300] if error else "",
        skew=attempt.skew,
    )
    if outcome in (Attempt.Outcome.FAILED, Attempt.Outcome.UNKNOWN):
        return  # the gate sums failures up
    log.info(
        "attempt.ended",
        kind=attempt.kind,
        item=attempt.item,
        outcome=outcome,
        cause=error.code if error else "",
    )


def _skew(answer: Answer, begun: datetime, ended: datetime) -> int | None:
    theirs = facts.dated(answer.headers.get("date", ""))
    if theirs is None:
        return None
    seconds = round(facts.skew(theirs, begun, ended).total_seconds())
    return max(-MOST_SKEW, min(seconds, MOST_SKEW))


def _failure(error: TransientError) -> str:
    """Return UNKNOWN when the bytes may have arrived without an answer coming back."""
    unsure = error.reached and error.status is None
    return Attempt.Outcome.UNKNOWN if unsure else Attempt.Outcome.FAILED
