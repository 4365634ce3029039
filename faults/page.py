"""Write docs/faults.md anew, with the table of this run."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from faults.rows import HEAD, Row

PAGE = Path(__file__).parent.parent / "docs" / "faults.md"


def write(rows: list[Row], seed: int, took: float) -> None:
    """Replace what stands below the heading "Last run"."""
    table = "\n".join([HEAD, *map(str, rows)])
    found = (
        f"## Last run\n\nSeed {seed}, {took:.0f} s, {os.cpu_count()} cores, Python"
        f" {platform.python_version()}, {platform.system()}.\n\n{table}\n"
    )
    text = PAGE.read_text()
    PAGE.write_text(re.sub(r"## Last run\n.*", lambda _: found, text, flags=re.S))
