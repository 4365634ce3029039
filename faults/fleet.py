"""The real processes of an installation, started again when they die."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connections

from faults.driving import Child
from faults.pages import Pages
from faults.scene import Scene, session
from nms_admin.processes import all_processes
from telemetry import tasks
from tests.e2e.console import wait_for

AGAIN = 0.5  # seconds until what died is started again


@dataclass
class Member:
    """One named process; ``words`` starts it."""

    name: str
    words: list[str]
    popen: subprocess.Popen[bytes] | None = None
    died: float = 0.0


@dataclass
class Fleet:
    """Web, dpm, some workers and schedulers, and somebody who signs in all the while.

    Attributes:
        starts: How many processes were ever started.
    """

    scene: Scene
    workers: int
    schedulers: int
    members: list[Member] = field(default_factory=list)
    starts: int = 0
    kills: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Fleet:
        """Start all of them and wait for the first page."""
        counts = {"integrations": self.workers, "scheduler": self.schedulers}
        for process in all_processes():
            for number in range(counts.get(process.name, int(process.reported))):
                words = list(process.command)
                if process.name == "scheduler":  # two in one folder share no file
                    words += ["-s", str(self.scene.folder / f"scheduler{number}")]
                if process.name == "integrations":
                    words += ["-n", f"worker{number}@%h"]
                self.members.append(Member(process.name, words))
        self.thread = threading.Thread(target=self._keep, daemon=True)
        self.thread.start()
        pages = self.scene.pages = Pages(settings.NMS_PUBLIC_URL, session())
        wait_for(lambda: pages.ask("/ui/") == 200, 60, "the console answers")
        time.sleep(3)
        pages.taken.clear()
        pages.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.thread.join(10)
        if self.scene.pages:
            self.scene.pages.stop()
        running = [one.popen for one in self.members if one.popen]
        for popen in running:
            with contextlib.suppress(ProcessLookupError):
                popen.terminate()
        for popen in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                popen.wait(10)
            _kill_group(popen.pid)

    def _keep(self) -> None:
        while not self._stop.wait(0.1):
            for member in self.members:
                with self._lock:
                    self._tend(member)
            self._weigh()

    def _tend(self, member: Member) -> None:
        if member.popen and member.popen.poll() is not None:
            _kill_group(member.popen.pid)
            member.popen, member.died = None, time.monotonic()
        if member.popen is None and time.monotonic() - member.died > AGAIN:
            with (self.scene.folder / f"{member.name}.log").open("ab") as log:
                member.popen = subprocess.Popen(
                    member.words, stdout=log, stderr=log, start_new_session=True
                )
            self.starts += 1

    def _weigh(self) -> None:
        """Note the largest worker; a child of a worker is one too."""
        for member in self.members:
            if member.name == "integrations" and member.popen:
                sizes = [_rss_mb(pid) for pid in family(member.popen.pid)]
                self.scene.peak_mb = max(self.scene.peak_mb, *sizes, 0.0)

    def kill(self) -> str:
        """Kill one of them, or one of its children; return which."""
        with self._lock:
            alive = [one for one in self.members if one.popen]
            if not alive:
                return ""
            member = self.scene.random.choice(alive)
            assert member.popen
            pid = self.scene.random.choice(family(member.popen.pid) or [0])
            with contextlib.suppress(ProcessLookupError):
                if pid:
                    os.kill(pid, signal.SIGKILL)
                    self.kills += 1
            return member.name

    def busy(self) -> list[int]:
        """Return the processes of the first worker."""
        (first, *_) = [one for one in self.members if one.name == "integrations"]
        return family(first.popen.pid) if first.popen else []


def family(pid: int) -> list[int]:
    """Return a process and all that came from it, as far as they live."""
    found = [pid] if Path(f"/proc/{pid}").exists() else []
    for number in found:
        for thread in Path(f"/proc/{number}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in thread.read_text().split()]
    return found


def sign_in_all_the_while(scene: Scene, pause: float = 0.1) -> Child:
    """Capture an event every so often and wake a worker up now and then."""

    def work() -> None:
        number = 0
        while True:
            time.sleep(pause)
            number += 1
            try:
                scene.capture(1)
                if number % 8 == 0:
                    tasks.nudge()
            except (DatabaseError, OSError):  # the database is away: nothing was kept
                connections.close_all()

    return Child(work, scene.log)


def _rss_mb(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = [line for line in text.splitlines() if line.startswith("VmRSS:")]
    return int(found[0].split()[1]) / 1024 if found else 0.0


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
