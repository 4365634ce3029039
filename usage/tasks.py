"""What the workers are asked to do about usage: a name and a call each."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from common import tasks
from usage import days, delivery, intake, reports


@shared_task(name="usage.tasks.sweep")
def sweep() -> bool:
    """Build the daily report when it is due, and send what may go."""
    built = reports.build_due(timezone.now())
    if again := delivery.deliver(timezone.now):
        sweep.apply_async(countdown=again, expires=again + 14, retry=False)
    return built is not None


@shared_task(name="usage.tasks.write_down")
def write_down() -> int:
    """Count the days that have ended, so that pages need not; return how many."""
    return days.write_down(timezone.now())


@shared_task(name="usage.tasks.prune")
def prune() -> int:
    """Delete what came in or was reported before NMS_RETENTION_DAYS."""
    now = timezone.now()
    return intake.prune(now) + reports.prune(now)


def nudge() -> bool:
    """Ask for a delivery now; False when the broker is not there, the sweep follows."""
    return tasks.nudge("usage.tasks.sweep")
