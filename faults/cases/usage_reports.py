"""Usage reports: workers that die while one is built, uploaded, asked for, fetched.

Then the same of files that go by themselves (NMS_USAGE_CHANNEL=batch).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

from django.db import connections
from django.db.models import Count
from django.test import override_settings

from faults.driving import Child, End
from faults.rows import Row
from faults.scene import Scene, mutated
from sandbox.app import BULK, USAGE_BATCH
from tests.usage.conftest import used
from usage import delivery, reports
from usage.models import Report, Total

STEPS = (
    "usage.building",
    *(
        f"{step}:{number}"
        for step in (
            "usage.claimed",
            "egress.opened",
            "egress.connected",
            "egress.written",
            "egress.answered",
            "egress.closed",
            "usage.settling",
            "usage.settled",
        )
        for number in (1, 2, 3)  # upload, question, download
    ),
)
ANSWERS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("reset", {}),
    ("reset_after", {}),
    ("truncated", {}),
    ("garbage", {}),
    ("html", {}),
    ("array", {}),
    ("huge", {}),
    ("gzip_bomb", {}),
    ("status", {"args": {"status": 503}}),
    ("status", {"args": {"status": 404}}),
    ("status", {"args": {"status": 502, "after": True}}),
)


def run(scene: Scene) -> Iterator[Row]:
    """One day of usage for each fault; each day must be accepted exactly once."""
    scene.start_core()
    _day(scene)
    _drain(scene)  # the first report is planned at a minute of the first day
    missed = []
    for step in STEPS[:: 3 if scene.short else 1]:
        _day(scene)
        if not _sweep(scene, step).killed:
            missed.append(step)
        _drain(scene)
    row = _row(scene, "usage report, kill -9 at each step", f"{len(STEPS)} steps")
    row.wrong += [f"nothing died at {step}" for step in missed]
    yield row
    yield _at_random(scene, 8 if scene.short else 40)
    for number, path in enumerate((BULK, f"{BULK}/status", f"{BULK}/download")):
        _answers(scene, path)
        what = ("upload", "question", "download")[number]
        yield _row(scene, f"usage report, bad answers to the {what}")
    with override_settings(NMS_USAGE_CHANNEL="batch"):
        yield from _by_batch(scene)


def _by_batch(scene: Scene) -> Iterator[Row]:
    """The same of files that go by themselves: one call a day."""
    steps = [one for one in STEPS if not one.endswith((":2", ":3"))]
    missed = []
    for step in steps[:: 3 if scene.short else 1]:
        _day(scene)
        if not _sweep(scene, step).killed:
            missed.append(step)
        _drain(scene)
    row = _row(scene, "usage file, kill -9 at each step", f"{len(steps)} steps")
    row.wrong += [f"nothing died at {step}" for step in missed]
    yield row
    _answers(scene, USAGE_BATCH)
    yield _row(scene, "usage file, bad answers")


def _answers(scene: Scene, path: str) -> None:
    for mode, rule in ANSWERS[:: 4 if scene.short else 1]:
        _day(scene)
        scene.fails(mode, path, times=2, **rule)
        for _ in range(3):
            _sweep(scene)
            scene.forward(hours=1)
        scene.fails("")
        _drain(scene)


def _at_random(scene: Scene, times: int) -> Row:
    _day(scene)
    usual, died = _sweep(scene).seconds, 0
    _drain(scene)
    for _ in range(times):
        _day(scene)
        child = Child(lambda: _work(scene), scene.log)
        time.sleep(scene.random.uniform(0, usual * 1.2))
        child.send(signal.SIGKILL)
        died += scene.done(child).killed
        _drain(scene)
    return _row(scene, "usage report, kill -9 at any moment", f"{died} of {times}")


def _work(scene: Scene) -> None:
    reports.build_due(scene.clock())
    delivery.deliver(scene.clock)


def _sweep(scene: Scene, fault: str = "") -> End:
    return scene.done(Child(lambda: _work(scene), scene.log, fault))


def _day(scene: Scene) -> None:
    """Let a day of usage end, and the time of the daily report come."""
    used(scene.clock().date(), 2, hours=2, at=scene.clock())
    connections.close_all()
    scene.forward(days=1)


def _drain(scene: Scene) -> None:
    for _ in range(30):
        _sweep(scene)
        scene.forward(seconds=101)
        last = Report.objects.first()
        waits = Report.objects.open().exists()
        connections.close_all()
        if last and not waits and (scene.clock() - last.built_at).days == 0:
            return


def _row(scene: Scene, case: str, note: str = "") -> Row:
    scene.drain()
    since = scene.mark.arrival
    row = scene.row(case, note)
    stats: Any = scene.box.store.stats()
    try:
        said = Total.objects.filter(report__dead_at=None, revises=None, left_out=False)
        pairs = said.values("day", "feature").annotate(n=Count("pk"))
        row.doubled += sum(pair["n"] - 1 for pair in pairs)
        row.lost += Report.objects.filter(accepted_at=None).count()
        built = Report.objects.count()
    finally:
        connections.close_all()
    for path in (BULK, USAGE_BATCH):
        row.mutated += mutated(scene.arrivals(since, path))
    arrived = stats["reports_unique"] + stats["files_unique"]
    if arrived != built:
        row.wrong.append(f"{built} built, {arrived} arrived")
    return row
