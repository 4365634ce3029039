"""What the workers are asked to do: a name and a call each."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from common import tasks
from telemetry import delivery, outbox, services


@shared_task(name="telemetry.tasks.deliver_due")
def deliver_due() -> int:
    """Send what is due; return how many events were acknowledged."""
    services.worked("integrations", timezone.now())
    return delivery.deliver(timezone.now)


@shared_task(name="telemetry.tasks.prune")
def prune() -> int:
    """Delete what was settled before NMS_RETENTION_DAYS."""
    return outbox.prune(timezone.now())


def nudge() -> bool:
    """Ask for a delivery now; False when the broker is not there, the sweep follows."""
    return tasks.nudge("telemetry.tasks.deliver_due")
