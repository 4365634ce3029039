"""Workers that end by SIGKILL: at every step, at any moment, and several at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

from faults.driving import Child
from faults.rows import Row
from faults.scene import Scene, together
from tests.e2e.console import wait_for

STEPS = (
    "telemetry.sealing",
    "telemetry.sealed",
    "telemetry.claimed",
    "egress.opened",
    "egress.connected",
    "egress.written",
    "egress.answered",
    "egress.closed",
    "telemetry.settling",
    "telemetry.settled",
)


def run(scene: Scene) -> Iterator[Row]:
    """Kill, let the lease run out, deliver; count."""
    scene.start_core()
    yield _at_steps(scene)
    yield _as_probe(scene)
    yield _at_random(scene, 25 if scene.short else 150)
    yield _four_at_once(scene, 5 if scene.short else 25)
    yield _asleep(scene)


def _at_steps(scene: Scene) -> Row:
    missed = []
    for step in STEPS:
        scene.capture(3)
        if not scene.deliver(step).killed:
            missed.append(step)
        scene.capture(1)
        scene.forward(seconds=41)
        scene.drain()
    row = scene.row("kill -9 at each step of a delivery", f"{len(STEPS)} steps")
    row.wrong += [f"nothing died at {step}" for step in missed]
    return row


def _as_probe(scene: Scene) -> Row:
    """The one call that finds out whether the receiver is back is killed itself."""
    missed = []
    for step in STEPS[2:]:
        scene.capture(2)
        scene.fails("status", args={"status": 503}, times=1)
        scene.deliver()
        scene.forward(hours=1)
        if not scene.deliver(step).killed:
            missed.append(step)
        scene.forward(seconds=41)
        scene.drain()
    row = scene.row("kill -9 of the probe after an outage", f"{len(STEPS) - 2} steps")
    row.wrong += [f"nothing died at {step}" for step in missed]
    return row


def _at_random(scene: Scene, times: int) -> Row:
    usual, died = _usual(scene), 0
    for _ in range(times):
        scene.capture(scene.random.randint(1, 4))
        child = scene.start()
        time.sleep(scene.random.uniform(0, usual * 1.2))
        child.send(signal.SIGKILL)
        died += scene.done(child).killed
        scene.forward(seconds=41)
        scene.drain()
    return scene.row("kill -9 at any moment", f"{died} of {times} in its middle")


def _usual(scene: Scene) -> float:
    """Return how long a delivery usually takes, in seconds."""
    taken = []
    for _ in range(3):
        scene.capture(2)
        taken.append(scene.deliver().seconds)
    return sorted(taken)[1]


def _four_at_once(scene: Scene, times: int) -> Row:
    usual, died = _usual(scene), 0

    def perhaps(child: Child) -> None:
        if scene.random.random() < 0.5:
            time.sleep(scene.random.uniform(0, usual))
            child.send(signal.SIGKILL)

    for _ in range(times):
        scene.capture(6)
        died += sum(one.killed for one in together(scene, 4, perhaps))
        scene.forward(seconds=41)
        scene.drain()
    return scene.row("four workers at once, half of them killed", f"{died} died")


def _asleep(scene: Scene) -> Row:
    """A worker stands still beyond its lease, and wakes up with its answer."""
    scene.capture(3)
    scene.fails("hang_after", args={"seconds": 2}, times=1)
    before = len(scene.arrivals())
    sleeper = scene.start()
    wait_for(lambda: len(scene.arrivals()) > before, 10, "the batch arrives")
    sleeper.send(signal.SIGSTOP)
    scene.forward(seconds=41)
    scene.deliver()
    left = scene.waiting()
    sleeper.send(signal.SIGCONT)
    scene.done(sleeper)
    row = scene.row("SIGSTOP beyond the lease, then CONT")
    if left:
        row.wrong.append("the batch was not free again after the lease")
    if "batch.lease_lost" not in scene.log.read_text():
        row.wrong.append("the sleeper was not refused")
    return row
