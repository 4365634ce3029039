"""Places where a test makes a process die, to see that nothing is lost or doubled."""

from __future__ import annotations

import os
import signal
from collections import Counter

_reached: Counter[str] = Counter()


def reach(step: str) -> None:
    """Die here by SIGKILL when the environment's NMS_FAULT names this step.

    ``step:3`` dies at the third time. Nothing happens otherwise; nobody but a test
    sets it.
    """
    wanted = os.environ.get("NMS_FAULT")
    if not wanted or wanted.partition(":")[0] != step:
        return
    _reached[step] += 1
    if _reached[step] == int(wanted.partition(":")[2] or 1):
        os.kill(os.getpid(), signal.SIGKILL)
