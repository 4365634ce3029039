"""A named process tells that it lives, whatever the database and the host do."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone

from nms_admin import lifecycle
from telemetry import processes
from telemetry.models import Event, ProcessRun

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
ONCE = ["process_start", "process_stop"]


@pytest.fixture(autouse=True)
def _own_life(monkeypatch) -> None:
    monkeypatch.setattr(lifecycle, "_life", lifecycle.Life())


def points() -> list[str]:
    return list(Event.objects.order_by("pk").values_list("data_point", flat=True))


def forked(work: Callable[[], None]) -> int:
    """Run ``work`` in a process forked from this one; return its number."""
    connections.close_all()
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:  # noqa: BLE001  (whatever it is, it ends here)
        os._exit(1)
    os._exit(0)


def away(*_: Any) -> None:
    raise OperationalError("the database is away")


def test_a_start_the_database_missed_is_recorded_by_the_next_heartbeat() -> None:
    before = timezone.now()
    with connection.execute_wrapper(away):
        lifecycle.start("core")
        lifecycle.beat()
    after = timezone.now()
    lifecycle.beat()
    assert before < ProcessRun.objects.get().started_at < after
    lifecycle.stop()
    lifecycle.beat()
    assert points() == ["installation", *ONCE]


def test_who_was_taken_for_ended_starts_anew() -> None:
    lifecycle.start("core")
    run = ProcessRun.objects.get()
    watched: processes.Watched = {}
    for _ in range(4):  # it stands still
        watched = processes.end_lost(watched)
    assert ProcessRun.objects.get(pk=run.pk).unclean
    lifecycle.beat()
    lifecycle.stop()
    assert points() == ["installation", *ONCE, *ONCE]
    assert not ProcessRun.objects.filter(stopped_at=None).exists()


def test_a_heartbeat_ends_what_was_killed_elsewhere() -> None:
    killed = processes.started("dpm", timezone.now())
    lifecycle.start("core")
    for _ in range(4):
        lifecycle.beat()
    assert list(ProcessRun.objects.filter(unclean=True)) == [killed]
    assert lifecycle._life.run.number in lifecycle._life.watched


def test_web_processes_share_one_start_that_was_missed_and_one_stop() -> None:
    with connection.execute_wrapper(away):
        lifecycle.start("core")
    beating = [forked(lifecycle.beat) for _ in range(3)]
    assert [os.waitpid(child, 0)[1] for child in beating] == [0, 0, 0]
    lifecycle.stop()  # the first process, which did not record the start itself
    assert points() == ["installation", *ONCE]


def test_a_web_process_that_is_killed_keeps_no_other_from_beating() -> None:
    lifecycle.start("core")
    ours, theirs = os.pipe()

    def stand_still() -> None:
        with lifecycle._life.run.alone():
            os.write(theirs, b"!")
            time.sleep(60)

    killed = forked(stand_still)
    os.read(ours, 1)
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)
    before = ProcessRun.objects.get().seen_at
    lifecycle.beat()
    assert ProcessRun.objects.get().seen_at > before
