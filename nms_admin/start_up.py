"""What happens once before the processes start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from analytics import services as analytics
from audit import services as audit
from common import choices
from common.models import Decision, Via
from common.sealing import SealBroken
from licensing import connection
from licensing import services as licensing
from nms_admin import first_run, policy_file, restore
from nms_admin.backup import ALIVE
from nms_admin.people import By
from telemetry import processes
from telemetry import services as telemetry
from usage import reports

STARTING = 0x6E6D73  # any number, the same on every host
log = structlog.get_logger(__name__)


@contextmanager
def alone() -> Iterator[None]:
    """Let one host at a time start on a database: of two, one would fail to migrate.

    A host that dies meanwhile holds nobody up: the lock goes with its connection.
    """
    if connections["default"].vendor != "postgresql":
        yield  # on one host, whose data folder is held
        return
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [STARTING])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [STARTING])


def prepare(now: datetime) -> None:
    """Stamp the data folder with its mode, and obey newer choices than the database's.

    The policy file is obeyed last: it cannot switch on what a restored backup left off.

    Raises:
        ImproperlyConfigured: The folder belongs to the other mode, or this host does
            not have the keys of the others.
    """
    stamp = settings.NMS_DATA_DIR / "mode"
    if not stamp.exists():
        stamp.write_text(settings.NMS_F5_MODE + "\n")
    found = stamp.read_text().strip()
    if found != settings.NMS_F5_MODE:
        raise ImproperlyConfigured(
            f"{settings.NMS_DATA_DIR} was made in {found} mode and NMS_F5_MODE is"
            f" {settings.NMS_F5_MODE}. Give this mode a folder of its own with"
            " NMS_DATA_DIR, or set NMS_F5_MODE back."
        )
    _refuse_other_keys(now)
    restore.record_it(now)
    first_run.keep_disconnected(By(audit.NOBODY, now, via=Via.SYSTEM))
    sealed, discarded = _sealed_until(now), 0
    older = _is_older(choices.CONNECTION, connection.choice()) or _is_older(
        choices.INTERACTION_DATA, analytics.choice()
    )
    numbers = {"batches": telemetry.sealed(), "reports": reports.built()}
    behind = {name for name in numbers if choices.is_behind(name, numbers[name])}
    # First: switching off would count them as never sent.
    if sealed and (older or "batches" in behind):
        discarded = telemetry.discard_before(sealed, now)
    if sealed and (older or "reports" in behind):
        reports.begin_after(sealed)
    if behind:
        choices.start_again(**numbers)
    telemetry.renumber()
    connection.check_restore(now)
    analytics.check_restore(now)
    policy_file.obey(now)
    if older or behind:
        log.warning("choices.database_restored", discarded=discarded)


def _refuse_other_keys(now: datetime) -> None:
    """Refuse to join hosts whose license this one cannot open.

    It would put off by an hour whatever it takes from them to send.
    """
    found = licensing.current()
    other = processes.alive(now - ALIVE, elsewhere=True)
    if found is None or other is None:
        return
    try:
        licensing.token(found.pk)
    except SealBroken:
        raise ImproperlyConfigured(
            f"The keys in {settings.NMS_SEAL_KEYS_FILE} do not open the license that the"
            f" running host {other.host} uses. Copy seal.keys from there, or name a file"
            " with NMS_SEAL_KEYS_FILE."
        ) from None


def _is_older(name: str, newest: Decision | None) -> bool:
    number, value = (newest.pk, newest.value) if newest else (0, None)
    return choices.is_older(name, number, value)


def _sealed_until(now: datetime) -> datetime | None:
    """Return up to when things were sealed; no later than now, whatever was noted."""
    try:
        noted = choices.sealed_until()
    except choices.Unreadable:
        return None
    return min(noted, now) if noted else None
