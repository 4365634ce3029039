"""Do something in a process that may be killed at any moment."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.db import connections


@dataclass(frozen=True)
class End:
    """How a process ended: its exit code or signal, how long it lived, its peak.

    Attributes:
        rss_mb: Its peak, with what it took over from the process that forked it.
        grown_mb: What it took more than that.
    """

    code: int
    signal: int
    seconds: float
    rss_mb: float
    grown_mb: float

    @property
    def killed(self) -> bool:
        """Whether it was killed."""
        return self.signal == signal.SIGKILL


class Child:
    """A fork of this process that does one thing and ends.

    Args:
        work: What it does; an exception ends it with code 1 and stands in the log.
        log: Where its output goes.
        fault: The step at which it kills itself (``common.faults``).
    """

    def __init__(self, work: Callable[[], object], log: Path, fault: str = "") -> None:
        connections.close_all()
        self.began = time.monotonic()
        self.inherited_mb = _resident_mb()
        self.pid = os.fork()
        if self.pid == 0:
            _be_child(work, log, fault)

    def send(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self) -> End:
        """Wait until it ended."""
        _, status, usage = os.wait4(self.pid, 0)
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -number
        seconds = time.monotonic() - self.began
        peak = usage.ru_maxrss / 1024
        return End(code, number, seconds, peak, peak - self.inherited_mb)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _be_child(work: Callable[[], object], log: Path, fault: str) -> None:
    code = 1
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.environ["NMS_FAULT"] = fault
        work()
        code = 0
    except BaseException:  # noqa: BLE001  (whatever it is, the parent goes on)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        connections.close_all()
        os._exit(code)
