"""What the workers are asked to do about the chain: a name and a call each."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from audit import checking
from common import tasks


@shared_task(name="audit.tasks.check")
def check() -> None:
    """Check the next slice of the chain, and ask for the one after it."""
    if checking.go_on(timezone.now()):
        nudge()


def nudge() -> bool:
    """Ask for a check now; False when the broker is not there, the sweep follows."""
    return tasks.nudge("audit.tasks.check")
