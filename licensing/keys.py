"""The vendor's public keys: a local set, never fetched in a request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

MOST_BYTES = 64 * 1024
MOST_KEYS = 16


@dataclass(frozen=True)
class KeySet:
    """The keys, or None and why there are none."""

    jwks: dict[str, Any] | None
    problem: str = ""


def key_set() -> KeySet:
    """Read NMS_JWKS_FILE now, so that a new file counts at once."""
    if not settings.NMS_JWKS_FILE:
        return KeySet(None, "NMS_JWKS_FILE is not set")
    try:
        content = Path(settings.NMS_JWKS_FILE).read_bytes()[: MOST_BYTES + 1]
    except OSError as error:
        return KeySet(
            None, f"the file of NMS_JWKS_FILE cannot be read: {error.strerror}"
        )
    try:
        jwks = json.loads(content) if len(content) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        jwks = None
    if not isinstance(jwks, dict) or not _is_usable(jwks.get("keys")):
        return KeySet(None, "the file of NMS_JWKS_FILE holds no key set we can use")
    return KeySet(jwks)


def _is_usable(keys: object) -> bool:
    """Return whether these are 1 to 16 RSA or EC keys, each with a name of its own.

    Source:
        security.md, S8
    """
    if not isinstance(keys, list) or not 0 < len(keys) <= MOST_KEYS:
        return False
    if not all(isinstance(key, dict) for key in keys):
        return False
    names = {key["kid"] for key in keys if isinstance(key.get("kid"), str)}
    return len(names) == len(keys) and all(
        key.get("kty") in ("RSA", "EC") for key in keys
    )
