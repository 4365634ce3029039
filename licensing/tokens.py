"""License text + keys -> claims, or one error that names the failing check.

Pure: no network, no files, no Django. The only importer of ``jwt``. A strict reader
stands before PyJWT, which takes more than a license may be (padded base64, duplicate
members, weak keys, strings as numbers).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from common.strict import json_object
from licensing.errors import LicenseRejected
from licensing.strength import SMALLEST_BITS, weakness

LONGEST = 16 * 1024
ISSUER = "F5 Inc."
AUDIENCE = "urn:f5:teem"
LEEWAY = timedelta(seconds=300)
LATEST = 32_503_680_000  # the year 3000, in seconds
_PART = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = {"alg", "typ", "kid", "jku"}
_KEY_TYPES = {"RS512": "RSA", "RS256": "RSA", "ES256": "EC"}
_SECRET = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


@dataclass(frozen=True, kw_only=True)
class LicenseClaims:
    """What a license says, checked. Moments are UTC."""

    subscription_id: str
    token_id: str
    order_type: str  # "paid", "eval" or whatever the vendor wrote; "" when absent
    issued_at: datetime
    not_before: datetime | None  # set when the license starts later than now
    ends_at: datetime | None  # the end of the subscription; None when not stated


def verify(
    token: str,
    jwks: Mapping[str, Any],
    *,
    jku: str,
    algorithms: Collection[str],
    now: datetime,
) -> LicenseClaims:
    """Check form, header, signature and claims of a license and return its claims.

    Args:
        token: The text of the license, without surrounding white space.
        jwks: A JSON Web Key Set; its keys are chosen by ``kid`` alone.
        jku: The one address a license may name as the place of its keys.
        algorithms: Those allowed, of RS512, RS256 and ES256.
        now: With a time zone; decides only whether the license starts later.

    Raises:
        LicenseRejected: With the code of the first check that failed: ``too_large``,
            ``not_a_token``, ``header``, ``algorithm``, ``wrong_jku``, ``unknown_key``,
            ``weak_key``, ``signature``, ``issuer``, ``audience`` or ``claims``.
    """
    header, payload = read(token)
    _check_header(header, jku, algorithms)
    key = _key(jwks, str(header["kid"]), str(header["alg"]))
    try:
        jwt.PyJWS().decode(token, key=key, algorithms=[str(header["alg"])])
    except (jwt.PyJWTError, ValueError, TypeError):
        _reject(
            "signature",
            "The signature is not valid: the file was changed, or it was not signed by"
            " F5. Download it again from MyF5 and do not open it in a text editor.",
            expected=f"signed with key {str(header['kid'])[:40]}",
            found="another signature",
        )
    return _claims(payload, now)


def peek(token: str, *, now: datetime) -> LicenseClaims:
    """Return the claims without checking the signature, form and claims checked.

    For a license that waits for the vendor's keys; raises as ``verify``.
    """
    return _claims(read(token)[1], now)


def check_header(token: str, *, jku: str, algorithms: Collection[str]) -> None:
    """Check what can be checked without keys; raises as ``verify``."""
    _check_header(read(token)[0], jku, algorithms)


def signs(
    signature: str, content: bytes, jwks: Mapping[str, Any], algorithms: Collection[str]
) -> bool:
    """Return whether a detached JWS is one of the vendor's over exactly ``content``.

    Args:
        signature: ``<header>..<signature>``; the header may hold alg, kid and typ.
        jwks: A JSON Web Key Set; its keys are chosen by ``kid`` alone.
        algorithms: Those allowed, of RS512, RS256 and ES256.

    Source:
        RFC 7515, appendix F
    """
    parts = signature.split(".")
    if len(parts) != 3 or parts[1] or not all(map(_PART.fullmatch, parts[::2])):
        return False
    parts[1] = base64.urlsafe_b64encode(content).rstrip(b"=").decode()
    try:
        header = _json(_decode(parts[0]), "header")
        alg, kid = header.get("alg"), header.get("kid")
        if set(header) - {"alg", "kid", "typ"} or not is_name(kid):
            return False
        if not isinstance(alg, str) or alg not in algorithms or alg not in _KEY_TYPES:
            return False
        key = _key(jwks, str(kid), alg)
        jwt.PyJWS().decode(".".join(parts), key=key, algorithms=[alg])
    except (LicenseRejected, jwt.PyJWTError, ValueError, TypeError):
        return False
    return True


def read(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and payload of a token, strictly read and not yet trusted."""
    if len(token) > LONGEST:
        _reject(
            "too_large",
            "This is too long for a license. Choose the .jwt file from MyF5.",
            expected=f"at most {LONGEST // 1024} KB",
            found=f"{len(token) // 1024} KB",
        )
    parts = token.split(".")
    if len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts):
        _reject(
            "not_a_token",
            "This is not a license file. Choose the .jwt file from MyF5.",
            expected="three parts of letters and digits, separated by dots",
            found=f"{len(parts)} part{'s' if len(parts) != 1 else ''}",
        )
    raw = [_decode(part) for part in parts]
    return _json(raw[0], "header"), _json(raw[1], "claims")


def is_name(value: object) -> bool:
    """Return whether this is 1 to 200 printable characters without space around."""
    return (
        isinstance(value, str)
        and 0 < len(value.strip()) == len(value) <= 200
        and value.isprintable()
    )


def _reject(
    code: str, sentence: str, *, expected: str = "", found: str = ""
) -> NoReturn:
    raise LicenseRejected(
        code, sentence, expected=_printable(expected), found=_printable(found)
    )


def _decode(part: str) -> bytes:
    """Decode one part; only the one canonical spelling is taken."""
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != part:
        _reject(
            "not_a_token",
            "The file is damaged: one of its parts is not base64url. Download it again"
            " from MyF5.",
            expected="three parts in base64url",
            found="a damaged part",
        )
    return raw


def _json(raw: bytes, code: str) -> dict[str, Any]:
    value = json_object(raw)
    if value is None:
        _reject(
            code,
            f"The {code} of this license cannot be read. Download it again from MyF5.",
            expected="one JSON object without repeated members",
        )
    return value


def _check_header(
    header: Mapping[str, Any], jku: str, algorithms: Collection[str]
) -> None:
    unknown = set(header) - _HEADER
    if unknown or header.get("typ") != "JWT" or not is_name(header.get("kid")):
        _reject(
            "header",
            "This is not a license of F5: its header has another form.",
            expected="alg, typ JWT, kid and jku only",
            found=", ".join(sorted(header))[:100],
        )
    alg = header.get("alg")
    if not isinstance(alg, str) or alg not in algorithms or alg not in _KEY_TYPES:
        _reject(
            "algorithm",
            "The license is signed in a way this server does not take"
            " (NMS_JWT_ALGORITHMS).",
            expected=" or ".join(sorted(algorithms)),
            found=_shown(alg),
        )
    if header.get("jku") != jku:
        _reject(
            "wrong_jku",
            "This license was issued for another environment. Use the one from MyF5, or"
            " set NMS_JWKS_URL if your keys come from elsewhere.",
            expected=jku,
            found=_shown(header.get("jku")),
        )


def _key(jwks: Mapping[str, Any], kid: str, algorithm: str) -> Any:
    keys = jwks.get("keys")
    members = keys if isinstance(keys, list) else []
    fitting = [
        member
        for member in members
        if isinstance(member, dict) and member.get("kid") == kid
    ]
    if len(fitting) != 1:
        known = [_shown(m.get("kid")) for m in members[:16] if isinstance(m, dict)]
        _reject(
            "unknown_key",
            f"Key {kid[:40]} is not known here. Set NMS_JWKS_FILE to a newer key file, or"
            " let this server reach NMS_JWKS_URL and add the license again.",
            expected=", ".join(known)[:100] or "no key",
            found=kid[:100],
        )
    member = fitting[0]
    operations = member.get("key_ops", ["verify"])
    usable = (
        member.get("kty") == _KEY_TYPES[algorithm]
        and member.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and member.get("alg", algorithm) == algorithm
        and not _SECRET & set(member)  # PyJWT would search for factors from "d"
    )
    try:
        key = jwt.PyJWK(member, algorithm=algorithm).key if usable else None
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        key = None
    if isinstance(key, RSAPublicKey):
        numbers = key.public_numbers()
        strong = not weakness(numbers.n, numbers.e)
    else:
        strong = (
            isinstance(key, EllipticCurvePublicKey) and key.curve.name == "secp256r1"
        )
    if not strong:
        _reject(
            "weak_key",
            f"Key {kid[:40]} must not be used for {algorithm}.",
            expected=f"a public signing key of {SMALLEST_BITS} bits or more",
        )
    return key


def _claims(payload: Mapping[str, Any], now: datetime) -> LicenseClaims:
    if payload.get("iss") != ISSUER:
        _reject(
            "issuer",
            "This token was not issued by F5. Use the JSON Web Token from MyF5.",
            expected=ISSUER,
            found=_shown(payload.get("iss")),
        )
    if payload.get("aud") not in (AUDIENCE, [AUDIENCE]):
        _reject(
            "audience",
            "This token is for another service. Use the JSON Web Token from your NGINX"
            " subscription.",
            expected=AUDIENCE,
            found=_shown(payload.get("aud")),
        )
    issued = _moment(payload, "iat")
    starts = max(issued, _optional(payload, "nbf") or issued)
    ends = [_optional(payload, "f5_sat"), _optional(payload, "exp")]
    return LicenseClaims(
        subscription_id=_name(payload, "sub", required=True),
        token_id=_name(payload, "jti"),
        order_type=_name(payload, "f5_order_type").lower(),
        issued_at=issued,
        not_before=starts if starts > now + LEEWAY else None,
        ends_at=min((end for end in ends if end), default=None),
    )


def _optional(payload: Mapping[str, Any], name: str) -> datetime | None:
    return _moment(payload, name) if name in payload else None


def _moment(payload: Mapping[str, Any], name: str) -> datetime:
    value = payload.get(name)
    if type(value) is not int or not 0 < value < LATEST:
        _reject(
            "claims",
            f"The license states no usable time in “{name}”. Ask F5 for a new one.",
            expected="seconds since 1970, a whole number",
            found=_shown(value),
        )
    return datetime.fromtimestamp(value, UTC)


def _name(payload: Mapping[str, Any], name: str, *, required: bool = False) -> str:
    value = payload.get(name)
    if not required and name not in payload:
        return ""
    if not is_name(value):
        _reject(
            "claims",
            f"The license states no usable text in “{name}”. Ask F5 for a new one.",
            expected="1 to 200 printable characters",
            found=_shown(value),
        )
    return str(value)


def _shown(value: object) -> str:
    """Return a value as it may be shown: short."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a list" if isinstance(value, list) else "an object"
    return value[:100] if isinstance(value, str) else json.dumps(value)[:100]


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
