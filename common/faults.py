"""Places where a test makes a process die, to see that nothing is lost or doubled."""

from __future__ import annotations

import os
import signal


def reach(step: str) -> None:
    """Die here by SIGKILL when the environment's NMS_FAULT names this step.

    Nothing happens otherwise; nobody but a test sets it.
    """
    if os.environ.get("NMS_FAULT") == step:
        os.kill(os.getpid(), signal.SIGKILL)
