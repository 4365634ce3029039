"""Run the checks somebody asked for beside a long call of the same worker.

One worker does one task at a time, and the upload of a usage report may wait 80 s for
an answer: the very moment somebody wants to know whether the vendor is reached.
"""

from __future__ import annotations

import threading
import time

import structlog
from django.db import Error, connection
from django.utils import timezone

from common import repeats

LONG_SECONDS = 1.0
log = structlog.get_logger(__name__)
_busy = threading.Event()


def watch() -> None:
    """Start the thread that looks for checks while a task goes on for long."""
    threading.Thread(target=_loop, name="side checks", daemon=True).start()


def task_begins() -> None:
    """Look for checks from a second on, until the task ends."""
    _busy.set()


def task_ends() -> None:
    """Leave the checks to the worker itself."""
    _busy.clear()


def _loop() -> None:
    while True:
        _busy.wait()
        time.sleep(LONG_SECONDS)
        if _busy.is_set():
            _run()


def _run() -> None:
    from egress import checks  # its models need the apps, loaded by then

    try:
        checks.run_waiting(timezone.now)
    except Error as error:
        if times := repeats.again("side checks"):
            log.warning(
                "connectivity.side_checks_failed", error=str(error), times=times
            )
    else:
        repeats.over("side checks")
    finally:
        connection.close()
