from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from nms_admin import supervisor as watcher
from nms_admin.supervisor import Supervisor

Command = tuple[str, Sequence[str]]


def python(name: str, code: str) -> Command:
    return name, (sys.executable, "-c", code)


def sleeper(name: str = "sleeper") -> Command:
    return python(name, "import time; time.sleep(60)")


@pytest.fixture
def supervise():
    started: list[Supervisor] = []

    def run(*commands: Command) -> tuple[Supervisor, list[str], threading.Thread]:
        said: list[str] = []
        supervisor = Supervisor(commands, said.append)
        started.append(supervisor)

        def loop() -> None:
            while not supervisor.stopping:
                for child in supervisor.children:
                    supervisor._tend(child)
                time.sleep(0.05)
            supervisor._stop_all()

        thread = threading.Thread(target=loop)
        thread.start()
        return supervisor, said, thread

    yield run
    for supervisor in started:
        supervisor.stopping = True


def wait_for(condition, seconds: float = 10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def pid_of(supervisor: Supervisor) -> int | None:
    popen = supervisor.children[0].popen
    return popen.pid if popen else None


def test_a_killed_process_comes_back(supervise) -> None:
    supervisor, said, _ = supervise(sleeper())
    first = wait_for(lambda: pid_of(supervisor))
    os.kill(first, signal.SIGKILL)
    second = wait_for(lambda: (pid_of(supervisor) or first) != first)
    assert second
    assert said == ["sleeper ended by signal 9; it starts again in 1 s"]


def test_a_process_that_keeps_failing_waits_longer_each_time(supervise) -> None:
    _, said, _ = supervise(python("broken", "exit(3)"))
    wait_for(lambda: len(said) >= 2)
    assert said[:2] == [
        "broken ended with code 3; it starts again in 1 s",
        "broken ended with code 3; it starts again in 2 s",
    ]


def test_stopping_ends_every_process(supervise) -> None:
    supervisor, _, thread = supervise(sleeper("one"), sleeper("two"))
    wait_for(lambda: all(child.popen for child in supervisor.children))
    running = [child.popen for child in supervisor.children]
    supervisor.stopping = True
    thread.join(10)
    assert [popen.poll() for popen in running] == [-signal.SIGTERM] * 2


def test_a_stubborn_process_is_killed_within_ten_seconds(supervise) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        " time.sleep(60)"
    )
    supervisor, _, thread = supervise(python("stubborn", stubborn))
    popen = wait_for(lambda: supervisor.children[0].popen)
    time.sleep(0.5)
    began = time.monotonic()
    supervisor.stopping = True
    thread.join(12)
    assert popen.poll() == -signal.SIGKILL
    assert time.monotonic() - began < 10


def test_nothing_is_left_when_the_supervisor_itself_is_killed() -> None:
    commands = json.dumps([sleeper()])
    parent = subprocess.Popen([sys.executable, "-P", watcher.__file__, commands])
    children = f"/proc/{parent.pid}/task/{parent.pid}/children"
    child = int(wait_for(lambda: Path(children).read_text().split())[0])
    time.sleep(0.3)
    parent.kill()
    parent.wait()
    wait_for(lambda: not Path(f"/proc/{child}").exists() or _is_zombie(child))


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True
