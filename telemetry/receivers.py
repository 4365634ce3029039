"""Facts that others announce become events; none of them can break what announced it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import structlog
from django.contrib.auth.signals import user_logged_in
from django.db import DatabaseError, transaction
from django.dispatch import receiver
from django.utils import timezone

from common.signals import api_signed_in
from dataplanes.signals import data_plane_registered
from licensing import signals
from telemetry import catalog, services

log = structlog.get_logger(__name__)


@contextmanager
def _apart(failure: str) -> Iterator[None]:
    """Work in a savepoint and log a database error instead of raising it.

    Otherwise a full disk in the outbox would lock an administrator out.
    """
    try:
        with transaction.atomic():
            yield
    except DatabaseError:
        log.exception(failure)


@receiver(user_logged_in)
def on_login(**_: Any) -> None:
    """A session was created."""
    with _apart("event.not_recorded"):
        services.record(catalog.LOGIN, now=timezone.now())


@receiver(api_signed_in)
def on_api_sign_in(now: datetime, **_: Any) -> None:
    """An API client's credentials were verified afresh."""
    with _apart("event.not_recorded"):
        services.record(catalog.LOGIN, now=now)


@receiver(data_plane_registered)
def on_data_plane_registered(now: datetime, **_: Any) -> None:
    """An agent registered for the first time; nothing about it is recorded."""
    with _apart("event.not_recorded"):
        services.record(catalog.DATA_PLANE_ADDED, now=now)


@receiver(signals.license_changed)
def on_license_changed(now: datetime, **_: Any) -> None:
    """Another license, or another phase of it, is in force; the sweep makes up for it."""
    with _apart("outbox.not_released"):
        services.license_changed(now)


@receiver(signals.connection_changed)
def on_connection_changed(on: bool, now: datetime, **_: Any) -> None:
    """Continuous Connection was switched; nothing is sent even if emptying fails."""
    with _apart("outbox.not_emptied"):
        services.connection_changed(now, on=on)
