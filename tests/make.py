"""Builders with honest defaults."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings

from common.models import Via
from licensing import services
from licensing.models import License

SUBSCRIPTION = "SBX-00198432"


@lru_cache
def private_key(name: str = "vendor", bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a key made once a run; another name is another key."""
    _ = name
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def jwks(key: rsa.RSAPrivateKey | None = None, **members: Any) -> dict[str, Any]:
    """Return a key set of one key, ``v1``."""
    public = (key or private_key()).public_key()
    member = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(public))
    del member["key_ops"]
    return {"keys": [{**member, "kid": "v1", "use": "sig", "alg": "RS512", **members}]}


def keys_file(content: object | None = None) -> Path:
    """Write the key set where the settings expect it, and return the file."""
    path = Path(settings.NMS_JWKS_FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(jwks() if content is None else content))
    return path


def claims(now: datetime, days: int = 365, **changes: Any) -> dict[str, Any]:
    """Return the claims of a paid license that ends in ``days``; None removes one."""
    found = {
        "sub": SUBSCRIPTION,
        "iat": int(now.timestamp()) - 86_400,
        "iss": "F5 Inc.",
        "aud": "urn:f5:teem",
        "jti": "0b5f3a52-6f0e-4b0e-9b44-0d9a4c8a5c11",
        "f5_order_type": "paid",
        "f5_sat": int((now + timedelta(days=days)).timestamp()),
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


def token(
    now: datetime,
    days: int = 365,
    *,
    key: rsa.RSAPrivateKey | None = None,
    header: dict[str, Any] | None = None,
    **changes: Any,
) -> str:
    """Return a signed license; ``header`` members replace the usual ones."""
    named = {
        "alg": "RS512",
        "typ": "JWT",
        "kid": "v1",
        "jku": settings.NMS_JWKS_URL,
        **(header or {}),
    }
    return jwt.encode(
        claims(now, days, **changes),
        key or private_key(),
        algorithm=str(named["alg"]),
        headers=named,
    )


def parts(raw: Iterable[bytes]) -> str:
    """Return raw parts joined as a token's."""
    return ".".join(
        base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in raw
    )


def license(now: datetime, days: int = 365, **changes: Any) -> License:  # noqa: A001
    """Apply a license that was checked against the key file, and return it."""
    keys_file()
    return services.apply_license(
        content=token(now, days, **changes).encode(),
        by="ada",
        via=Via.SETTINGS,
        now=now,
        replace=True,
    )
