"""Count the starts and stops of the named processes; a missing stop is made up for."""

from __future__ import annotations

import socket
from datetime import datetime

from django.db import transaction

from telemetry import catalog
from telemetry.models import ProcessRun
from telemetry.services import record


def started(name: str, now: datetime) -> ProcessRun:
    """Record the start of a named process, and the stop its last run left out.

    Args:
        name: ``core``, ``integrations``, ``scheduler`` or ``dpm``; it stays local.
        now: When it started.

    Returns:
        The run; its ``pk`` is handed to ``seen`` and ``stopped``.
    """
    host = socket.gethostname()
    with transaction.atomic():
        for left in ProcessRun.objects.filter(name=name, host=host, stopped_at=None):
            if _end(left.pk, left.seen_at, unclean=True):
                record(catalog.PROCESS_STOP, now=left.seen_at)
        run = ProcessRun.objects.create(
            name=name, host=host, started_at=now, seen_at=now
        )
        record(catalog.PROCESS_START, now=now)
    return run


def seen(run: int, now: datetime) -> None:
    """Note that a run is alive; after a crash this is when it is said to have ended."""
    ProcessRun.objects.filter(pk=run, stopped_at=None).update(seen_at=now)


def stopped(run: int, now: datetime) -> None:
    """Record the stop of a run, once."""
    with transaction.atomic():
        if _end(run, now, unclean=False):
            record(catalog.PROCESS_STOP, now=now)


def _end(run: int, at: datetime, *, unclean: bool) -> bool:
    open_run = ProcessRun.objects.filter(pk=run, stopped_at=None)
    return bool(open_run.update(stopped_at=at, unclean=unclean))
