"""Start the named processes, start again what dies, stop all within ten seconds.

    python -P nms_admin/supervisor.py '[["name", ["command", "argument"]], …]'

Knows nothing of Django, so that the process that only watches stays small.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn

GRACE_SECONDS = 8.0
LONGEST_WAIT_SECONDS = 10.0
STAGGER_SECONDS = 1.5  # the first one serves sooner when the others let it start
_PR_SET_PDEATHSIG = 1


@dataclass
class Child:
    """One process under supervision."""

    name: str
    command: Sequence[str]
    popen: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    start_after: float = field(default=0.0)


def _end_with_parent() -> None:
    """Ask Linux for SIGTERM when the supervisor itself is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Supervisor:
    """Keeps a list of processes running until it is told to stop.

    Args:
        commands: Name and command of each, in starting order; stopped all at once.
        say: Prints one line for the person at the terminal.
    """

    def __init__(
        self,
        commands: Iterable[tuple[str, Sequence[str]]],
        say: Callable[[str], None],
    ) -> None:
        now = time.monotonic()
        self.children = [
            Child(name, command, start_after=now + index * STAGGER_SECONDS)
            for index, (name, command) in enumerate(commands)
        ]
        self.say = say
        self.stopping = False

    def run(self) -> None:
        """Supervise until SIGINT or SIGTERM, then stop every child."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        try:
            while not self.stopping:
                for child in self.children:
                    self._tend(child)
                time.sleep(0.2)
        finally:
            self._stop_all()

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping = True

    def _tend(self, child: Child) -> None:
        now = time.monotonic()
        if child.popen is None:
            if now >= child.start_after and not self.stopping:
                self._start(child, now)
        elif (code := child.popen.poll()) is not None:
            _kill_group(child.popen.pid)
            lived = now - child.started
            child.failures = 0 if lived > 60 else child.failures + 1
            wait = min(LONGEST_WAIT_SECONDS, 0.5 * (1 << min(child.failures, 5)))
            child.popen, child.start_after = None, now + wait
            how = f"by signal {-code}" if code < 0 else f"with code {code}"
            self.say(f"{child.name} ended {how}; it starts again in {wait:g} s")

    def _start(self, child: Child, now: float) -> None:
        child.started = now
        child.popen = subprocess.Popen(  # noqa: S603  (our own commands)
            child.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_end_with_parent,  # noqa: PLW1509  (no threads here)
        )

    def _stop_all(self) -> None:
        running = [child.popen for child in self.children if child.popen]
        for popen in running:
            popen.terminate()
        end = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < end and any(p.poll() is None for p in running):
            time.sleep(0.05)
        for popen in running:
            _kill_group(popen.pid)
            popen.wait()


def _kill_group(pid: int) -> None:
    """Kill what is left of a child's process group, itself included."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def become(commands: Iterable[tuple[str, Sequence[str]]]) -> NoReturn:
    """Turn this process into a supervisor of ``commands``; open locks stay held."""
    sys.stdout.flush()
    # By its path and not as a module: the package would import Celery.
    words = [sys.executable, "-P", __file__, json.dumps(list(commands))]
    os.execv(sys.executable, words)  # noqa: S606  (our own commands)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    Supervisor(json.loads(sys.argv[1]), _say).run()
    _say("Stopped.")
