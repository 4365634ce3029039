"""The vendor's public keys: those of a file, and the last good set that was fetched.

Nothing is fetched here: a request reads what is on this server. A key of the file wins
over one of the same name that was fetched; the vendor's set counts as long as it names
the key, and only while NMS_JWKS_URL is the address it came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
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


@dataclass(frozen=True)
class Held:
    """What is on this server of the vendor's keys, read at once.

    ``last`` says how fetching stands; it is an empty row when it was never tried.
    """

    file: KeySet
    last: FetchedKeys

    @cached_property
    def key_set(self) -> KeySet:
        """Return every key: the file's, then those that were fetched."""
        fetched = self._fetched()
        if fetched is None:
            return self.file
        own = self.file.jwks["keys"] if self.file.jwks else []
        names = {key["kid"] for key in own}
        others = [key for key in fetched["keys"] if key["kid"] not in names]
        return KeySet({"keys": [*own, *others]})

    @cached_property
    def listed(self) -> list[Key]:
        """Return every key by its name, the file's first."""
        names = {key["kid"] for key in (self.file.jwks or {"keys": []})["keys"]}
        found = self.key_set.jwks or {"keys": []}
        return [
            Key(key["kid"], key["kid"] in names, jwks.ends_at(key))
            for key in found["keys"]
        ]

    def _fetched(self) -> dict[str, Any] | None:
        """Return the last good set, while it is of NMS_JWKS_URL; None without one."""
        if self.last.url != settings.NMS_JWKS_URL:
            return None
        return jwks.read(self.last.content.encode())


def held() -> Held:
    """Return the keys as they are now, so that a new file counts at once."""
    return Held(file_set(), last_try())


def key_set() -> KeySet:
    """Return every key at hand now."""
    return held().key_set


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


def last_try() -> FetchedKeys:
    """Return how fetching stands; an empty row when it was never tried."""
    return FetchedKeys.objects.filter(pk=1).first() or FetchedKeys(pk=1)


def ask(now: datetime) -> None:
    """Note that a license named a key that is not known: newer ones are asked for."""
    FetchedKeys.objects.update_or_create(pk=1, defaults={"asked_at": now})
