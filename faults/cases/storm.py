"""Real processes while everything around them dies: one after the other, then calm."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from os import kill

from django.conf import settings
from django.db import DatabaseError, connection, connections

from faults import counts, servers
from faults.fleet import Fleet, sign_in_all_the_while
from faults.rows import Row
from faults.scene import Scene
from tests.e2e.console import wait_for

CALM = 90.0  # seconds: a lease, a closed gate and a sweep one after the other


def run(scene: Scene) -> Iterator[Row]:
    """Start the fleet; do one thing at a time to it."""
    small = connection.vendor == "sqlite"
    connections.close_all()
    workers, schedulers = (2, 1) if small else (4, 2)
    with (
        servers.broker(scene.folder) as broker,
        Fleet(scene, workers=workers, schedulers=schedulers) as fleet,
    ):
        yield _calm(
            scene, f"{workers} workers, {schedulers} scheduler(s), nothing dies"
        )
        yield _kills(scene, fleet)
        yield _all_live(fleet, lambda: _broker(scene, broker))
        yield _all_live(fleet, lambda: _database(scene, small))
        yield _asleep(scene, fleet)


def _while_signing_in(scene: Scene, story: Callable[[], object], case: str) -> Row:
    """Let a story happen while events are captured; then wait until all went out."""
    _wait(scene)
    scene.begin()
    somebody = sign_in_all_the_while(scene)
    try:
        note = story()
    finally:
        somebody.send(signal.SIGKILL)
        somebody.wait()
    began = time.monotonic()
    _wait(scene)
    calm = time.monotonic() - began
    return scene.row(case, f"{note}, all sent after {calm:.0f} s")


def _all_live(fleet: Fleet, story: Callable[[], Row]) -> Row:
    """Nothing is killed in this story, so nothing may end."""
    before = fleet.starts
    row = story()
    if ended := fleet.starts - before:
        row.wrong.append(f"{ended} processes ended by themselves")
    return row


def _wait(scene: Scene) -> None:
    with suppress(AssertionError):  # then the row says that something waits
        wait_for(lambda: _left(scene) == 0, CALM, "everything is sent")


def _left(scene: Scene) -> int:
    try:
        return scene.waiting()
    except DatabaseError:
        return -1


def _calm(scene: Scene, case: str) -> Row:
    def story() -> str:
        time.sleep(8)
        return f"{counts.captured()} events"

    return _while_signing_in(scene, story, case)


def _kills(scene: Scene, fleet: Fleet) -> Row:
    def story() -> str:
        end = time.monotonic() + 40
        before = fleet.kills
        while time.monotonic() < end:
            fleet.kill()
            time.sleep(scene.random.uniform(0.5, 3))
        return f"{fleet.kills - before} kills"

    return _while_signing_in(scene, story, "kill -9 of real processes at random")


def _broker(scene: Scene, broker: servers.Builtin) -> Row:
    def story() -> str:
        for _ in range(2):
            broker.push_junk()
            time.sleep(2)
            broker.flush()
            time.sleep(2)
            broker.push_junk()
            broker.stop()
            time.sleep(4)
            broker.start()  # an empty one in its place
            time.sleep(2)
        return "twice"

    case = f"{broker.name} full of junk, flushed, stopped, replaced"
    return _while_signing_in(scene, story, case)


def _database(scene: Scene, small: bool) -> Row:
    def restart() -> str:
        taken = []
        for _ in range(2):
            servers.end_backends()
            time.sleep(3)
            taken.append(servers.restart_postgresql())
            time.sleep(4)
        return f"twice, away for {max(taken):.1f} s"

    def lock() -> str:
        path = str(settings.DATABASES["default"]["NAME"])
        for seconds in (3, 8):
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN EXCLUSIVE")
                time.sleep(seconds)
                other.execute("ROLLBACK")
            time.sleep(2)
        return "for 3 s and 8 s"

    if small:
        return _while_signing_in(scene, lock, "SQLite locked by another writer")
    case = "PostgreSQL: sessions ended, restarted -m immediate"
    row = _while_signing_in(scene, restart, case)
    row.wrong = [one for one in row.wrong if not one.startswith("pages answered {503")]
    return row


def _asleep(scene: Scene, fleet: Fleet) -> Row:
    def story() -> str:
        pids = fleet.busy()
        scene.fails("hang_after", args={"seconds": 1}, times=3)
        for pid in pids:
            kill(pid, signal.SIGSTOP)
        time.sleep(44)
        for pid in pids:
            with suppress(ProcessLookupError):
                kill(pid, signal.SIGCONT)
        return "44 s"

    return _while_signing_in(scene, story, "SIGSTOP of a real worker, then CONT")
