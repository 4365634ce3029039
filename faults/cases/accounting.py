"""Processes on three hosts that are killed, stopped, or stand still: each is counted."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connections

from faults.driving import Child
from faults.rows import Row
from faults.scene import Scene
from nms_admin import lifecycle
from telemetry.models import ProcessRun

HOSTS = ("host-a", "host-b", "host-c")
NAMES = ("core", "integrations", "integrations", "scheduler", "dpm")
BEAT = 0.25  # seconds; a heartbeat a minute in the product


@dataclass
class Life:
    """One process of one host, and how it is to end."""

    host: str
    name: str
    child: Child


def run(scene: Scene) -> Iterator[Row]:
    """Kill fifty of them, let others stop, and see what is written down of each."""
    kills = 15 if scene.short else 60
    living = [_live(scene, host, name) for host in HOSTS for name in NAMES]
    killed = stopped = 0
    while killed < kills:
        time.sleep(scene.random.uniform(0.02, 0.15))
        one = living.pop(scene.random.randrange(len(living)))
        clean = scene.random.random() < 0.25
        one.child.send(signal.SIGTERM if clean else signal.SIGKILL)
        ended = scene.done(one.child)
        killed, stopped = killed + ended.killed, stopped + (not ended.killed)
        living.append(_live(scene, one.host, one.name))
    time.sleep(BEAT * 8)  # the ones that live on notice
    before = _numbers()
    for one in living:
        one.child.send(signal.SIGTERM)
        scene.done(one.child)
    left = _numbers()
    scene.drain()
    note = (
        f"{len(living) + killed + stopped} starts, {killed} kills, {len(HOSTS)} hosts"
    )
    row = scene.row("every start has a stop", note)
    row.wrong += _judged(before, left, killed, stopped + len(living))
    arrived = _points(scene)
    if arrived["process_start"] != arrived["process_stop"]:
        row.wrong.append(f"the receiver was told {arrived}")
    yield row


def _live(scene: Scene, host: str, name: str) -> Life:
    def live() -> None:
        ending: list[int] = []
        signal.signal(signal.SIGTERM, lambda *_: ending.append(1))
        socket.gethostname = lambda: host
        lifecycle.start(name)
        while not ending:
            time.sleep(BEAT)
            lifecycle.beat()
        lifecycle.stop()

    return Life(host, name, Child(live, scene.log))


@dataclass
class Numbers:
    """Runs by how they ended."""

    open: int
    clean: int
    unclean: int
    wrongly: int  # said to have ended at another time than they were last seen


def _numbers() -> Numbers:
    try:
        runs = list(ProcessRun.objects.all())
    finally:
        connections.close_all()
    unclean = [one for one in runs if one.unclean]
    return Numbers(
        open=sum(one.stopped_at is None for one in runs),
        clean=sum(one.stopped_at is not None and not one.unclean for one in runs),
        unclean=len(unclean),
        wrongly=sum(one.stopped_at != one.seen_at for one in unclean),
    )


def _judged(before: Numbers, left: Numbers, killed: int, stopped: int) -> list[str]:
    wrong = []
    if before.open > len(HOSTS) * len(NAMES):
        wrong.append(f"{before.open} runs open while {len(HOSTS) * len(NAMES)} live")
    if left.open:
        wrong.append(f"{left.open} starts without a stop")
    if left.unclean > killed or left.wrongly:
        wrong.append(f"{left.unclean} unclean of {killed} killed, {left.wrongly} wrong")
    if left.clean > stopped:
        wrong.append(f"{left.clean} clean of {stopped} stopped")
    return wrong


def _points(scene: Scene) -> dict[str, int]:
    import json

    found = {
        one["id"]: one["dataPoint"]
        for arrival in scene.arrivals()
        for one in json.loads(arrival.body)["telemetryRecords"]
    }
    points = list(found.values())
    return {name: points.count(name) for name in ("process_start", "process_stop")}
