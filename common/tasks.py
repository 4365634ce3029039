"""Ask for a task right away when a broker is there; the sweep takes it otherwise."""

from __future__ import annotations

from typing import Any

import structlog
from celery import current_app
from django.db import DatabaseError
from kombu.exceptions import OperationalError

from common import repeats

log = structlog.get_logger(__name__)


def nudge(task: str, *arguments: Any) -> bool:
    """Publish a task, waiting at most a second; False when there is no broker.

    Args:
        task: Its name, such as ``telemetry.tasks.deliver_due``.
        arguments: Identities only, never a secret.
    """
    try:
        with current_app.connection_for_write(connect_timeout=1) as connection:
            connection.ensure_connection(max_retries=1, timeout=1)
            current_app.send_task(
                task, arguments, connection=connection, retry=False, expires=14
            )
    except (OperationalError, OSError) as error:
        if times := repeats.again("broker"):
            log.warning("broker.unreachable", error=type(error).__name__, times=times)
        return False
    if failed := repeats.over("broker"):
        log.info("broker.answers_again", failed=failed)
    return True


def broker_answers() -> bool:
    """Return whether the broker can be connected to within a second."""
    try:
        with current_app.connection_for_write(connect_timeout=1) as connection:
            connection.ensure_connection(max_retries=1, timeout=1)
    except (OperationalError, DatabaseError, OSError):
        return False
    return True
