"""The vendor's public keys: those of a file, and the last good set that was fetched.

Nothing is fetched here: a request reads what is on this server. A key of the file wins
over one of the same name that was fetched; the vendor's set counts as long as it names
the key, and only while NMS_JWKS_URL is the address it came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from licensing import jwks
from licensing.jwks import MOST_BYTES
from licensing.models import FetchedKeys


@dataclass(frozen=True)
class KeySet:
    """The keys, or None and why there are none."""

    jwks: dict[str, Any] | None
    problem: str = ""


@dataclass(frozen=True)
class Key:
    """One key by its name: whether it is the file's, and when its certificate ends."""

    name: str
    from_file: bool
    ends_at: datetime | None


def key_set() -> KeySet:
    """Return every key at hand now, so that a new file counts at once."""
    file, fetched = file_set(), fetched_set()
    if fetched is None:
        return file
    own = file.jwks["keys"] if file.jwks else []
    names = {key["kid"] for key in own}
    others = [key for key in fetched["keys"] if key["kid"] not in names]
    return KeySet({"keys": [*own, *others]})


def file_set() -> KeySet:
    """Return the keys of NMS_JWKS_FILE alone."""
    if not settings.NMS_JWKS_FILE:
        return KeySet(None, "NMS_JWKS_FILE is not set")
    try:
        with Path(settings.NMS_JWKS_FILE).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        return KeySet(
            None, f"the file of NMS_JWKS_FILE cannot be read: {error.strerror}"
        )
    found = jwks.read(content)
    if found is None:
        return KeySet(None, "the file of NMS_JWKS_FILE holds no key set we can use")
    return KeySet(found)


def fetched_set() -> dict[str, Any] | None:
    """Return the last good set that came from NMS_JWKS_URL; None when none did."""
    row = FetchedKeys.objects.filter(pk=1, url=settings.NMS_JWKS_URL).first()
    return jwks.read(row.content.encode()) if row else None


def last_try() -> FetchedKeys:
    """Return how fetching stands; an empty row when it was never tried."""
    return FetchedKeys.objects.filter(pk=1).first() or FetchedKeys(pk=1)


def listed() -> list[Key]:
    """Return the keys at hand, the file's first."""
    own = file_set().jwks or {"keys": []}
    names = {key["kid"] for key in own["keys"]}
    found = key_set().jwks or {"keys": []}
    return [
        Key(key["kid"], key["kid"] in names, jwks.ends_at(key)) for key in found["keys"]
    ]


def ask(now: datetime) -> None:
    """Note that a license named a key that is not known: newer ones are asked for."""
    FetchedKeys.objects.update_or_create(pk=1, defaults={"asked_at": now})
