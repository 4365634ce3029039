"""What the workers are asked to do about licenses: a name and a call each."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from common import tasks
from licensing import entitlements, refresh, services, terminate_notice


@shared_task(name="licensing.tasks.activate")
def activate(license_id: int) -> bool:
    """Ask for the entitlements of a license somebody added."""
    return entitlements.fetch(license_id, timezone.now)


@shared_task(name="licensing.tasks.sweep")
def sweep() -> bool:
    """Announce what time changed; go on with activation, refresh and notices."""
    changed = services.announce_changes(timezone.now())
    found = services.current()
    if found and entitlements.due(found, timezone.now()):
        entitlements.fetch(found.pk, timezone.now)
    terminate_notice.deliver(timezone.now)
    return changed


@shared_task(name="licensing.tasks.refresh_keys")
def refresh_keys() -> bool:
    """Fetch the vendor's keys when it is time, and check what waits for them."""
    if not refresh.fetch(timezone.now):
        return False
    services.announce_changes(timezone.now())
    return True


def nudge(license_id: int) -> bool:
    """Ask for the activation now; False without a broker, the sweep takes it."""
    return tasks.nudge("licensing.tasks.activate", license_id)
