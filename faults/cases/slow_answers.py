"""A receiver that takes its time: every call ends by its deadline all the same."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

from faults.listeners import Tap
from faults.rows import Row
from faults.scene import PATH, Scene

DEADLINE, SLACK = 30.0, 1.5


def run(scene: Scene) -> Iterator[Row]:
    """Wait for each as long as it takes; the events go out afterwards."""
    scene.start_core()
    yield _meet(scene, "hangs before processing", "hang")
    yield _meet(scene, "hangs after processing", "hang_after")
    yield _meet(scene, "drips a byte a second", "drip", bytes_per_second=1)
    with Tap(None) as silent:
        yield _timed(scene, "TLS that never begins", silent.port)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [_fill(port) for _ in range(4)]
        yield _timed(scene, "black hole (no answer to connect)", port)
        for one in waiting:
            one.close()


def _meet(scene: Scene, case: str, mode: str, **args: Any) -> Row:
    scene.capture()
    scene.fails(mode, args={"seconds": 60, **args}, times=1)
    end = scene.deliver()
    scene.forward(hours=2)
    scene.fails("")
    scene.drain()
    return _judged(scene.row(case, f"{end.seconds:.1f} s"), end.seconds)


def _timed(scene: Scene, case: str, port: int) -> Row:
    scene.capture()
    end = scene.deliver(NMS_TELEMETRY_URL=f"https://localhost:{port}{PATH}")
    scene.forward(hours=2)
    scene.drain()
    return _judged(scene.row(case, f"{end.seconds:.1f} s"), end.seconds)


def _judged(row: Row, seconds: float) -> Row:
    if seconds > DEADLINE + SLACK:
        row.wrong.append(f"the call took {seconds:.1f} s")
    return row


def _fill(port: int) -> socket.socket:
    """Take one of the few places of a queue nobody accepts from."""
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", port))
    return client
