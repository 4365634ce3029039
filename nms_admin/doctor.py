"""What this installation needs, found out on this host: for ``manage.py doctor``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.checks import run_checks
from django.db import DatabaseError, connection
from django.utils import timezone

from common import setup, tasks
from common.templatetags.nms import byte_size
from egress import destinations, probes
from egress.destinations import Target
from egress.probes import Step
from licensing import keys, refresh
from licensing import services as licensing
from licensing.models import FetchedKeys
from nms_admin import license_keys
from nms_admin.checks import TAG

LITTLE, NEARLY_NONE = 1024**3, 100 * 1024**2


@dataclass(frozen=True)
class Fact:
    """One thing that was looked at; ``state`` is passed, warning or failed."""

    name: str
    state: str
    found: str


def local() -> Iterator[Fact]:
    """Yield what can be said without connecting to the vendor."""
    yield from _settings()
    yield _database()
    yield _broker()
    yield from _keys()
    yield _disk()


def mode() -> str:
    """Return the operation mode; empty while the database cannot say it."""
    try:
        return setup.operation_mode()
    except DatabaseError:
        return str(settings.NMS_OPERATION_MODE)


def vendor(clock: Callable[[], datetime]) -> Iterator[tuple[Target, Step]]:
    """Check every target and yield its steps as they end."""
    for target in destinations.targets():
        for step in probes.check(target, clock=clock):
            yield target, step


def _settings() -> Iterator[Fact]:
    found = run_checks(tags=[TAG])
    for one in found:
        state = "failed" if one.is_serious() else "warning"
        yield Fact("settings", state, f"{one.msg} {one.hint or ''}".strip())
    if not found:
        yield Fact("settings", "passed", "they fit together")


def _database() -> Fact:
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        return Fact("database", "failed", f"not reached ({type(error).__name__})")
    return Fact("database", "passed", f"{connection.display_name} answers")


def _broker() -> Fact:
    if tasks.broker_answers():
        return Fact("broker", "passed", "answers")
    said = "not reached: nothing is lost, work waits for the next sweep"
    return Fact("broker", "failed", said)


def _keys() -> Iterator[Fact]:
    try:
        held = keys.held()
        missing = refresh.missing(licensing.current(), held)
    except DatabaseError:
        held, missing = keys.Held(keys.file_set(), FetchedKeys()), ""
    found, last = held.key_set, held.last
    ending = license_keys.story(held, timezone.now())
    if found.problem:
        yield Fact("license keys", "warning", found.problem)
    else:
        names = ", ".join(key["kid"] for key in (found.jwks or {})["keys"])
        file = settings.NMS_JWKS_FILE if held.file.jwks else ""
        fetched = (
            f"{settings.NMS_JWKS_URL} on {last.fetched_at:%Y-%m-%d}"
            if last.fetched_at
            else ""
        )
        places = " and ".join(place for place in (file, fetched) if place)
        yield Fact("license keys", "passed", f"{names} from {places}")
    if missing:
        said = f"the license names key {missing}, which is not here"
        yield Fact("license keys", "warning", said)
    if last.error:
        yield Fact("license keys", "warning", f"not fetched: {last.error}")
    if ending:
        yield Fact("license keys", "warning", f"{ending.title}. {ending.body}")


def _disk() -> Fact:
    free = shutil.disk_usage(settings.NMS_DATA_DIR).free
    state = "passed" if free >= LITTLE else "warning"
    state = "failed" if free < NEARLY_NONE else state
    return Fact("disk", state, f"{byte_size(free)} free in {settings.NMS_DATA_DIR}")
