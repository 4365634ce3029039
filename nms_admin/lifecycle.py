"""Tell telemetry when a named process starts, lives and stops."""

from __future__ import annotations

import atexit
import fcntl
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog
from celery import signals
from django.db import Error, close_old_connections, connection
from django.utils import timezone

from common import repeats

HEARTBEAT_SECONDS = 60
log = structlog.get_logger(__name__)


class Run:
    """The number of a run, the same in a process and in all it forks afterwards.

    Each of several web processes beats, and one of them may make up for a start.
    """

    def __init__(self) -> None:
        self._file, name = tempfile.mkstemp(prefix="nms-run-")
        Path(name).unlink()

    @property
    def number(self) -> int | None:
        """The number; None when the start could not be recorded yet."""
        return int(os.pread(self._file, 20, 0) or 0) or None

    @number.setter
    def number(self, number: int | None) -> None:
        os.pwrite(self._file, b"%020d" % (number or 0), 0)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let no other process of the family change it; one that is killed lets go."""
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


@dataclass
class Life:
    """This process, which may fork; ``run`` is made when it starts."""

    name: str = ""
    since: datetime | None = None
    run: Run = field(init=False)
    watched: dict[int, tuple[datetime, int]] = field(default_factory=dict)


_life = Life()


def start(name: str) -> None:
    """Record that the named process starts; called once in its main process."""
    _life.name, _life.since, _life.run = name, timezone.now(), Run()
    try:
        _record_start(_life.since)
    except Error:
        log.exception("process.start_not_recorded", process=name)
    finally:
        connection.close()


def _record_start(at: datetime) -> None:
    from telemetry import processes, services  # they need the app registry

    services.installed(at)
    _life.run.number = processes.started(_life.name, at).pk


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
        with _life.run.alone():
            if _life.run.number is None:
                _record_start(_life.since)
            elif not processes.seen(_life.run.number, now):  # taken for ended
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

    if _life.since is None:
        return
    _life.since = None
    try:
        close_old_connections()
        with _life.run.alone():
            run, _life.run.number = _life.run.number, None
            if run is not None:
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
