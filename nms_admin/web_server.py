"""gunicorn's configuration for ``core``; used by ``serve`` and by the service unit."""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nms_admin.settings")
django.setup()

from nms_admin import lifecycle  # noqa: E402  (needs the settings)

bind = [f"{settings.NMS_BIND}:{settings.NMS_PORT}"]
worker_class = "gthread"
workers = settings.NMS_WEB_PROCESSES
threads = 8
preload_app = True
timeout = 60
graceful_timeout = 5
keepalive = 5
control_socket_disable = True
limit_request_line = 4094
limit_request_fields = 60
certfile = settings.NMS_TLS_CERT or None
keyfile = settings.NMS_TLS_KEY or None
forwarded_allow_ips = ",".join(settings.NMS_TRUSTED_PROXIES) or "127.0.0.1"
logconfig_dict = {
    **settings.LOGGING,
    "loggers": {
        "gunicorn.error": {
            "handlers": ["stderr"],
            "propagate": False,
            "level": "WARNING",
        },
        "gunicorn.access": {"handlers": [], "propagate": False, "level": "CRITICAL"},
    },
}


def when_ready(_server: Any) -> None:
    """Record the start, once, in the master."""
    lifecycle.start("core")


def post_worker_init(_worker: Any) -> None:
    """Keep the heartbeat going from the worker: the master forks, threads do not."""
    lifecycle.beat_in_background()


def on_exit(_server: Any) -> None:
    """Record the stop, once, in the master."""
    lifecycle.stop()
