"""choices.json: the newest decisions, kept beside the database.

A restored backup brings old decisions back. This file tells that they are old, so
that an opt-out survives the restore. It takes plain values and knows no app.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import connection

from common.models import Decision, Via

CONNECTION = "continuous-connection"
INTERACTION_DATA = "interaction-data"
_SEALED = "sealed_until"
_POLICY = "policy"

log = structlog.get_logger()
_written: dict[tuple[Path, str], object] = {}  # spares a process the same write


class Unreadable(Exception):
    """choices.json is there and does not hold what we write into it."""


def remember(name: str, number: int, value: bool) -> None:
    """Write a decision into the file when it is newer than the one there.

    Nothing happens inside a transaction: what is not committed may never be. A file
    that cannot be written is logged; the decision in the database stands.

    Args:
        name: ``CONNECTION`` or ``INTERACTION_DATA``.
        number: Counts up with every decision; 0 means there is none.
        value: What was decided.
    """
    if number and not connection.in_atomic_block:
        _write({name: {"number": number, "value": value}})


def remember_sealed(until: datetime, **numbers: int) -> None:
    """Write the time up to which events and usage were sealed, when it is later.

    Args:
        numbers: How many there are by now: ``batches`` or ``reports``.
    """
    if not connection.in_atomic_block:
        _write({_SEALED: until.astimezone(UTC).isoformat(), **numbers})


def is_behind(name: str, number: int) -> bool:
    """Return whether more was sealed than the database knows of: it was restored.

    Args:
        name: ``batches`` or ``reports``.
        number: How many the database knows of.
    """
    try:
        kept = _read().get(name)
    except Unreadable:
        return False  # nothing is known of what was sealed
    return isinstance(kept, int) and kept > number


def start_again(**numbers: int) -> None:
    """Count from what the database says: what it does not know of was dealt with."""
    _write(numbers, newer=False)


def is_there() -> bool:
    """Return whether this host has the file, whatever it holds."""
    return where().exists()


def distrust(known: Mapping[str, int], until: datetime) -> None:
    """Make a database count as restored, because what came after it is not known.

    At the next start both choices are off and nothing of before ``until`` is sent.

    Args:
        known: What the database knows of: the number of its newest decision by
            ``CONNECTION`` and ``INTERACTION_DATA``, its ``batches`` and ``reports``.
        until: Up to when something may have been sealed that it does not know of.

    Raises:
        OSError: The file cannot be written.
    """
    with _alone(path := where()):
        try:
            content = _read()
        except Unreadable:
            content = {}
        for name in (CONNECTION, INTERACTION_DATA):
            number = max(known.get(name, 0), _number(content.get(name)))
            content[name] = {"number": number + 1, "value": False}
        for name in ("batches", "reports"):
            content[name] = max(known.get(name, 0), _number(content.get(name))) + 1
        content[_SEALED] = until.astimezone(UTC).isoformat()
        _replace(path, content)


def load() -> dict[str, tuple[int, bool]]:
    """Return ``{name: (number, value)}`` of the decisions in the file.

    Raises:
        Unreadable: The file is there but damaged.
    """
    content = _read()
    try:
        return {
            name: (int(content[name]["number"]), bool(content[name]["value"]))
            for name in (CONNECTION, INTERACTION_DATA)
            if name in content
        }
    except (TypeError, KeyError, ValueError) as error:
        raise Unreadable(str(error)) from error


def sealed_until() -> datetime | None:
    """Return the time up to which events and usage were sealed; None when unknown.

    Raises:
        Unreadable: The file is there but damaged.
    """
    text = _read().get(_SEALED)
    try:
        return datetime.fromisoformat(text) if text else None
    except (TypeError, ValueError) as error:
        raise Unreadable(str(error)) from error


def origin(decision: Decision | None) -> str:
    """Return who decided, when and through what; that nobody did for None."""
    if decision is None:
        return "the rule without an answer"
    at = decision.decided_at.astimezone(UTC)
    why = f": {decision.reason}" if decision.reason else ""
    via = Via(decision.via).label
    return f"{decision.decided_by}, {at.day} {at:%b %Y, %H:%M} UTC, from {via}{why}"


def obeyed(name: str) -> str:
    """Return what this host's policy file said when it was last obeyed; "" at first.

    Raises:
        Unreadable: The file is there but damaged.
    """
    kept = _read().get(_POLICY)
    return str(kept.get(name, "")) if isinstance(kept, dict) else ""


def remember_obeyed(name: str, says: str) -> bool:
    """Write what the policy file says into the file; say whether it could be written."""
    path = where()
    try:
        with _alone(path):
            content = _read()
            kept = content.get(_POLICY)
            said = dict(kept) if isinstance(kept, dict) else {}
            _replace(path, content | {_POLICY: said | {name: says}})
    except (OSError, Unreadable) as error:
        log.warning("choices.unwritten", path=str(path), error=str(error))
        return False
    return True


def is_older(name: str, number: int, value: bool | None) -> bool:
    """Return whether the database's newest decision is older than the file's.

    The same number with another value is older too, and so is everything beside a
    damaged file: what cannot be read cannot allow anything.

    Args:
        name: ``CONNECTION`` or ``INTERACTION_DATA``.
        number: The newest decision's number in the database; 0 when there is none.
        value: What it says; None when there is none.
    """
    try:
        kept = load().get(name)
    except Unreadable:
        return True
    return kept is not None and (
        number < kept[0] or (number == kept[0] and value != kept[1])
    )


def next_number(name: str, number: int) -> int:
    """Return the number after ``number`` and after the one in the file."""
    try:
        kept = load().get(name, (0, False))[0]
    except Unreadable:
        kept = 0
    return max(kept, number) + 1


def where() -> Path:
    """Return where this host keeps the file."""
    return Path(settings.NMS_DATA_DIR) / "choices.json"


def _read() -> dict[str, Any]:
    try:
        content = json.loads(where().read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Unreadable(str(error)) from error
    if not isinstance(content, dict):
        raise Unreadable("choices.json holds no object")
    return content


def _write(values: dict[str, Any], *, newer: bool = True) -> None:
    """Replace members of the file; ``newer``: only older ones."""
    path = where()
    if all(_written.get((path, name)) == value for name, value in values.items()):
        return
    try:
        with _alone(path):
            try:
                content = _read()
            except Unreadable:
                content = {}
            changed = {
                name: value
                for name, value in values.items()
                if not newer or _newer(value, content.get(name))
            }
            if changed:
                _replace(path, content | changed)
        _written.update({(path, name): value for name, value in values.items()})
    except OSError as error:
        log.warning("choices.unwritten", path=str(path), error=str(error))


def _newer(value: Any, kept: Any) -> bool:
    try:
        if isinstance(value, dict):
            return bool(value["number"] > kept["number"])
        return bool(value > kept)
    except (TypeError, KeyError):
        return True  # nothing was kept, or nothing that can be read


def _number(kept: Any) -> int:
    """Return the number of a member of the file; 0 when it has none."""
    found = kept.get("number") if isinstance(kept, dict) else kept
    return found if isinstance(found, int) else 0


def _replace(path: Path, content: dict[str, Any]) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other process of this host writes the file."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
