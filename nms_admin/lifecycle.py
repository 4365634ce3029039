"""Tell telemetry when a named process starts, lives and stops."""

from __future__ import annotations

import atexit
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from celery import signals
from django.db import Error, close_old_connections, connection
from django.utils import timezone

from common import repeats

HEARTBEAT_SECONDS = 60
log = structlog.get_logger(__name__)


@dataclass
class Life:
    """This process: one named process is one interpreter.

    ``run`` is the number of its run; None when its start could not be recorded yet.
    """

    name: str = ""
    since: datetime | None = None
    run: int | None = None
    watched: dict[int, tuple[datetime, int]] = field(default_factory=dict)


_life = Life()


def start(name: str) -> None:
    """Record that the named process starts; called once in its main process."""
    _life.name, _life.since = name, timezone.now()
    try:
        _record_start(_life.since)
    except Error:
        log.exception("process.start_not_recorded", process=name)
    finally:
        connection.close()


def _record_start(at: datetime) -> None:
    from telemetry import processes, services  # they need the app registry

    services.installed(at)
    _life.run = processes.started(_life.name, at).pk


def beat() -> None:
    """Record that the process is alive, so that an unclean end has a time.

    Make up for a start that could not be recorded, and for the stops of others.
    """
    from telemetry import processes

    if _life.since is None:
        return
    try:
        close_old_connections()
        now = timezone.now()
        if _life.run is None:
            _record_start(_life.since)
        elif not processes.seen(_life.run, now):  # it stood still and was given up
            _record_start(now)
        _life.watched = processes.end_lost(_life.watched)
    except Error as error:
        if times := repeats.again("heartbeat"):
            log.warning("process.heartbeat_not_recorded", error=str(error), times=times)
    else:
        repeats.over("heartbeat")
    finally:
        connection.close()


def stop() -> None:
    """Record a clean end; called once, also when nothing was recorded before."""
    from telemetry import processes

    run, _life.run, _life.since = _life.run, None, None
    if run is None:
        return
    try:
        close_old_connections()
        processes.stopped(run, timezone.now())
    except Error:
        log.exception("process.stop_not_recorded")
    finally:
        connection.close()


def beat_in_background() -> None:
    """Beat once a minute from a daemon thread; for processes that do not fork."""

    def loop() -> None:
        while True:
            time.sleep(HEARTBEAT_SECONDS)
            beat()

    threading.Thread(target=loop, name="heartbeat", daemon=True).start()


@signals.worker_ready.connect
def _worker_ready(sender: Any, **_: Any) -> None:
    start("integrations")
    sender.controller.timer.call_repeatedly(HEARTBEAT_SECONDS, beat)


@signals.worker_shutdown.connect
def _worker_shutdown(**_: Any) -> None:
    stop()


@signals.beat_init.connect
def _scheduler_ready(**_: Any) -> None:
    start("scheduler")
    beat_in_background()
    atexit.register(stop)
