"""Capture in a business transaction, against the bare one, by hand, and by libraries."""

from __future__ import annotations

import os
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

from celery import current_app
from django.db import connection, transaction
from django.utils import timezone

from bench import peers, sink
from bench.models import Business
from bench.peers import engines
from bench.report import Row, interleaved, looped, median, ratios
from common import tasks
from common.models import Via
from licensing import services as licensing
from telemetry import catalog, services
from telemetry.models import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROUNDS, TIMES = 7, 500
DOWN = 3
CLIENTS = {"posthog": "posthog", "segment": "segment-analytics-python"}


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
OURS = {"bare": bare, "by hand": by_hand, "captured": captured, "received": received}
NOWHERE = "redis://127.0.0.1:1/0"


@contextmanager
def broker_down() -> Iterator[None]:
    """Let nothing listen where the broker was."""
    up = current_app.conf.broker_url
    current_app.conf.broker_url = NOWHERE
    try:
        if tasks.broker_answers():
            raise RuntimeError("The broker still answers.")
        yield
    finally:
        current_app.conf.broker_url = up


def without_broker(times: int) -> float:
    """Capture so many times with the broker down; return the seconds it took.

    Raises:
        RuntimeError: Some were not recorded.
    """
    before = Event.objects.count()
    with broker_down():
        taken = looped(captured)(times)
    if (missing := before + times - Event.objects.count()) > 0:
        raise RuntimeError(f"{missing} of {times} were not recorded.")
    return taken


def run() -> list[Row]:
    """Return the rows of this database; on PostgreSQL beside the libraries."""
    licensing.set_connection(
        on=True, by="bench", via=Via.COMMAND, now=timezone.now()
    )  # so that there is an answer to ask for
    variants = {name: looped(work) for name, work in OURS.items()}
    if connection.vendor != "postgresql":
        return _ours(interleaved(variants, rounds=ROUNDS, times=TIMES))
    servers = os.environ["NMS_TEST_DATABASE_URL"], os.environ["NMS_TEST_REDIS_URL"]
    project = engines.Project(*servers)
    talk = project.capture()
    for name in ("their bare", *(engine.name for engine in engines.ENGINES)):
        variants[name] = _told(talk, name.removeprefix("their "))
    variants["without broker"] = without_broker
    taken = interleaved(variants, rounds=ROUNDS, times=TIMES)
    talk.end()
    return [*_ours(taken), *_libraries(taken), *_broker(taken, project), *_clients()]


def _told(talk: engines.Talk, variant: str) -> Callable[[int], float]:
    return lambda times: talk.say(f"{variant} {times}")[0]


def _ours(taken: dict[str, list[float]]) -> list[Row]:
    return [
        _row(label, taken[name], "bare transaction", taken["bare"], goal)
        for name, (label, goal) in CASES.items()
    ]


def _libraries(taken: dict[str, list[float]]) -> list[Row]:
    base = taken["their bare"]
    return [
        _row(
            engine.label,
            taken[engine.name],
            "bare transaction",
            base,
            "a peer, above ours",
        )
        for engine in engines.ENGINES
    ]


def _broker(taken: dict[str, list[float]], project: engines.Project) -> list[Row]:
    """Say what a broker that is down does to ours and to the plain task."""
    talk = project.capture(redis=NOWHERE)
    seconds, failed = talk.say(f"plain {DOWN}")
    talk.end()
    down = taken["without broker"]
    goal = "≤ 1.1×, 0 errors"
    return [
        _row("record(), broker down, 0 errors", down, "up", taken["captured"], goal),
        _row(
            f"plain Celery task, broker down, {failed:.0f} of {DOWN} raised",
            [seconds / DOWN * 1e6],
            "up",
            [median(taken["plain"])],
            "a peer",
        ),
    ]


def _clients() -> list[Row]:
    """Say what a call of the vendors' clients takes; they keep events in memory."""
    rows = []
    with sink.running() as tap:
        for name, package in CLIENTS.items():
            talk = engines.client(name, tap.url)
            took = [talk.say("capture 5000 0")[0] / 5000 * 1e6 for _ in range(3)]
            talk.say("stop")
            talk.end()
            label = f"{peers.version(name, package)}, in memory, {median(took):.0f} µs"
            spread = f"{min(took):.0f} to {max(took):.0f} µs"
            rows.append(Row("capture", label, "no transaction", None, spread, "a peer"))
    return rows


def _row(
    label: str, taken: list[float], base: str, reference: list[float], goal: str
) -> Row:
    ratio, spread = ratios(taken, reference)
    return Row(
        f"capture, {connection.vendor}",
        f"{label} {median(taken):.0f} µs",
        f"{base} {median(reference):.0f} µs",
        ratio,
        spread,
        goal,
    )
