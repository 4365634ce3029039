"""Put the clock of each Python process ahead that has this folder on its path.

By how many seconds stands in the file NMS_TEST_CLOCK, and may change while it runs.
Only the time of day is ahead; what waits a number of seconds waits as long as before.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import time_machine

SIZE = 16  # characters in the file


class Ahead(time_machine.Traveller):
    """The real time and so many seconds; every fork looks at the same file."""

    def __init__(self, file: Path) -> None:
        super().__init__(0, None, True)
        with file.open("rb") as opened:
            self.kept = mmap.mmap(opened.fileno(), SIZE, access=mmap.ACCESS_READ)

    def time_ns(self) -> int:
        """Return the nanoseconds since 1970."""
        real = time_machine.escape_hatch.time.time_ns()
        return real + int(self.kept[:SIZE]) * 1_000_000_000


time_machine.travel(0).start()
time_machine.traveller_stack[-1] = Ahead(Path(os.environ["NMS_TEST_CLOCK"]))
