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
    celery = (sys.executable, "-m", "celery", "-A", "nms_admin")
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    found = [
        Process(
            "core",
            f"the console and its API at {settings.NMS_PUBLIC_URL}/",
            (sys.executable, "-m", "gunicorn", "-c", "python:nms_admin.web_server")
            + ("nms_admin.wsgi:application",),
        ),
        Process(
            "integrations",
            "sends what is due to the receiver (Celery worker)",
            (*celery, "worker", "-c", "1", "-l", "WARNING", *quiet),
        ),
        Process(
            "scheduler",
            "wakes integrations up every 15 seconds (Celery beat)",
            (*celery, "beat", "-l", "WARNING", "--pidfile="),
        ),
    ]
    if settings.SANDBOX:
        found.insert(0, _sandbox())
    return found


def _sandbox() -> Process:
    return Process(
        "sandbox",
        f"stands in for F5 at http://localhost:{settings.NMS_SANDBOX_PORT}/__sandbox/",
        (sys.executable, "-m", "sandbox", "serve")
        + ("--data", str(settings.NMS_DATA_DIR / "sandbox"))
        + ("--port", str(settings.NMS_SANDBOX_PORT))
        + ("--collector-port", str(settings.NMS_SANDBOX_COLLECTOR_PORT)),
        reported=False,
    )
