"""Write down what the policy file decides, so that audit log and choices.json know it.

*Off* counts wherever it is asked, at once. This adds the row: what waits is deleted and
counted, and an older database cannot take it back. *On* needs the row to count.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError

from analytics import services as analytics
from analytics.errors import AnsweredMeanwhile
from audit import services as audit
from common import choices, locks
from common.locks import Lock
from common.models import Decision, Via
from licensing import connection


def obey(now: datetime) -> None:
    """Bring both choices in line with the policy file.

    *Off* is written down whenever the choice says something else. *On* is written down
    once, when this host's file begins to say it: hosts whose files differ do not take
    turns, and a restored backup stays off until an administrator answers. A file that
    cannot be understood is off while that lasts, adds no row and deletes nothing.
    """
    if settings.DO_NOT_TRACK:
        return
    _obey(locks.TELEMETRY, connection.choice(), _connect, now)
    _obey(locks.INTERACTION_DATA, analytics.choice(), _collect, now)


def _obey(
    name: str,
    newest: Decision | None,
    decide: Callable[[Lock, datetime], None],
    now: datetime,
) -> None:
    lock = locks.of_file(name)
    says = lock.says if lock else ""
    try:
        is_new = says != choices.obeyed(name)
    except choices.Unreadable:
        is_new = False  # what cannot be read cannot allow anything
    if lock and not lock.problem and (newest is None or newest.value != lock.on):
        restored = newest is not None and newest.reason == connection.RESTORED
        if not lock.on or (is_new and not restored):
            try:
                decide(lock, now)
            except (IntegrityError, AnsweredMeanwhile):
                return  # somebody answered in the same moment; the next sweep looks again
    if is_new and choices.remember_obeyed(name, says):
        audit.record(
            "policy.changed",
            now=now,
            actor=audit.NOBODY,
            via=Via.SYSTEM,
            subject=name,
            details={"says": says or "nothing", "line": lock.line if lock else 0},
        )


def _connect(lock: Lock, now: datetime) -> None:
    connection.set_choice(
        on=lock.on, by=audit.NOBODY, via=Via.SYSTEM, now=now, reason=_reason(lock)
    )


def _collect(lock: Lock, now: datetime) -> None:
    analytics.set_choice(
        collect=lock.on, by=audit.NOBODY, via=Via.SYSTEM, now=now, reason=_reason(lock)
    )


def _reason(lock: Lock) -> str:
    return f"policy file, line {lock.line}"
