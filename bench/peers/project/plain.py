"""A plain Celery app on Redis, with the delivery guarantees that Celery offers."""

from __future__ import annotations

import os

import django
from celery import Celery
from project import sending

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django.setup()

CONFIG = {
    "broker_url": os.environ["PEER_REDIS"],
    "broker_transport_options": {"visibility_timeout": 5},
    "broker_connection_retry_on_startup": True,
    "task_ignore_result": True,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "worker_prefetch_multiplier": 4,
}
app = Celery("project")
app.conf.update(CONFIG)


@app.task(name="post")
def post(content: dict[str, str]) -> None:
    """Send one event."""
    sending.post(content)
