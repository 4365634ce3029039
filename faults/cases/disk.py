"""No room left on the disk the data folder stands on."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError, connections

from faults.driving import Child
from faults.rows import Row
from faults.scene import Scene

SIZE = "64m"


def run(scene: Scene) -> Iterator[Row]:
    """Put the database onto a small file system and fill that, again and again."""
    here = Path(str(settings.DATABASES["default"]["NAME"]))
    small = scene.folder / "small"
    small.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(small)]
    mounted = os.geteuid() == 0 and not subprocess.run(words, check=False).returncode
    if not mounted:
        yield Row("disk full", scene.on, not_run="no file system can be mounted here")
        return
    try:
        connections.close_all()
        for name in ("", "-wal", "-shm"):
            file = Path(f"{here}{name}")
            if file.exists():
                shutil.move(file, small / file.name)
            file.symlink_to(small / file.name)
        settings.DATABASES["default"]["NAME"] = str(small / here.name)
        connections["default"].settings_dict["NAME"] = str(small / here.name)
        yield _full(scene, small, 4 if scene.short else 12)
    finally:
        scene.end()
        connections.close_all()
        subprocess.run(["umount", "-l", str(small)], check=False)


def _full(scene: Scene, small: Path, times: int) -> Row:
    scene.start_core()
    refused = 0
    for _ in range(times):
        scene.capture(3)
        ballast = small / "ballast"
        _fill(ballast, scene.random.randint(0, 60_000))
        refused += _capture_until_refused(scene)
        for fault in ("", "egress.answered"):
            scene.deliver(fault)
            scene.forward(seconds=41)
        ballast.unlink()
        scene.drain()
    row = scene.row("disk full", f"{times} times, {refused} captures refused")
    with closing(sqlite3.connect(settings.DATABASES["default"]["NAME"])) as database:
        (said,) = database.execute("PRAGMA integrity_check").fetchone()
    if said != "ok":
        row.wrong.append(f"the database is damaged: {said}")
    if not refused:
        row.wrong.append("the disk was never full")
    return row


def _fill(ballast: Path, room: int) -> None:
    """Leave so many bytes."""
    try:
        with ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(65_536))
    except OSError:
        pass
    os.truncate(ballast, max(ballast.stat().st_size - room, 0))


def _capture_until_refused(scene: Scene) -> int:
    """Capture in a process of its own until there is no room; return 1 when refused."""

    def work() -> None:
        for _ in range(400):
            try:
                scene.capture(1)
            except DatabaseError:
                os._exit(7)

    return int(scene.done(Child(work, scene.log)).code == 7)
