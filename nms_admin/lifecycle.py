"""Tell telemetry when a named process starts, lives and stops."""

from __future__ import annotations

import atexit
import threading
import time
from typing import Any

import structlog
from celery import signals
from django.db import Error, close_old_connections, connection
from django.utils import timezone

from common import repeats

HEARTBEAT_SECONDS = 60
log = structlog.get_logger(__name__)
_run: int | None = None  # the number of this process's run


def start(name: str) -> None:
    """Record that the named process starts; called once in its main process."""
    from telemetry import processes, services  # they need the app registry

    global _run  # noqa: PLW0603  (one named process is one interpreter)
    try:
        services.installed(timezone.now())
        _run = processes.started(name, timezone.now()).pk
    except Error:
        log.exception("process.start_not_recorded", process=name)
    finally:
        connection.close()


def beat() -> None:
    """Record that the process is alive, so that an unclean end has a time."""
    from telemetry import processes

    if _run is None:
        return
    try:
        close_old_connections()
        processes.seen(_run, timezone.now())
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

    global _run
    if _run is None:
        return
    run, _run = _run, None
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
