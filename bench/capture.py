"""Capture in a business transaction, against the bare one and a hand-written INSERT."""

from __future__ import annotations

import uuid

from django.db import connection, transaction
from django.utils import timezone

from bench.models import Business
from bench.report import Row, interleaved, median, ratios
from telemetry import catalog, services

ROUNDS, TIMES = 7, 500


def bare() -> None:
    """Write the business row alone."""
    with transaction.atomic():
        Business.objects.create(a=1, b="x")


def by_hand() -> None:
    """Write the business row and one outbox row in SQL."""
    with transaction.atomic():
        Business.objects.create(a=1, b="x")
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO telemetry_event (uid, data_point, occurred_at)"
                " VALUES (%s, %s, %s)",
                [uuid.uuid4().hex, "login", timezone.now()],
            )


def captured() -> None:
    """Write the business row and capture an event as the product does."""
    with transaction.atomic():
        Business.objects.create(a=1, b="x")
        services.record(catalog.LOGIN, now=timezone.now())


def received() -> None:
    """Write the business row and capture an event in a savepoint, as a receiver does."""
    with transaction.atomic():
        Business.objects.create(a=1, b="x")
        with transaction.atomic():
            services.record(catalog.LOGIN, now=timezone.now())


CASES = {
    "captured": ("record()", "≤ 1.7×"),
    "received": ("record() in a savepoint", "listed apart"),
    "by hand": ("hand-written INSERT", "the limit"),
}


def run() -> list[Row]:
    """Return the rows of this database."""
    taken = interleaved(
        {"bare": bare, "by hand": by_hand, "captured": captured, "received": received},
        rounds=ROUNDS,
        times=TIMES,
    )
    base = f"bare transaction {median(taken['bare']):.0f} µs"
    rows = []
    for name, (label, goal) in CASES.items():
        ratio, spread = ratios(taken[name], taken["bare"])
        rows.append(
            Row(
                f"capture, {connection.vendor}",
                f"{label} {median(taken[name]):.0f} µs",
                base,
                ratio,
                spread,
                goal,
            )
        )
    return rows
