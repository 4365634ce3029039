"""The choice *Enable Continuous Connection*: may this server send by itself?"""

from __future__ import annotations

from datetime import datetime
from functools import cache

from django.db import connection, transaction
from django.db.models import Subquery

from audit import services as audit
from common import choices, locks, setup
from common.models import Setup, Via
from licensing.errors import ConnectionLocked
from licensing.models import ConnectionChoice
from licensing.signals import connection_changed

RESTORED = "database restored"


def choice() -> ConnectionChoice | None:
    """Return the answer in force; None when nobody has answered yet."""
    newest = ConnectionChoice.objects.first()
    if newest:
        choices.remember(choices.CONNECTION, newest.pk, newest.value)
    return newest


def is_on() -> bool:
    """Return whether events may be recorded and sent: on until somebody says off.

    A lock can only narrow here: off counts at once, on when it was written down.
    """
    if locks.against(locks.TELEMETRY, True):
        return False
    newest = ConnectionChoice.objects.values_list("pk", "value").first()
    if newest is None:
        return True
    choices.remember(choices.CONNECTION, *newest)
    return newest[1]


def as_condition() -> str | None:
    """Return what ``is_on`` asks as a condition of SQL; None when it is off for sure.

    For a statement that asks and acts at once. It has no parameters.
    """
    if locks.against(locks.TELEMETRY, True):
        return None
    return _condition(connection.vendor)


@cache
def _condition(_vendor: str) -> str:
    newest = ConnectionChoice.objects.values("value")[:1]
    sql, _none = newest.query.sql_with_params()
    return f"COALESCE(({sql}), TRUE)"


def is_open() -> bool:
    """Return whether it is on and this server is connected, from one reading."""
    if locks.against(locks.TELEMETRY, True):
        return False
    mode = Setup.objects.filter(pk=1).values("operation_mode")[:1]
    found = ConnectionChoice.objects.annotate(mode=Subquery(mode))
    newest = found.values_list("pk", "value", "mode").first()
    if newest is None:
        return setup.operation_mode() == "connected"
    number, on, answer = newest
    choices.remember(choices.CONNECTION, number, on)
    row = Setup(operation_mode=answer or "")
    return on and setup.mode_of(row) == "connected"


def says(newest: ConnectionChoice | None) -> bool:
    """Return what ``is_on`` does, for an answer that was read already."""
    if locks.against(locks.TELEMETRY, True):
        return False
    return newest.value if newest else True


def restored(newest: ConnectionChoice | None) -> bool:
    """Return whether it is off since a database was restored, and nobody answered."""
    return newest is not None and newest.reason == RESTORED and not newest.value


def number() -> int:
    """Return the number of the answer in force; 0 when there is none."""
    return ConnectionChoice.objects.values_list("pk", flat=True).first() or 0


def on_since() -> datetime | None:
    """Return when it was turned on again after it was off; None when it never was off.

    What happened before must not be sent, however late it reached the outbox.
    """
    off = ConnectionChoice.objects.filter(value=False).values_list("pk", flat=True)
    if (last := off.first()) is None:
        return None
    after = ConnectionChoice.objects.filter(pk__gt=last).order_by("pk")
    return after.values_list("decided_at", flat=True).first()


def set_choice(
    *,
    on: bool,
    by: str,
    via: str,
    now: datetime,
    address: str = "",
    reason: str = "",
    number: int | None = None,
) -> bool:
    """Switch Continuous Connection; what waits is discarded with it when it goes off.

    The same answer again adds nothing, unless it answers the banner after a restored
    database; nor does *on* while DO_NOT_TRACK is set. Row, audit record and the signal
    ``connection_changed`` share one transaction.

    Args:
        number: The answer's number; None takes the next one. Numbers are given, never
            drawn from a sequence, so that the newest row always has the highest.

    Returns:
        Whether a row was added.

    Raises:
        ConnectionLocked: The policy file says otherwise; nothing was stored.
        IntegrityError: Somebody else answered in the same moment; nothing was stored.
    """
    lock = locks.against(locks.TELEMETRY, on)
    if lock and lock.by_file and via != Via.SYSTEM:
        raise ConnectionLocked(f"{lock.sentence}. Nothing was changed.")
    if lock and on:
        return False
    with transaction.atomic():
        newest = ConnectionChoice.objects.select_for_update().first()
        answered = newest and newest.value == on and newest.reason != RESTORED
        if answered and number is None:
            return False
        added = ConnectionChoice.objects.create(
            pk=number or (newest.pk + 1 if newest else 1),
            value=on,
            decided_at=now,
            decided_by=by,
            via=via,
            reason=reason,
        )
        audit.record(
            f"connection.{'on' if on else 'off'}",
            now=now,
            actor=by,
            via=via,
            address=address,
            details={"number": added.pk, **({"reason": reason} if reason else {})},
        )
        connection_changed.send(sender=None, on=on, now=now, by=by)
        transaction.on_commit(
            lambda: choices.remember(choices.CONNECTION, added.pk, on)
        )
    return True


def check_restore(now: datetime) -> bool:
    """Switch off when the database is older than choices.json; say whether it was."""
    newest = ConnectionChoice.objects.first()
    known, value = (newest.pk, newest.value) if newest else (0, None)
    if not choices.is_older(choices.CONNECTION, known, value):
        choices.remember(choices.CONNECTION, known, bool(value))
        return False
    set_choice(
        on=False,
        by=audit.NOBODY,
        via=Via.SYSTEM,
        now=now,
        reason=RESTORED,
        number=choices.next_number(choices.CONNECTION, known),
    )
    return True
