"""A clock that is wrong by more than a year, both ways, and is put right again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db import connections

from faults import counts
from faults.rows import Row
from faults.scene import Scene
from tests.usage.conftest import used
from usage import delivery as usage
from usage import reports
from usage.models import Report

YEAR = timedelta(days=400)


def run(scene: Scene) -> Iterator[Row]:
    """Let it be wrong during good days, an outage, a death; then put it right."""
    scene.start_core()
    for name, jump in (("ahead", YEAR), ("behind", -YEAR)):
        yield _good_days(scene, name, jump)
        yield _outage(scene, name, jump)
        yield _death(scene, name, jump)
    yield _reports(scene)


def _good_days(scene: Scene, name: str, jump: timedelta) -> Row:
    before = counts.discarded()
    scene.capture(3)
    scene.offset += jump
    scene.capture(3)
    scene.deliver()
    scene.offset -= jump
    scene.capture(3)
    return _right_again(scene, f"clock 400 days {name} for a while", before)


def _outage(scene: Scene, name: str, jump: timedelta) -> Row:
    """The receiver fails while the clock is wrong: what is put off is not for a year."""
    before = counts.discarded()
    scene.offset += jump
    scene.capture(2)
    scene.fails("status", args={"status": 503})
    scene.deliver()
    scene.offset -= jump
    scene.fails("")
    scene.capture(3)
    return _right_again(scene, f"clock 400 days {name} in an outage", before)


def _death(scene: Scene, name: str, jump: timedelta) -> Row:
    """A worker dies with a lease that ends in another year."""
    before = counts.discarded()
    scene.offset += jump
    scene.capture(2)
    scene.deliver("egress.written")
    scene.offset -= jump
    scene.capture(3)
    return _right_again(scene, f"clock 400 days {name}, a worker killed", before)


def _right_again(scene: Scene, case: str, before: int) -> Row:
    """Everything goes within the first minutes of the right time."""
    for _ in range(6):
        scene.deliver()
        scene.forward(seconds=41)
    left = scene.waiting()
    scene.drain()
    gone = counts.discarded() - before
    row = scene.row(case, f"{gone} too old by it" if gone else "", discarded=gone)
    if left:
        row.wrong.append(f"{left} still waited after four minutes of the right time")
    if gone > 5:
        row.wrong.append(f"{gone} events were discarded")
    return row


def _reports(scene: Scene) -> Row:
    """The daily report: one a day, and one more at most for each jump."""
    from faults.driving import Child

    def day() -> None:
        reports.build_due(scene.clock())
        usage.deliver(scene.clock)

    def days(count: int) -> None:
        for _ in range(count):
            used(scene.clock().date(), 2, at=scene.clock())
            connections.close_all()
            scene.forward(days=1)
            scene.done(Child(day, scene.log))

    days(3)
    scene.offset += YEAR
    days(2)
    scene.offset -= YEAR
    days(4)
    made = Report.objects.count()
    last = Report.objects.exclude(accepted_at=None).first()
    row = scene.row(
        "daily report, clock 400 days ahead for 2 of 9 days", f"{made} made"
    )
    if made > 11:
        row.wrong.append(f"{made} reports in 9 days")
    if last is None or scene.clock() - last.built_at > timedelta(days=2):
        row.wrong.append("no report since the clock is right")
    connections.close_all()
    return row
