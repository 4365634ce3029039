"""What the workers are asked to do about checks: a name and a call each."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from common import tasks
from egress import checks


@shared_task(name="egress.tasks.check")
def check(number: int) -> bool:
    """Run the checks somebody asked for."""
    return checks.run(number, timezone.now)


@shared_task(name="egress.tasks.sweep")
def sweep() -> int:
    """Run the checks somebody asked for while the broker was not there."""
    return checks.run_waiting(timezone.now)


def nudge(number: int) -> bool:
    """Ask for the checks now; False without a broker, the sweep takes them."""
    return tasks.nudge("egress.tasks.check", number)
