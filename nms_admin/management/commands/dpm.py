"""``manage.py dpm``: where NGINX Agents register, in the foreground."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from dataplanes import address
from dataplanes.listener import Listener
from nms_admin import lifecycle
from nms_admin.checks import TAG


class Command(BaseCommand):
    help = "Take in NGINX Agents at NMS_DPM_BIND until SIGTERM or Ctrl-C."
    requires_system_checks = [TAG]

    def handle(self, *_args: Any, **_options: Any) -> None:
        try:
            asyncio.run(_listen())
        except RuntimeError as error:
            raise CommandError(
                f"{settings.NMS_DPM_BIND} cannot be used: {error}. Stop what uses it,"
                " or set NMS_DPM_BIND to another address and port."
            ) from error
        finally:
            lifecycle.stop()


async def _listen() -> None:
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    listener = Listener()
    host, port = address.bound()
    await listener.start(host, port, _certificate())
    await asyncio.to_thread(lifecycle.start, "dpm")
    lifecycle.beat_in_background()
    await asked.wait()
    await listener.stop()


def _certificate() -> tuple[bytes, bytes] | None:
    if not settings.NMS_TLS_CERT:
        return None
    key, chain = Path(settings.NMS_TLS_KEY), Path(settings.NMS_TLS_CERT)
    return key.read_bytes(), chain.read_bytes()
