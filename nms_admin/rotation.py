"""New keys in the place of the old; docs/operations.md says what each key is for."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction

from audit import services as audit
from common import faults, sealing
from common.models import Via
from licensing import services as licensing
from nms_admin import archive, dumps, serving
from nms_admin.archive import Refused
from nms_admin.backup import refuse_unmigrated
from nms_admin.people import COMMAND_LINE
from nms_admin.restore import refuse_running


@dataclass(frozen=True)
class Rotated:
    """What was done.

    Attributes:
        resealed: So many stored values are under the new seal key.
        broken: So many open with none of the keys, and stay as they are.
        signing: Whether the key that signs sessions is new too.
    """

    resealed: int
    broken: int
    signing: bool


def rotate(now: datetime) -> Rotated:
    """Put a new seal key and a new signing key first, and seal everything anew.

    Wherever it is cut off, the keys file holds what opens every value, and the command
    may be given again.

    Raises:
        Refused: A console runs, or a file cannot be written.
    """
    with _alone(now):
        keys = [sealing.new_key(), *_seal_keys()]
        _write(settings.NMS_SEAL_KEYS_FILE, keys)
        faults.reach("rotation.added")
        signing = _signing_keys()
        with transaction.atomic():
            resealed, broken = licensing.reseal_tokens(keys)
            _note("own_keys.rotated", now, resealed=resealed, signing_key=bool(signing))
            faults.reach("rotation.resealing")
        faults.reach("rotation.resealed")
        if signing:
            _write(_secret_file(), [secrets.token_urlsafe(48), *signing])
    return Rotated(resealed, broken, signing=bool(signing))


def drop_old(now: datetime) -> int:
    """Forget every key but the newest; return how many that were.

    Raises:
        Refused: A console runs, a file cannot be written, or an old key is needed.
    """
    with _alone(now):
        keys, signing = _seal_keys(), _signing_keys()
        if needed := licensing.sealed_otherwise(keys[0]):
            raise Refused(
                f"{needed} stored values are not sealed with the newest key, so the old"
                " ones stay. Run rotate_keys first. What it cannot open was sealed with"
                " a key that is not in the keys file: add that key at its end."
            )
        dropped = len(keys[1:]) + len(signing[1:])
        _note("own_keys.dropped", now, count=dropped)
        _write(settings.NMS_SEAL_KEYS_FILE, keys[:1])
        if signing:
            _write(_secret_file(), signing[:1])
    return dropped


@contextmanager
def _alone(now: datetime) -> Iterator[None]:
    """Refuse unless there is an installation that nothing runs on, and keep it so."""
    try:
        with serving.hold(settings.NMS_DATA_DIR):
            if not dumps.exists():
                raise Refused("There is no installation here. Start the console first.")
            refuse_unmigrated()
            refuse_running(now)
            yield
    except serving.AlreadyRunning as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}.") from error


def _seal_keys() -> list[str]:
    """Return the keys as they are now: a rotation may have ended since the start."""
    return settings.NMS_SEAL_KEYS_FILE.read_text().split()


def _signing_keys() -> list[str]:
    """Return the keys of our file; empty when NMS_SECRET_KEY is used instead."""
    kept = _secret_file()
    keys = kept.read_text().split() if kept.exists() else []
    return keys if settings.SECRET_KEY in keys else []


def _secret_file() -> Path:
    return Path(settings.NMS_DATA_DIR / archive.SECRET_KEY)


def _write(path: Path, keys: list[str]) -> None:
    """Write a keys file at once; whoever runs this, the console can read it still."""
    path = path.resolve()  # a link stays one
    archive.swap(path, "\n".join(keys) + "\n", like=path.stat())


def _note(action: str, now: datetime, **details: object) -> None:
    audit.record(action, now=now, actor=COMMAND_LINE, via=Via.COMMAND, details=details)
