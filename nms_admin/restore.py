"""Put a backup in the place of an installation; docs/operations.md says how."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.db import Error, connections
from django.db.migrations.loader import MigrationLoader

from audit import services as audit
from common import choices
from common.models import Via
from nms_admin import archive, dumps, serving
from nms_admin.archive import Manifest, Refused
from nms_admin.backup import ALIVE
from nms_admin.people import COMMAND_LINE
from telemetry import processes
from telemetry.models import ProcessRun

NOTE = "restored.json"  # until the next start has written it into the audit log


def put_back(source: Path, now: datetime, *, replace: bool, moved: bool) -> Manifest:
    """Put a backup in the place of this installation: all of it, or nothing.

    The database is changed last; until then the installation here stays whole. What
    ``choices.json`` of this host says is kept. Where it says nothing of this
    installation, whatever came after the backup is not known: both choices are off
    after the next start, and nothing of before is sent.

    Args:
        replace: Whether an installation that is here already may go.
        moved: Whether nothing ran on the backup's database after it was made.

    Raises:
        Refused: It does not fit, is damaged, or a console runs; nothing was changed.
    """
    folder: Path = settings.NMS_DATA_DIR
    try:
        with serving.hold(folder), archive.opened(source) as (packed, manifest):
            _refuse_misfit(manifest, moved=moved)
            _refuse_present(now, replace=replace)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".restore-") as name:
                archive.unpack(packed, manifest, Path(name))
                dumps.check(Path(name) / archive.DATABASE)
                keys = _seal_keys(Path(name))
                _put_in_place(manifest, Path(name), keys, now, moved=moved)
            _leave_note(source, manifest)
    except serving.AlreadyRunning as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"{error.filename or folder}: {error.strerror}.") from error
    return manifest


def record_it(now: datetime) -> None:
    """Write what was restored since the last start into the audit log."""
    note = settings.NMS_DATA_DIR / NOTE
    try:
        said = json.loads(note.read_text())
        subject = str(said.pop("file"))
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, AttributeError):
        said, subject = {}, "of which the note cannot be read"
    audit.record(
        "backup.restored",
        now=now,
        actor=COMMAND_LINE,
        via=Via.COMMAND,
        subject=subject,
        details=said,
    )
    note.unlink(missing_ok=True)


def _refuse_misfit(manifest: Manifest, *, moved: bool) -> None:
    """Refuse a backup this version, mode or database cannot take."""
    loader = MigrationLoader(None)
    ours = {f"{app}.{name}" for app, name in loader.disk_migrations}
    unknown = sorted(set(manifest.migrations) - ours)
    if unknown or _ordered(manifest.version) > _ordered(settings.VERSION):
        why = f" (it knows {unknown[0]})" if unknown else ""
        raise Refused(
            f"The backup was made by version {manifest.version}{why}, this is"
            f" {settings.VERSION}. Restore it with that version or a newer one."
        )
    for what, theirs, here, name in (
        ("mode", manifest.mode, settings.NMS_F5_MODE, "NMS_F5_MODE"),
        ("database", manifest.engine, dumps.engine(), "NMS_DATABASE_URL"),
    ):
        if theirs != here:
            raise Refused(
                f"The backup is of {what} {theirs} and {name} says {here}. Set {name}"
                " as it was where the backup was made."
            )
    if moved and manifest.running:
        raise Refused(
            "A console ran while this backup was made, so something may have come after"
            " it. Leave --moved out, or stop the console and make another backup."
        )


def _refuse_present(now: datetime, *, replace: bool) -> None:
    if not dumps.exists():
        return
    if not replace:
        raise Refused(
            f"{settings.NMS_DATA_DIR} holds an installation already. Add --replace to"
            " delete it and put the backup in its place."
        )
    refuse_running(now)


def refuse_running(now: datetime) -> None:
    """Refuse while a process, on any host, seems to run on this database."""
    if alive := _alive(now):
        raise Refused(
            f"The process {alive.name} of this installation was seen on {alive.host}"
            f" at {alive.seen_at:%H:%M:%S} UTC. Stop every console that uses this"
            " database; after a crash or another restore, wait three minutes."
        )


def _alive(now: datetime) -> ProcessRun | None:
    """Return a process that seems to run on this database."""
    try:
        return processes.alive(now - ALIVE)
    except Error:  # a database that cannot be read is why one restores
        return None
    finally:
        connections.close_all()


def _seal_keys(unpacked: Path) -> list[str]:
    """Return this host's keys and those of the backup: all that was sealed opens."""
    keys = (unpacked / archive.SEAL_KEYS).read_text().split()
    try:
        for key in keys:
            Fernet(key)
    except ValueError as error:
        raise Refused("The backup is damaged: seal.keys holds no keys.") from error
    return list(dict.fromkeys([*settings.SEAL_KEYS, *keys]))


def _put_in_place(
    manifest: Manifest, unpacked: Path, keys: list[str], now: datetime, *, moved: bool
) -> None:
    """Change this installation, in an order in which it may be cut off anywhere."""
    signing = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    ours = manifest.installation in map(archive.installation, signing)
    kept = settings.NMS_DATA_DIR / archive.SECRET_KEY
    if keys != settings.SEAL_KEYS:  # more than before: right for both databases
        archive.swap(settings.NMS_SEAL_KEYS_FILE, "\n".join(keys) + "\n")
    with _as_before(kept, settings.NMS_DATA_DIR / "mode", choices.where()):
        if not moved and not (ours and choices.is_there()):
            choices.distrust(manifest.known, now)
        secret = unpacked / archive.SECRET_KEY
        if secret.exists():
            archive.swap(kept, secret.read_text())
        archive.swap(settings.NMS_DATA_DIR / "mode", manifest.mode + "\n")
        dumps.replace(unpacked / archive.DATABASE)


@contextmanager
def _as_before(*paths: Path) -> Iterator[None]:
    """Put files back as they were when what is done with them fails."""
    before = {path: path.read_text() if path.exists() else None for path in paths}
    try:
        yield
    except BaseException:
        for path, text in before.items():
            if text is None:
                path.unlink(missing_ok=True)
            else:
                archive.swap(path, text)
        raise


def _leave_note(source: Path, manifest: Manifest) -> None:
    said: dict[str, Any] = {
        "file": source.name,
        "made_at": manifest.made_at,
        "version": manifest.version,
        "database_sha256": manifest.files[archive.DATABASE]["sha256"],
    }
    archive.swap(settings.NMS_DATA_DIR / NOTE, json.dumps(said) + "\n")


def _ordered(version: str) -> tuple[int, ...]:
    """Return a version such as ``0.3.0`` for comparing."""
    try:
        return tuple(int(part) for part in version.split("."))
    except (ValueError, AttributeError) as error:
        raise Refused(f"The backup names no version: {version!r}.") from error
