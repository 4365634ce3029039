"""Count the starts and stops of the named processes; a missing stop is made up for."""

from __future__ import annotations

import socket
from datetime import datetime

from django.db import transaction

from telemetry import catalog
from telemetry.models import ProcessRun
from telemetry.services import record

STALE = 3  # looks in a row, a heartbeat apart, at a run that was not seen meanwhile
Watched = dict[int, tuple[datetime, int]]


def started(name: str, now: datetime) -> ProcessRun:
    """Record the start of a named process.

    Args:
        name: ``core``, ``integrations``, ``scheduler`` or ``dpm``; it stays local.
        now: When it started.

    Returns:
        The run; its ``pk`` is handed to ``seen`` and ``stopped``.
    """
    host = socket.gethostname()
    with transaction.atomic():
        run = ProcessRun.objects.create(
            name=name, host=host, started_at=now, seen_at=now
        )
        record(catalog.PROCESS_START, now=now)
    return run


def seen(run: int, now: datetime) -> bool:
    """Note that a run is alive; False when it was taken for ended meanwhile.

    After a crash this is when it is said to have ended.
    """
    alive = ProcessRun.objects.filter(pk=run, stopped_at=None)
    return bool(alive.update(seen_at=now))


def alive(since: datetime, *, elsewhere: bool = False) -> ProcessRun | None:
    """Return a run that did not stop and was seen after ``since``.

    Args:
        elsewhere: Only one of another host.
    """
    runs = ProcessRun.objects.filter(stopped_at=None, seen_at__gt=since)
    return (runs.exclude(host=socket.gethostname()) if elsewhere else runs).first()


def stopped(run: int, now: datetime) -> None:
    """Record the stop of a run, once."""
    _end(run, now, unclean=False)


def end_lost(watched: Watched) -> Watched:
    """Record the stops that runs left out: of those nobody saw for three looks.

    A look compares what was noted with what was noted at the look before, so neither
    the clocks of other hosts nor a database that was away end anything.

    Args:
        watched: What the last look returned; empty at first.

    Returns:
        For each run that is not ended, when it was last seen and how many looks ago.
    """
    found: Watched = {}
    runs = ProcessRun.objects.filter(stopped_at=None)
    for run, seen_at in runs.values_list("pk", "seen_at"):
        before, looks = watched.get(run, (None, 0))
        looks = looks + 1 if before == seen_at else 0
        if looks < STALE:
            found[run] = seen_at, looks
        else:
            _end(run, seen_at, unclean=True)
    return found


def _end(run: int, at: datetime, *, unclean: bool) -> None:
    with transaction.atomic():
        running = ProcessRun.objects.filter(pk=run, stopped_at=None)
        if unclean:
            running = running.filter(seen_at=at)
        if running.update(stopped_at=at, unclean=unclean):
            record(catalog.PROCESS_STOP, now=at)
