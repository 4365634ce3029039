"""A key set as it came -> its keys, or why it must not be used. Pure.

A set from the network replaces the last good one only when all of it is in order; one
from a file is the operator's own word, so there only its form is checked.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography import x509

from common.strict import json_object
from licensing.strength import weakness

MOST_BYTES = 64 * 1024
MOST_KEYS = 16
_SECRET = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def read(content: bytes) -> dict[str, Any] | None:
    """Return a set of 1 to 16 RSA or EC keys, each with a name of its own; else None.

    Source:
        security.md, S8
    """
    if len(content) > MOST_BYTES:
        return None
    jwks = json_object(content, json.detect_encoding(content))
    keys = jwks.get("keys") if jwks else None
    if not isinstance(keys, list) or not 0 < len(keys) <= MOST_KEYS:
        return None
    if not all(isinstance(key, dict) for key in keys):
        return None
    names = {key["kid"] for key in keys if _is_name(key.get("kid"))}
    if len(names) != len(keys) or any(
        key.get("kty") not in ("RSA", "EC") for key in keys
    ):
        return None
    return {"keys": keys}


def fault(jwks: Mapping[str, Any]) -> str:
    """Return why a set that was fetched must not replace another; empty when it may."""
    for key in jwks["keys"]:
        if _SECRET & set(key):
            return f"key {key['kid']} is a private key"
        weak = key["kty"] == "RSA" and weakness(
            _number(key.get("n")), _number(key.get("e"))
        )
        if weak:
            return f"key {key['kid']} {weak}"
    if not any(_signs(key) for key in jwks["keys"]):
        return "none of its keys is for signatures"
    return ""


def ends_at(key: Mapping[str, Any]) -> datetime | None:
    """Return when the certificate of a key ends; None when it has none we can read."""
    try:
        der = base64.b64decode(key["x5c"][0], validate=True)
        return x509.load_der_x509_certificate(der).not_valid_after_utc
    except (LookupError, TypeError, ValueError):
        return None


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable()


def _number(text: object) -> int:
    """Return a base64url number; 0 when it is none."""
    try:
        said = text if isinstance(text, str) else ""
        raw = base64.urlsafe_b64decode(said + "=" * (-len(said) % 4))
    except ValueError:
        return 0
    return int.from_bytes(raw)


def _signs(key: Mapping[str, Any]) -> bool:
    right = key["kty"] == "RSA" or key.get("crv") == "P-256"
    return right and key.get("use", "sig") == "sig"
