"""What is lost and what arrives twice when processes die and the receiver has bad days.

Every subject has a receiver of its own, so all go through a case at the same time:
here events are counted, not seconds.
"""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.utils import timezone
from redis import Redis

from bench import drain, sink
from bench.capture import CLIENTS
from bench.peers import engines
from bench.report import Row
from bench.subjects import Client, Kept, Ours, Subject
from egress.models import Gate
from telemetry import services
from telemetry.models import Batch, Event

if TYPE_CHECKING:
    from collections.abc import Callable

CAPTURES = 10_000
KILLS = 5
OUTAGE_SECONDS = 60
LOST_ANSWERS = 10
SWEEP = 15.0


def killed_after_capture(subject: Subject) -> int:
    """Kill the process right after the captures; let what sends do its work."""
    subject.open()
    count = subject.capture(min(CAPTURES, subject.most))
    subject.end(signal.SIGKILL)
    subject.start()
    wait(subject, count)
    return count


def killed_while_sending(subject: Subject) -> int:
    """Kill what sends five times on the way; the last one may finish."""
    subject.open()
    count = subject.capture(subject.most)
    subject.end(signal.SIGKILL)
    for number in range(1, KILLS + 1):
        subject.start()
        wait(subject, number * count // (KILLS + 1))
        subject.kill()
    subject.start()
    wait(subject, count)
    return count


def refused(subject: Subject) -> int:
    """Answer 503 for a minute of captures; then end in good order."""
    subject.tap.ask("/mode?503")
    subject.open()
    subject.start()
    most = min(subject.most, 1_000 * OUTAGE_SECONDS)
    with ThreadPoolExecutor(1) as pool:
        captured = pool.submit(subject.capture, most, OUTAGE_SECONDS)
        while not captured.done():
            subject.nudge()
            time.sleep(SWEEP)
    subject.tap.ask("/mode?ok")
    subject.end(signal.SIGTERM)
    wait(subject, captured.result())
    return captured.result()


def unanswered(subject: Subject) -> int:
    """Read ten requests and close without an answer."""
    subject.tap.ask(f"/mode?lost={LOST_ANSWERS}")
    subject.open()
    subject.start()
    count = subject.capture(min(CAPTURES, subject.most))
    wait(subject, count, services.try_now if isinstance(subject, Ours) else None)
    subject.end(signal.SIGKILL)
    return count


CASES: dict[str, Callable[[Subject], int]] = {
    "kill -9 right after the captures": killed_after_capture,
    f"kill -9 × {KILLS} of what sends": killed_while_sending,
    f"{OUTAGE_SECONDS} s of 503": refused,
    f"{LOST_ANSWERS} lost answers": unanswered,
}


def wait(
    subject: Subject,
    wanted: int,
    each: Callable[[Any], object] | None = None,
) -> None:
    """Wait for so many unique events, or until none came for too long.

    Args:
        each: Done every second, with the time.
    """
    seen, last, swept = -1, time.monotonic(), 0.0
    while (now := time.monotonic()) - last < subject.patience:
        if now - swept > (1 if each else SWEEP):
            if each:
                each(timezone.now())
            subject.nudge()
            swept = now
        unique = subject.tap.ask("/stats")["unique"]
        if unique >= wanted:
            return
        if unique != seen:
            seen, last = unique, now
        time.sleep(0.1)


def _through(case: Callable[[Subject], int], subject: Subject) -> tuple[int, Any]:
    """Put one subject through one case; return what was captured and what arrived."""
    try:
        count = case(subject)
        time.sleep(2)  # for what arrives late, or again
        return count, subject.tap.ask("/stats")
    finally:
        subject.kill()
        connection.close()


def _row(name: str, subject: Subject, count: int, got: dict[str, Any]) -> Row:
    ours = isinstance(subject, Ours)
    missing = count - got["unique"]
    return Row(
        f"loss: {name}",
        f"{subject.label}: {missing:,} missing, {got['effects']:,} twice",
        f"of {count:,} events",
        None,
        f"{got['wire']:,} sent again, {got['rejected']:,} POSTs refused",
        "0 missing, 0 twice" if ours else "a peer",
    )


def _subjects(stack: ExitStack) -> list[Subject]:
    """Return everybody, with nothing waiting anywhere."""
    redis = os.environ["NMS_TEST_REDIS_URL"]
    Redis.from_url(redis).flushall()
    project = engines.Project(os.environ["NMS_TEST_DATABASE_URL"], redis)
    for model in (Event, Batch, Gate):
        model.objects.all().delete()
    taps = (stack.enter_context(sink.running()) for _ in range(9))
    return [
        Ours(next(taps)),
        *(Kept(next(taps), project, engine) for engine in engines.ENGINES),
        *(Client(next(taps), *names) for names in CLIENTS.items()),
    ]


def run() -> list[Row]:
    """Return what became of the events of everybody in every case."""
    drain.prepare()
    rows = []
    for name, case in CASES.items():
        with ExitStack() as stack:
            subjects = [
                one
                for one in _subjects(stack)
                if case is not killed_while_sending or not isinstance(one, Client)
            ]
            with ThreadPoolExecutor(len(subjects)) as pool:
                done = [pool.submit(_through, case, one) for one in subjects]
            for one, result in zip(subjects, done, strict=True):
                rows.append(_row(name, one, *result.result()))
    return rows
