"""Make a backup of an installation; docs/operations.md says what is in it."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from analytics import services as analytics
from audit import services as audit
from common import choices
from common.models import Via
from licensing import connection
from nms_admin import archive, dumps, serving
from nms_admin.archive import Manifest, Refused
from nms_admin.people import COMMAND_LINE
from telemetry import processes
from telemetry import services as telemetry
from usage import reports

ALIVE = timedelta(minutes=3)  # three heartbeats


def make(output: Path, now: datetime) -> Manifest:
    """Write a backup to a new file (0600) and record it; the console may run.

    Raises:
        Refused: There is nothing to back up, or the file cannot be written.
    """
    if output.exists():
        raise Refused(f"{output} exists already; name another file.")
    if not dumps.exists():
        raise Refused("There is no installation here. Start the console first.")
    refuse_unmigrated()
    try:
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".backup-") as name:
            folder = Path(name)
            files = _collect(folder)
            manifest = _manifest(files, now)
            archive.write(folder / "backup", manifest, files)
            details = {"sha256": archive.described(folder / "backup")["sha256"]}
            audit.record(
                "backup.made",
                now=now,
                actor=COMMAND_LINE,
                via=Via.COMMAND,
                details=details,
            )
            os.link(folder / "backup", output)
    except OSError as error:
        raise Refused(f"{output} cannot be written: {error.strerror}.") from error
    return manifest


def refuse_unmigrated() -> None:
    """Refuse a database of an older version, whose tables this one cannot ask."""
    loader = MigrationLoader(connections["default"])
    if set(loader.disk_migrations) - set(loader.applied_migrations or ()):
        raise Refused(
            "The database is of an older version. Make the backup with that version,"
            " before the upgrade; or start this version once."
        )


def _collect(folder: Path) -> dict[str, Path]:
    files = {archive.DATABASE: folder / archive.DATABASE}
    dumps.dump(files[archive.DATABASE])
    now_kept = settings.NMS_SEAL_KEYS_FILE.read_text().split()
    seal_keys = dict.fromkeys([*now_kept, *settings.SEAL_KEYS])  # rotated meanwhile?
    keys = {archive.SEAL_KEYS: "\n".join(seal_keys)}
    kept = settings.NMS_DATA_DIR / archive.SECRET_KEY
    if kept.exists():  # else it is in the settings, whose backup is not ours
        keys[archive.SECRET_KEY] = kept.read_text().strip()
    for name, text in keys.items():
        files[name] = folder / name
        archive.keep(files[name], text + "\n")
    return files


def _manifest(files: dict[str, Path], now: datetime) -> Manifest:
    """Describe a backup; counts are read after the copy, so never below its own."""
    decided = {
        choices.CONNECTION: connection.choice(),
        choices.INTERACTION_DATA: analytics.choice(),
    }
    known = {name: row.pk if row else 0 for name, row in decided.items()}
    known |= {"batches": telemetry.sealed(), "reports": reports.built()}
    applied = MigrationRecorder(connections["default"]).applied_migrations()
    return Manifest(
        version=settings.VERSION,
        mode=settings.NMS_F5_MODE,
        engine=dumps.engine(),
        made_at=now.isoformat(timespec="seconds"),
        running=serving.runs(settings.NMS_DATA_DIR)
        or processes.alive(now - ALIVE) is not None,
        installation=archive.installation(settings.SECRET_KEY),
        migrations=sorted(f"{app}.{name}" for app, name in applied),
        known=known,
        files={name: archive.described(path) for name, path in files.items()},
    )
