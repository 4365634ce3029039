"""Facts that others announce become events; none of them can break what announced it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import structlog
from django.contrib.auth.signals import user_logged_in
from django.db import DatabaseError, transaction
from django.dispatch import receiver
from django.utils import timezone

from common.signals import api_signed_in
from licensing import signals
from telemetry import catalog, services

log = structlog.get_logger(__name__)


@receiver(user_logged_in)
def on_login(**_: Any) -> None:
    """A session was created."""
    services.record(catalog.LOGIN, now=timezone.now())


@receiver(api_signed_in)
def on_api_sign_in(now: datetime, **_: Any) -> None:
    """An API client's credentials were verified afresh."""
    services.record(catalog.LOGIN, now=now)


@receiver(signals.license_changed)
def on_license_changed(now: datetime, **_: Any) -> None:
    """Another license, or another phase of it, is in force."""
    try:
        with transaction.atomic():
            services.license_changed(now)
    except DatabaseError:
        log.exception("outbox.not_released")  # the next sweep does it


@receiver(signals.connection_changed)
def on_connection_changed(on: bool, now: datetime, **_: Any) -> None:
    """Continuous Connection was turned on or off."""
    try:
        with transaction.atomic():
            services.connection_changed(now, on=on)
    except DatabaseError:
        log.exception("outbox.not_emptied")  # nothing is sent; the next sweep deletes
