"""A vendor that is away for more than a year, and the backlog of its last month."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import connection, connections
from django.db.models import Count
from django.db.models.functions import TruncDate

from egress import destinations, gate
from egress.models import Attempt
from faults import counts
from faults.rows import Row
from faults.scene import Scene
from telemetry import delivery, outbox
from tests.usage.conftest import used
from usage import delivery as usage
from usage import reports
from usage.models import Report

DAY = timedelta(days=1)
DAYS = 400
MOST_TRIES = 40  # a day
BACKLOG = 1_000_000
MOST_SECONDS = 600.0
MOST_GROWTH_MB = 40.0


def run(scene: Scene) -> Iterator[Row]:
    """Let it be away, come back, and once more with a million events waiting."""
    yield _year(scene, 40 if scene.short else DAYS)
    yield _million(scene, 20_000 if scene.short else BACKLOG)


def _year(scene: Scene, days: int) -> Row:
    """Live through it: each time the gate opens somebody signs in, and it is tried."""
    moments: list[datetime] = []
    begins = scene.clock()
    scene.fails("status", "/", args={"status": 503})
    for _ in range(days):
        ends = scene.clock() + DAY
        used(scene.clock().date(), 2, hours=2, at=scene.clock())
        while scene.clock() < ends:
            scene.capture(1)
            moments.append(scene.clock())
            _sweep(scene)
            scene.offset += _until_it_opens(scene, ends)
        outbox.prune(scene.clock())
        reports.prune(scene.clock())
    tries = _most_tries(begins)
    scene.fails("")
    kept = sum(moment > scene.clock() - outbox.LONGEST_WAIT for moment in moments)
    for _ in range(days + 20):
        if not (scene.waiting() or Report.objects.open().exists()):
            break
        _sweep(scene)
        scene.offset += timedelta(seconds=101)
    gone = counts.discarded()
    note = f"{len(moments)} events, at most {tries} tries a day"
    row = scene.row(f"outage of {days} days", note, discarded=gone)
    row.wrong += _wrong(len(moments) - gone, kept, tries, days)
    connections.close_all()
    return row


def _sweep(scene: Scene) -> None:
    reports.build_due(scene.clock())
    delivery.deliver(scene.clock)
    usage.deliver(scene.clock)


def _until_it_opens(scene: Scene, ends: datetime) -> timedelta:
    """Return how long the host is not called, to the end of the day at most."""
    destination = destinations.find(delivery.DESTINATION)
    assert destination
    now = scene.clock()
    until = gate.closed_until(destination.host) or now
    return max(min(until, ends) - now, timedelta(0)) + timedelta(seconds=1)


def _most_tries(since: datetime) -> int:
    days = Attempt.objects.filter(started_at__gte=since).annotate(
        day=TruncDate("started_at")
    )
    counted = days.values("day").annotate(n=Count("pk")).values_list("n", flat=True)
    return max(counted[1:] if len(counted) > 1 else counted)


def _wrong(arrived: int, kept: int, tries: int, days: int) -> list[str]:
    """Say what of the promise did not hold."""
    found = []
    if arrived < kept:
        found.append(f"{kept} were recorded in the last month, {arrived} arrived")
    if tries > MOST_TRIES:
        found.append(f"{tries} tries in a day")
    if left := Report.objects.filter(accepted_at=None).count():
        found.append(f"{left} of the reports of {days} days were not accepted")
    return found


def _million(scene: Scene, size: int) -> Row:
    """Seed events of the last 29 days, and drain them with one worker.

    It is a fork of this process, which holds all that arrived: what it takes is what it
    takes more than that.
    """
    gone = counts.discarded()
    _seed(scene, size)
    began = time.monotonic()
    left = scene.drain()
    took = time.monotonic() - began
    grown = scene.grown_mb
    row = scene.row(
        f"{size:,} events of a month, one worker",
        f"{took:.0f} s, {size / took:,.0f} a second, grew by {grown:.0f} MB",
        discarded=counts.discarded() - gone,
    )
    row.rss_mb = None
    if left or took > MOST_SECONDS:
        row.wrong.append(f"{left} left after {took:.0f} s")
    if counts.discarded() != gone:
        row.wrong.append(f"{counts.discarded() - gone} were discarded")
    if grown > MOST_GROWTH_MB:
        row.wrong.append(f"the worker grew by {grown:.0f} MB")
    connections.close_all()
    return row


def _seed(scene: Scene, size: int) -> None:
    now = scene.clock()
    step = timedelta(days=29).total_seconds() / size
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO telemetry_event (uid, data_point, occurred_at)"
            " SELECT gen_random_uuid(), 'login', %s - make_interval(secs => %s * n)"
            " FROM generate_series(%s, 1, -1) AS n",
            [now, step, size],
        )
        cursor.execute("ANALYZE")
    connections.close_all()
