"""The Celery app and the one timetable."""

from __future__ import annotations

import os
from typing import Any

import structlog
from celery import Celery, signals
from django.utils import timezone

from common import repeats
from nms_admin import (
    lifecycle,  # noqa: F401  (listens to Celery's signals)
    side_checks,
)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nms_admin.settings")

log = structlog.get_logger(__name__)
app = Celery("nms_admin")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "deliver": {
        "task": "telemetry.tasks.deliver_due",
        "schedule": 15.0,
        "options": {"expires": 14},
    },
    "licenses": {
        "task": "licensing.tasks.sweep",
        "schedule": 15.0,
        "options": {"expires": 14},
    },
    "keys": {
        "task": "licensing.tasks.refresh_keys",
        "schedule": 15.0,
        "options": {"expires": 14},
    },
    "checks": {
        "task": "egress.tasks.sweep",
        "schedule": 15.0,
        "options": {"expires": 14},
    },
    "usage": {
        "task": "usage.tasks.sweep",
        "schedule": 15.0,
        "options": {"expires": 14},
    },
    "policy": {
        "task": "nms_admin.obey_policy",
        "schedule": 15.0,
        "options": {"expires": 14},
    },
    "audit": {
        "task": "audit.tasks.check",
        "schedule": 60.0,
        "options": {"expires": 50},
    },
    "prune": {
        "task": "telemetry.tasks.prune",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "prune-rest": {
        "task": "nms_admin.prune",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
    "count-usage": {
        "task": "usage.tasks.write_down",
        "schedule": 1800.0,
        "options": {"expires": 600},
    },
    "prune-usage": {
        "task": "usage.tasks.prune",
        "schedule": 3600.0,
        "options": {"expires": 600},
    },
}


@app.task(name="nms_admin.obey_policy")
def obey_policy() -> None:
    """Write down what the policy file decides."""
    from nms_admin import policy_file  # its models need the apps, loaded by then

    policy_file.obey(timezone.now())


@app.task(name="nms_admin.prune")
def prune() -> int:
    """Delete what is past its time and deleted by no app itself."""
    from nms_admin import retention  # its models need the apps, loaded by then

    return retention.prune(timezone.now())


@signals.worker_process_init.connect
def _watch(**_: Any) -> None:
    side_checks.watch()


@signals.task_prerun.connect
def _begins(**_: Any) -> None:
    side_checks.task_begins()


@signals.task_success.connect
def _works(**_: Any) -> None:
    if failed := repeats.over("database"):
        log.info("database.answers_again", failed=failed)


@signals.task_postrun.connect
def _ends(**_: Any) -> None:
    side_checks.task_ends()
