"""The vendor's public keys: a local set, never fetched in a request."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

MOST_BYTES = 64 * 1024


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
    keys = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(jwks, dict) or not isinstance(keys, list) or not keys:
        return KeySet(None, "the file of NMS_JWKS_FILE holds no key set")
    return KeySet(jwks)
