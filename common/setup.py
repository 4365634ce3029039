"""Whether set-up is finished, and the operation mode in force."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings

from common.models import Setup


def current() -> Setup:
    """Return the one row, made when it is not there yet."""
    return Setup.objects.get_or_create(pk=1)[0]


def read() -> Setup:
    """Return the row as it stands now; an empty one when it is not there yet."""
    return Setup.objects.filter(pk=1).first() or Setup()


def mode_of(row: Setup) -> str:
    """Return the operation mode in force under a row that was read already."""
    return settings.NMS_OPERATION_MODE or row.operation_mode or "connected"


def finished_at() -> datetime | None:
    """Return when somebody finished set-up; None before."""
    return Setup.objects.filter(pk=1).values_list("finished_at", flat=True).first()


def operation_mode() -> str:
    """Return ``connected`` or ``disconnected``: NMS_OPERATION_MODE, else the answer."""
    answer = Setup.objects.filter(pk=1).values_list("operation_mode", flat=True).first()
    return settings.NMS_OPERATION_MODE or answer or "connected"
