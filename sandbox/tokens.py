"""The sandbox's key, and the licenses it signs.

``cryptography`` and ``jwt`` are imported where they are used, so that the
serving process, which only hands out the public key, stays small.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

KID = "v1"
ALGORITHM = "RS512"
DAY = 86_400


def jwks_file(data: Path) -> Path:
    """Return where the public key set of a data folder lies."""
    return data / "jwks.json"


def make_keys(data: Path) -> Path:
    """Make the RSA key and its JWKS file unless they exist; return the JWKS file.

    Two processes may do this at once: the key of the first to finish stays, and
    both write the same key set from it.
    """
    if not jwks_file(data).exists():
        data.mkdir(parents=True, exist_ok=True)
        if not (data / "key.pem").exists():
            _write_new_key(data / "key.pem")
        _write_jwks(data)
    return jwks_file(data)


def make_keys_elsewhere(data: Path) -> Path:
    """Make the keys in a process of their own, so that this one stays small."""
    if not jwks_file(data).exists():
        command = [sys.executable, "-m", "sandbox", "keys", "--data", str(data)]
        subprocess.run(  # noqa: S603 - our own program, no shell
            command,
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=Path(__file__).resolve().parent.parent,
        )
    return jwks_file(data)


def load_key(data: Path) -> RSAPrivateKey:
    """Return the private key of a data folder."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key((data / "key.pem").read_bytes(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError(f"{data / 'key.pem'} is not an RSA key.")
    return key


def issue_license(
    data: Path,
    *,
    order_type: str = "paid",
    days: int = 365,
    subscription: str | None = None,
    port: int = 8001,
    issued_days_ago: int = 0,
) -> str:
    """Return a license token in the vendor's shape, signed by this sandbox.

    Args:
        data: The sandbox's data folder; keys are made when missing.
        order_type: ``f5_order_type``: "paid" or "eval".
        days: Days from now to the end of the subscription; negative = ended.
        subscription: The subject; by default "SBX-" and eight random digits.
        port: The vendor port named in the header's ``jku``.
        issued_days_ago: How far back ``iat`` lies; negative = in the future.
    """
    import jwt

    make_keys(data)
    now = int(time.time())
    claims = {
        "sub": subscription or f"SBX-{secrets.randbelow(10**8):08d}",
        "iat": now - issued_days_ago * DAY,
        "iss": "F5 Inc.",
        "aud": "urn:f5:teem",
        "jti": str(uuid.uuid4()),
        "f5_order_type": order_type,
        "f5_sat": now + days * DAY,
    }
    jku = f"http://localhost:{port}/ee/v1/keys/jwks"
    headers = {"kid": KID, "jku": jku}
    return jwt.encode(claims, load_key(data), algorithm=ALGORITHM, headers=headers)


def _write_new_key(path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    mine = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    descriptor = os.open(mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(mine)  # unlike a rename it never replaces a key
    finally:
        mine.unlink()


def _write_jwks(data: Path) -> None:
    from jwt.algorithms import RSAAlgorithm

    public = RSAAlgorithm.to_jwk(load_key(data).public_key(), as_dict=True)
    key = {
        "kty": "RSA",
        "kid": KID,
        "use": "sig",
        "alg": ALGORITHM,
        "n": public["n"],
        "e": public["e"],
    }
    path = jwks_file(data)
    mine = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    mine.write_text(json.dumps({"keys": [key]}, separators=(",", ":")) + "\n")
    mine.replace(path)
