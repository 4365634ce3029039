"""The named processes of an installation: what runs each, and what it is for."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from django.conf import settings


@dataclass(frozen=True)
class Process:
    """One long-running process; each also runs alone, in the foreground."""

    name: str
    purpose: str
    command: tuple[str, ...]
    reported: bool = True  # its start and stop are data points


def all_processes() -> list[Process]:
    """Return the processes of this installation in the order they start."""
    found = [
        Process(
            "core",
            f"the console and its API at {settings.NMS_PUBLIC_URL}/",
            _python("gunicorn -c python:nms_admin.web_server nms_admin.wsgi"),
        ),
        Process(
            "integrations",
            "sends what is due to the receiver (Celery worker)",
            _python(
                f"celery -A nms_admin worker -c {settings.NMS_WORKERS} -l WARNING"
                " --without-gossip --without-mingle --without-heartbeat"
            ),
        ),
        Process(
            "scheduler",
            "wakes integrations up every 15 seconds (Celery beat)",
            _python("celery -A nms_admin beat -l WARNING --pidfile="),
        ),
        Process(
            "dpm",
            f"where NGINX Agents register, at {settings.NMS_DPM_BIND}",
            (sys.executable, str(settings.BASE_DIR / "manage.py"), "dpm"),
        ),
    ]
    if settings.SANDBOX:
        found.insert(1, _sandbox())
    return found


def _sandbox() -> Process:
    port = settings.NMS_SANDBOX_PORT
    return Process(
        "sandbox",
        f"stands in for F5; see what it got at http://localhost:{port}/__sandbox/",
        _python(
            f"sandbox serve --port {port}"
            f" --collector-port {settings.NMS_SANDBOX_COLLECTOR_PORT} --data",
            str(settings.NMS_DATA_DIR / "sandbox"),
        ),
        reported=False,
    )


def _python(words: str, *more: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *words.split(), *more)
