"""Who is put through the losses: ours, and each peer, behind one face."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Protocol

from django.conf import settings

from bench import drain, peers
from bench.peers import engines
from telemetry import tasks

if TYPE_CHECKING:
    import subprocess

    from bench.sink import Tap


class Subject(Protocol):
    """Something that captures events in one process and sends them, there or elsewhere.

    ``most`` is how many events it is given, fewer where each costs a POST; ``patience``
    is how many seconds may pass without one before the others count as missing.
    """

    label: str
    tap: Tap
    most: int
    patience: float

    def open(self) -> None:
        """Start the process that captures."""

    def capture(self, count: int, seconds: int = 0) -> int:
        """Capture about so many, spread over so many seconds; return how many."""

    def end(self, number: int) -> None:
        """End the process that captures by a signal."""

    def start(self) -> None:
        """Start what sends."""

    def kill(self) -> None:
        """End what sends by SIGKILL."""

    def nudge(self) -> None:
        """Do what the scheduler does every few seconds."""


class Ours:
    """The product: captured by ``record``, sent by the worker."""

    label, most = "this product", 100_000
    patience = 50.0  # a lease is 40 s

    def __init__(self, tap: Tap) -> None:
        self.tap = tap
        settings.NMS_TELEMETRY_URL = tap.url + drain.PATH  # whose gate Try now opens
        self.workers: drain.Workers | None = None

    def open(self) -> None:
        words = [sys.executable, "-m", "bench.capturing"]
        self.talk = engines.Talk(words, dict(os.environ))

    def capture(self, count: int, seconds: int = 0) -> int:
        self.talk.say(f"{count} {seconds}")
        return count

    def end(self, number: int) -> None:
        self.talk.end(number)

    def start(self) -> None:
        self.workers = drain.Workers(self.tap)

    def kill(self) -> None:
        if self.workers:
            self.workers.stop(signal.SIGKILL)
        self.workers = None

    def nudge(self) -> None:
        tasks.nudge()


class Kept:
    """A library that keeps events in a table or in Redis, and sends them one by one."""

    most = 2_000
    patience = 20.0  # what a dead worker held is free again after 5 s, by the settings

    def __init__(self, tap: Tap, project: engines.Project, engine: engines.Engine):
        self.tap, self.project, self.engine = tap, project, engine
        self.label = engine.label
        self.sending: list[subprocess.Popen[bytes]] = []

    def open(self) -> None:
        self.talk = self.project.capture(self.engine)

    def capture(self, count: int, seconds: int = 0) -> int:
        times = seconds or 1
        for _ in range(times):
            began = time.monotonic()
            self.talk.say(f"{self.engine.name} {count // times}")
            if seconds:
                time.sleep(max(0, began + 1 - time.monotonic()))
        return count // times * times

    def end(self, number: int) -> None:
        self.talk.end(number)

    def start(self) -> None:
        self.sending = self.project.start(self.engine, self.tap.url)

    def kill(self) -> None:
        engines.kill(self.sending)

    def nudge(self) -> None:
        """It wakes up by itself."""


class Client:
    """A vendor's client library: captured into memory, sent by a thread beside."""

    most = 100_000
    patience = 20.0

    def __init__(self, tap: Tap, name: str, package: str) -> None:
        self.tap, self.name = tap, name
        self.label = peers.version(name, package)

    def open(self) -> None:
        self.talk = engines.client(self.name, self.tap.url)

    def capture(self, count: int, seconds: int = 0) -> int:
        self.talk.say(f"capture {count} {count // seconds if seconds else 0}")
        return count

    def end(self, number: int) -> None:
        """End it; in good order when the signal is not SIGKILL."""
        if number != signal.SIGKILL:
            self.talk.say("stop")
        self.talk.end()

    def start(self) -> None:
        """It sends in the process that captures."""

    def kill(self) -> None:
        """There is nothing beside."""

    def nudge(self) -> None:
        """It wakes up by itself."""
