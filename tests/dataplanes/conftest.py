"""A listener in this process, one in a process of its own, and a token for both."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from dataplanes import services
from dataplanes.listener import Listener
from dataplanes.services import By
from tests.dataplanes.agent import FakeAgent
from tests.e2e.console import ROOT, free_ports, wait_for

UID = "0d4f3b52-6f0e-3b0e-9b44-0d9a4c8a5c11"


class Running:
    """A listener on a loop in a thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.listener = self.run(self._make())
        self.port = self.run(self.listener.start("127.0.0.1", 0))
        self.target = f"127.0.0.1:{self.port}"

    async def _make(self) -> Listener:
        return Listener()

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def stop(self) -> None:
        if self.loop.is_closed():
            return
        self.run(self.listener.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


class Process:
    """``manage.py dpm`` on the database of the tests."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.target = f"127.0.0.1:{free_ports(1)[0]}"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("NMS_")},
            "NMS_DATA_DIR": str(folder),
            "NMS_DPM_BIND": self.target,
            **settings,
        }
        self.environment.pop("DJANGO_SETTINGS_MODULE", None)
        name = str(connection.settings_dict["NAME"])
        if connection.vendor == "postgresql":
            server = os.environ["NMS_TEST_DATABASE_URL"].rsplit("/", 1)[0]
            self.environment["NMS_DATABASE_URL"] = f"{server}/{name}"
        else:
            (folder / "nms-admin.sqlite3").symlink_to(name)
        self.log = folder / "dpm.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, fault: str = "") -> None:
        """Start it; with a fault, it kills itself when it reaches that step."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "dpm"],
                cwd=ROOT,
                env={**self.environment, "NMS_FAULT": fault},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal, wait, and return how it ended."""
        self.process.send_signal(number)
        return self.process.wait(10)

    def died(self) -> int:
        """Wait until it ends by itself and return how."""
        return self.process.wait(20)


@pytest.fixture
def token(transactional_db) -> str:
    """An agent token in force."""
    return issue("edge")


def issue(name: str) -> str:
    from django.utils import timezone

    return services.issue_token(name, By("ada", timezone.now()))[1]


@pytest.fixture
def make_running(transactional_db) -> Iterator[Callable[[], Running]]:
    """Start listeners in this process; they stop with the test."""
    started: list[Running] = []

    def start() -> Running:
        started.append(Running())
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def running(make_running) -> Running:
    """One listener in this process."""
    return make_running()


@pytest.fixture
def dpm(transactional_db, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Make listeners of their own process; all of them are gone afterwards."""
    made: list[Process] = []

    def make(**settings: str) -> Process:
        folder = tmp_path / f"data-{len(made)}"
        folder.mkdir(mode=0o700)
        made.append(Process(folder, **settings))
        return made[-1]

    yield make
    for one in made:
        if one.process and one.process.poll() is None:
            one.process.kill()
            one.process.wait(10)


@pytest.fixture
def agents() -> Iterator[Callable[..., FakeAgent]]:
    """Start agents that stop with the test."""
    started: list[FakeAgent] = []

    def start(*words: object, **more: object) -> FakeAgent:
        started.append(FakeAgent(*words, **more).start())
        return started[-1]

    yield start
    for one in started:
        one.stop()


__all__ = ["UID", "Process", "Running", "wait_for"]
