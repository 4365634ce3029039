"""Two hosts with one database and one broker: a cable is cut, for longer than a lease."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from django.db import OperationalError, connection, connections, transaction
from django.utils import timezone

from audit import services as audit
from faults.driving import Child
from faults.fleet import sign_in_all_the_while
from faults.hosts import SERVICES, Host, hosts
from faults.pages import percentile
from faults.rows import MOST_P95_MS, Row
from faults.scene import Scene
from telemetry.models import ProcessRun
from tests.e2e.console import wait_for

Cuts = Mapping[Host, tuple[str, ...]]
CUT = 45.0  # seconds; a lease is 40
CALM = 100.0  # seconds until everything is sent: a lease, a gate, a sweep
PATIENCE = 15.0  # seconds until a host that is cut off has said so
NAMED = 4  # processes of a host whose starts and stops are counted


def run(scene: Scene) -> Iterator[Row]:
    """Cut one off from all, then from one thing after the other; count."""
    with hosts(scene) as (a, b):
        for host in (a, b):
            host.pages.start()
        time.sleep(15)  # the other processes start
        yield _meet(scene, "host without power, on again", a, lambda: _power(b))
        everything = tuple(SERVICES)
        yield _cut(scene, "host cut off from everything", {a: everything}, b)
        yield _cut(scene, "the other host cut off from everything", {b: everything}, a)
        yield _cut(scene, "host cut off from the database only", {a: ("database",)}, b)
        apart = {a: ("broker",), b: ("vendor",)}
        yield _cut(scene, "one cut off from the broker, one from the vendor", apart, b)
        yield _in_its_middle(scene, a)
        yield _stops(scene, a, b)


def _power(host: Host) -> str:
    ended = host.lose_power()
    time.sleep(3)
    host.start()
    wait_for(host.answers, 90, "the host answers again")
    return f"{ended} processes"


def _cut(scene: Scene, case: str, cuts: Cuts, other: Host) -> Row:
    """Pull cables out of hosts while somebody looks at them and at another one."""
    began = time.monotonic()

    def story() -> str:
        for host, kinds in cuts.items():
            wait_for(host.sends, 30, "it is in the middle of a delivery")
            host.cut(*kinds)
        time.sleep(CUT)
        for host, kinds in cuts.items():
            host.mend(*kinds)
        return f"for {CUT:.0f} s"

    row = _meet(scene, case, other, story)
    for host, kinds in cuts.items():
        judge(row, host.pages.since(began), database="database" in kinds)
    return row


def _meet(scene: Scene, case: str, other: Host, story: Callable[[], str]) -> Row:
    """Let it happen in the middle of deliveries; then wait until all went out.

    Args:
        other: Its pages are shown in time all the while.
    """
    scene.pages = other.pages
    scene.begin()
    scene.fails("hang_after", args={"seconds": 1}, p=0.5)
    somebody = sign_in_all_the_while(scene)
    try:
        time.sleep(5)
        note = story()
    finally:
        somebody.send(signal.SIGKILL)
        somebody.wait()
    scene.fails("")
    began = time.monotonic()
    with suppress(AssertionError):  # then the row says that something waits
        wait_for(lambda: scene.waiting() == 0, CALM, "everything is sent")
    calm = time.monotonic() - began
    again = _sent_again(scene)
    return scene.row(case, f"{note}, {again} sent again, all sent after {calm:.0f} s")


def _sent_again(scene: Scene) -> int:
    """Return how many batches came more than once: their answer was lost."""
    arrived = scene.arrivals(scene.mark.arrival)
    keys = Counter(one.fields.get("idempotency-key") for one in arrived)
    return sum(count > 1 for count in keys.values())


def judge(row: Row, taken: list[tuple[float, int]], *, database: bool) -> None:
    """Say how a host that was cut off answered: an error page soon, or as always.

    Args:
        taken: Milliseconds and status of each page.
        database: Whether it was cut off from that; it needs nothing else for a page.
    """
    said = [status for _, status in taken]
    slowest, p95 = max(taken)[0] / 1000, percentile([ms for ms, _ in taken])
    row.note += f", there {said.count(503)} times 503, p95 {p95:.0f} ms"
    row.note += f", at most {slowest:.1f} s"
    if odd := set(said) - ({200, 503} if database else {200}):
        row.wrong.append(f"the host that was cut off answered {sorted(odd)}")
    if database and 503 not in said:
        row.wrong.append("the host that was cut off showed no error page")
    if slowest > PATIENCE:
        row.wrong.append(f"the host that was cut off answered after {slowest:.0f} s")
    if not database and p95 > MOST_P95_MS:
        row.wrong.append(f"its pages took {p95:.0f} ms")


def _in_its_middle(scene: Scene, host: Host) -> Row:
    """Cut it off while it holds what every other writer has to wait for."""
    scene.begin()
    ready = scene.folder / "holds"

    def work() -> None:
        connection.settings_dict["HOST"] = SERVICES["database"]
        with host.net.entered(), transaction.atomic():
            _write()
            ready.touch()
            time.sleep(600)

    holder = Child(work, scene.log)
    wait_for(ready.exists, 20, "the host writes")
    host.cut("database")
    took = _time_to_write()
    holder.send(signal.SIGKILL)
    holder.wait()
    host.mend("database")
    wait_for(lambda: scene.waiting() == 0, CALM, "everything is sent")
    row = scene.row(
        "host cut off in the middle of a transaction",
        f"the other wrote after {took:.0f} s",
    )
    if took > PATIENCE * 2:
        row.wrong.append(f"nobody else could write for {took:.0f} s")
    return row


def _time_to_write() -> float:
    """Return how many seconds another writer waits, at most a minute."""
    began = time.monotonic()
    with suppress(OperationalError), connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '60s'")
        _write()
    connections.close_all()
    return time.monotonic() - began


def _write() -> None:
    audit.record("fault.written", now=timezone.now())


def _stops(scene: Scene, a: Host, b: Host) -> Row:
    """Every start has a stop: an unclean one where the power went, a clean one else."""
    scene.begin()
    wait_for(lambda: len(_unclean()) >= NAMED, 200, "the others notice")
    unclean, alive = _unclean(), _alive()
    for host in (a, b):
        host.stop()
    left = _alive()
    scene.drain()
    row = scene.row(
        "every start has a stop", f"{len(unclean)} unclean of {NAMED} without power"
    )
    if [run.host for run in unclean] != ["b"] * NAMED:
        row.wrong.append(
            f"ended by others: {[(one.host, one.name) for one in unclean]}"
        )
    if any(run.stopped_at != run.seen_at for run in unclean):
        row.wrong.append("ended at another time than last seen")
    if alive != 2 * NAMED or left:
        row.wrong.append(f"{alive} runs while {2 * NAMED} lived, {left} without a stop")
    return row


def _unclean() -> list[ProcessRun]:
    try:
        return list(ProcessRun.objects.filter(unclean=True))
    finally:
        connections.close_all()


def _alive() -> int:
    try:
        return ProcessRun.objects.filter(stopped_at=None).count()
    finally:
        connections.close_all()
