"""What the workers are asked to do: a name and a call each."""

from __future__ import annotations

from typing import Any

import structlog
from celery import current_app, shared_task
from django.utils import timezone
from kombu.exceptions import OperationalError

from telemetry import delivery, outbox

log = structlog.get_logger(__name__)


@shared_task(name="telemetry.tasks.deliver_due")
def deliver_due() -> int:
    """Send what is due; return how many events were acknowledged."""
    return delivery.deliver(timezone.now)


@shared_task(name="telemetry.tasks.prune")
def prune() -> int:
    """Delete what was settled before NMS_RETENTION_DAYS."""
    return outbox.prune(timezone.now())


def nudge() -> bool:
    """Ask for a delivery now; False when the broker is not there, the sweep follows."""
    try:
        with current_app.connection_for_write(connect_timeout=1) as connection:
            connection.ensure_connection(max_retries=1, timeout=1)
            options: dict[str, Any] = {"connection": connection, "retry": False}
            deliver_due.apply_async(expires=14, **options)
    except (OperationalError, OSError) as error:
        log.warning("broker.unreachable", error=type(error).__name__)
        return False
    return True
