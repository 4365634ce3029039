"""Test keys, the same in every run, so that an input that was found fails again.

They are worked out from their names and worth nothing: nobody signs with them elsewhere.
"""

from __future__ import annotations

import base64
import math
import random
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

SMALL = [p for p in range(3, 1000) if all(p % q for q in range(2, math.isqrt(p) + 1))]
E = 65537


def b64(raw: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int) -> str:
    """Return a whole number as a JWK spells it."""
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


def _is_prime(candidate: int, source: random.Random) -> bool:
    if math.gcd(candidate, math.prod(SMALL)) != 1:
        return False
    odd, twos = candidate - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(8):
        power = pow(source.randrange(2, candidate - 1), odd, candidate)
        if power in (1, candidate - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % candidate
            if power == candidate - 1:
                break
        else:
            return False
    return True


def _plain(bits: int, source: random.Random) -> int:
    """Return a candidate with its two highest bits set."""
    return source.getrandbits(bits) | 3 << (bits - 2) | 1


def _roca(bits: int, source: random.Random) -> int:
    """Return a candidate of the form the broken chips made (CVE-2017-15361)."""
    base, count = math.prod([2, *SMALL[:125]]), 0
    while True:
        power = pow(E, source.randrange(1, 2**64), base)
        count = source.randrange(3 << (bits - 2), 1 << bits) // base
        if (count * base + power).bit_length() == bits:
            return count * base + power


@lru_cache
def rsa_key(name: str, bits: int = 2048, form: str = "plain") -> rsa.RSAPrivateKey:
    """Return the RSA key of a name; ``form`` is ``plain`` or ``roca``."""
    source = random.Random(f"nms-admin {name} {bits} {form}")
    candidate = _roca if form == "roca" else _plain
    primes: list[int] = []
    while len(primes) < 2:
        found = candidate(bits // 2, source)
        if found % E != 1 and _is_prime(found, source) and found not in primes:
            primes.append(found)
    p, q = primes
    d = pow(E, -1, (p - 1) * (q - 1))
    return rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=d % (p - 1),
        dmq1=d % (q - 1),
        iqmp=pow(q, -1, p),
        public_numbers=rsa.RSAPublicNumbers(E, p * q),
    ).private_key(unsafe_skip_rsa_key_validation=True)


@lru_cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key of a name."""
    secret = random.Random(f"nms-admin {name}").getrandbits(255)
    return ec.derive_private_key(secret, ec.SECP256R1())


def rsa_member(key: rsa.RSAPrivateKey, **members: Any) -> dict[str, Any]:
    """Return the public half as a member of a key set."""
    found = key.public_key().public_numbers()
    return {"kty": "RSA", "n": number(found.n), "e": number(found.e), **members}


def ec_member(key: ec.EllipticCurvePrivateKey, **members: Any) -> dict[str, Any]:
    """Return the public half as a member of a key set."""
    found = key.public_key().public_numbers()
    x, y = (b64(value.to_bytes(32)) for value in (found.x, found.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y, **members}


def rsa_signature(
    key: rsa.RSAPrivateKey, content: bytes, hasher: hashes.HashAlgorithm
) -> bytes:
    """Sign as RS256 and RS512 do."""
    return key.sign(content, padding.PKCS1v15(), hasher)


def ec_signature(key: ec.EllipticCurvePrivateKey, content: bytes) -> bytes:
    """Sign as ES256 does, the same each time (RFC 6979)."""
    scheme = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    r, s = decode_dss_signature(key.sign(content, scheme))
    return r.to_bytes(32) + s.to_bytes(32)


def ec_holds(key: ec.EllipticCurvePublicKey, content: bytes, signature: bytes) -> bool:
    """Return whether an ES256 signature is the key's."""
    if len(signature) != 64:
        return False
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
    try:
        key.verify(encode_dss_signature(r, s), content, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
