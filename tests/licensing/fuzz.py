"""Forged licenses: signed raw parts. ``python -m fuzz`` makes them by the thousand."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from fuzz.licenses import CODES
from licensing import tokens
from licensing.errors import LicenseRejected
from tests import make

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
JKU = "https://product.apis.f5.com/ee/v1/keys/jwks"
HEADER = {"alg": "RS512", "typ": "JWT", "kid": "v1", "jku": JKU}


def raw(part: object) -> bytes:
    """Return a part as bytes; bytes stay as they are."""
    return part if isinstance(part, bytes) else json.dumps(part).encode()


def signed(header: object = None, payload: object = None, key: Any = None) -> str:
    """Return a token signed with RS512 over parts of any form."""
    parts = [HEADER if header is None else header]
    parts.append(make.claims(NOW) if payload is None else payload)
    body = make.parts(raw(part) for part in parts)
    signature = (key or make.private_key()).sign(
        body.encode(), padding.PKCS1v15(), hashes.SHA512()
    )
    return f"{body}.{make.parts([signature])}"


def header(**changes: object) -> str:
    """Return a license with other header members."""
    return signed({**HEADER, **changes})


def claims(**changes: object) -> str:
    """Return a license with other claims."""
    return signed(payload=make.claims(NOW) | changes)


def verify(token: str, jwks: object = None, **options: Any) -> tokens.LicenseClaims:
    """Verify with the vendor's key set, RS512 and the right address."""
    usual: dict[str, Any] = {"jku": JKU, "algorithms": ["RS512"], "now": NOW}
    keys: Any = make.jwks() if jwks is None else jwks
    return tokens.verify(token, keys, **(usual | options))


def outcome(token: str, jwks: object = None, **options: Any) -> str:
    """Return the code of the refusal, or ``taken``; any other error is a bug."""
    try:
        verify(token, jwks, **options)
    except LicenseRejected as error:
        refusal = error
    else:
        return "taken"
    said = refusal.sentence + refusal.expected + refusal.found
    assert refusal.code in CODES
    assert refusal.sentence.endswith(".")
    assert len(token) < 200 or token not in said
    assert said.isprintable()
    assert max(len(refusal.expected), len(refusal.found)) <= 100
    return refusal.code
