"""Licenses and key sets for ``verify``, and what must hold of each that is taken."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from fuzz import keys, texts
from fuzz.choosing import Choices, Spelled, pick
from licensing import jwks as key_sets
from licensing import reading, tokens
from licensing.errors import LicenseRejected

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
JKU = "https://product.apis.f5.com/ee/v1/keys/jwks"
ALGORITHMS = ["RS512", "ES256"]
CODES = {
    *("too_large", "not_a_token", "header", "algorithm", "wrong_jku", "unknown_key"),
    *("weak_key", "signature", "issuer", "audience", "claims"),
}
_LETTERS = (ascii_uppercase + ascii_lowercase + digits + "-_").encode()
HEADER = {"alg": "ES256", "typ": "JWT", "kid": "curve", "jku": JKU}
CLAIMS = {
    "sub": "SBX-00198432",
    "iat": 1_795_000_000,
    "iss": "F5 Inc.",
    "aud": "urn:f5:teem",
    "jti": "0b5f3a52-6f0e-4b0e-9b44-0d9a4c8a5c11",
    "f5_order_type": "paid",
    "f5_sat": 1_830_000_000,
}
_OTHER_HEADERS = [
    *("crit", "b64", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "zip", "cty", "enc", ""),
    *("ALG", "kid\0", "exp"),
]
_OTHER_CLAIMS = ["nbf", "exp", "f5_other", "", "ISS", "__proto__"]
_OTHER_KEYS = ["key_ops", "x5c", "d", "p", "k", "oth", "crv", "x", "y", "n", "e", "use"]


@dataclass(frozen=True)
class Attempt:
    """A file somebody uploads, and the key set it meets; ``good`` when honest."""

    content: bytes
    keys: bytes
    good: bool = False

    def written(self) -> bytes:
        """Return it as bytes, to be tried again."""
        parts = [base64.b85encode(part) for part in (self.content, self.keys)]
        return b" ".join(parts)


def again(content: bytes) -> Attempt:
    """Return an attempt that was written."""
    license_file, key_set = map(base64.b85decode, content.split(b" "))
    return Attempt(license_file, key_set)


def _vendor() -> rsa.RSAPrivateKey:
    return keys.rsa_key("vendor")


SIGNERS: list[tuple[str, str, Callable[[bytes], bytes]]] = [
    ("curve", "ES256", lambda it: keys.ec_signature(keys.ec_key("vendor"), it)),
    ("v1", "RS512", lambda it: keys.rsa_signature(_vendor(), it, hashes.SHA512())),
    ("v1", "RS256", lambda it: keys.rsa_signature(_vendor(), it, hashes.SHA256())),
    ("curve", "ES256", lambda it: keys.ec_signature(keys.ec_key("attacker"), it)),
    (
        "weak",
        "RS512",
        lambda it: keys.rsa_signature(keys.rsa_key("weak", 1024), it, hashes.SHA512()),
    ),
    (
        "roca",
        "RS512",
        lambda it: keys.rsa_signature(
            keys.rsa_key("roca", form="roca"), it, hashes.SHA512()
        ),
    ),
    ("curve", "none", lambda it: b""),
    ("curve", "ES256", lambda it: b"\0" * 64),
    ("v1", "RS512", lambda it: b"\0" * 256),
    ("v1", "RS512", lambda it: b"\0" * 255 + b"\1"),
    ("curve", "HS256", lambda it: b"\1" * 32),
]
_POOL: list[dict[str, Any]] = [
    keys.ec_member(keys.ec_key("vendor"), kid="curve", use="sig", alg="ES256"),
    keys.rsa_member(_vendor(), kid="v1", use="sig", alg="RS512"),
    keys.rsa_member(keys.rsa_key("weak", 1024), kid="weak"),
    keys.rsa_member(keys.rsa_key("roca", form="roca"), kid="roca"),
    keys.ec_member(keys.ec_key("attacker"), kid="attacker", key_ops=["verify"]),
    {"kty": "oct", "k": "AAAA", "kid": "curve"},
    {"kty": "RSA", "n": keys.number(2**16384 - 1), "e": "AQAB", "kid": "v1"},
    {"kty": "RSA", "n": keys.number(2**3072 - 1), "e": keys.number(2**3000 + 1)},
]
_USUAL_KEYS = json.dumps({"keys": _POOL[:2]}).encode()
_BARE_KEYS = json.dumps(
    {
        "keys": [
            {name: said for name, said in key.items() if name not in ("alg", "use")}
            for key in _POOL[:4]
        ]
    }
).encode()


def build(choices: Choices) -> Attempt:
    """Return an attempt; when all decisions are 0, an honest one."""
    if choices.number(7) == 7:
        return Attempt(choices.raw(20_000), _key_set(choices))
    kid, alg, sign = pick(choices, [*SIGNERS[:2] * 10, *SIGNERS])
    header = texts.an_object(
        choices, {**HEADER, "alg": alg, "kid": kid}, _OTHER_HEADERS
    )
    claims = texts.an_object(choices, CLAIMS, _OTHER_CLAIMS)
    body = f"{keys.b64(header)}.{keys.b64(claims)}"
    token = f"{body}.{keys.b64(sign(body.encode()))}".encode()
    return Attempt(_damaged(choices, token), _key_set(choices))


def honest() -> Attempt:
    """Return the honest attempt, which must be taken."""
    made = build(Spelled(b""))
    return Attempt(made.content, made.keys, good=True)


def _damaged(choices: Choices, token: bytes) -> bytes:
    kind = choices.number(24)
    if kind == 1:
        return token + b"="
    if kind == 2:
        return token.replace(b".", b"=.")
    if kind == 3:
        if token.endswith(b"."):
            return token
        # the last letter carries bits that mean nothing
        other = _LETTERS[_LETTERS.index(token[-1:]) ^ 1 :][:1]
        return token[:-1] + other
    if kind == 4:
        return token.replace(b"-", b"+").replace(b"_", b"/")
    if kind == 5:
        return b"\n".join(token[i : i + 64] for i in range(0, len(token), 64))
    if kind == 6:
        return token + b"\n" + token
    if kind == 7:
        return b"\xef\xbb\xbf" + token
    if kind == 8:
        return b"." * choices.number(20_000)
    if kind == 9:
        return texts.spliced(choices, token)
    return token


def _key_set(choices: Choices) -> bytes:
    kind = choices.number(7)
    if kind < 3:
        return _USUAL_KEYS
    if kind == 3:
        return _BARE_KEYS
    if kind == 4:
        return texts.spliced(choices, _USUAL_KEYS)
    if kind == 5:
        return choices.raw(4000)
    members = []
    for _ in range(choices.number(4) + 1):
        members.append(texts.an_object(choices, pick(choices, _POOL), _OTHER_KEYS))
    return b'{"keys":[%s]}' % b",".join(members)


def seeds() -> list[bytes]:
    """Return real licenses as raw bytes, for the fuzzer to damage."""
    token = honest().content
    return [b"\x07\xff" + mark + token for mark in (b"", b"\xef\xbb\xbf", b"\n")]


def prepare(attempt: Attempt) -> tuple[str, dict[str, Any]]:
    """Return what ``verify`` is given: the text, and a key set of whatever form."""
    try:
        found = json.loads(attempt.keys)
    except (ValueError, RecursionError):
        found = None
    jwks = found if isinstance(found, dict) else {}
    return attempt.content.decode("utf-8", "surrogateescape"), jwks


def call(prepared: tuple[str, dict[str, Any]]) -> tokens.LicenseClaims | str:
    """Return the claims, or the code of the refusal."""
    token, jwks = prepared
    try:
        return tokens.verify(token, jwks, jku=JKU, algorithms=ALGORITHMS, now=NOW)
    except LicenseRejected as refusal:
        _check_refusal(refusal, token)
        return refusal.code


def judge(attempt: Attempt, found: tokens.LicenseClaims | str) -> str:
    """Check what came of it and return the outcome in a word.

    Raises:
        AssertionError: It was taken and must not have been, or the other way round.
    """
    token, jwks = prepare(attempt)
    _check_files(attempt)
    if isinstance(found, str):
        assert not attempt.good, f"an honest license was refused: {found}"
        assert found in CODES
        return found
    _check_taken(token, jwks, found)
    return "taken"


def _check_refusal(refusal: LicenseRejected, token: str) -> None:
    said = refusal.sentence + refusal.expected + refusal.found
    assert refusal.sentence.endswith(".")
    assert said.isprintable()
    assert max(len(refusal.expected), len(refusal.found)) <= 100
    assert len(token) < 200 or token not in said


def _check_files(attempt: Attempt) -> None:
    """Read the same bytes as an uploaded file and as a key set: nothing may break."""
    try:
        written = reading.license_in(attempt.content)
        assert written.kind in ("JWT", "SMIME")
        assert written.text == "".join(written.text.split())
    except LicenseRejected as refusal:
        _check_refusal(refusal, attempt.content.decode("latin-1"))
    found = key_sets.read(attempt.keys)
    if found:
        assert len({key["kid"] for key in found["keys"]}) == len(found["keys"])
        assert isinstance(key_sets.fault(found), str)
        for key in found["keys"]:
            key_sets.ends_at(key)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), "a member stands twice"
    return found


def _part(part: str) -> Any:
    raw = base64.b64decode(part + "=" * (-len(part) % 4), b"-_", validate=True)
    assert keys.b64(raw) == part, "another spelling of base64url"
    return json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)


def _check_taken(token: str, jwks: dict[str, Any], found: tokens.LicenseClaims) -> None:
    """Read a license that was taken a second way, without PyJWT and without ours."""
    assert len(token) <= 16 * 1024
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", token, re.ASCII)
    head, body, signature = token.split(".")
    header, claims = _part(head), _part(body)
    assert set(header) == {"alg", "typ", "kid", "jku"}
    assert (header["typ"], header["jku"]) == ("JWT", JKU)
    assert header["alg"] in ALGORITHMS
    [key] = [
        one
        for one in jwks["keys"]
        if isinstance(one, dict) and one.get("kid") == header["kid"]
    ]
    assert key.get("use", "sig") == "sig"
    assert "verify" in key.get("key_ops", ["verify"])
    assert key.get("alg", header["alg"]) == header["alg"]
    assert not {"d", "p", "q", "dp", "dq", "qi", "oth", "k"} & set(key)
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    assert keys.b64(raw) == signature, "another spelling of base64url"
    _check_signature(header["alg"], key, f"{head}.{body}".encode(), raw)
    assert claims["iss"] == "F5 Inc."
    assert claims["aud"] in ("urn:f5:teem", ["urn:f5:teem"])
    for name in ("iat", "nbf", "exp", "f5_sat"):
        if name in claims or name == "iat":
            assert type(claims[name]) is int
            assert 0 < claims[name] < 32_503_680_000
    for name in ("sub", "jti", "f5_order_type"):
        if name in claims or name == "sub":
            assert isinstance(claims[name], str)
            assert claims[name].strip() == claims[name] != ""
            assert claims[name].isprintable()
            assert len(claims[name]) <= 200
    assert found.subscription_id == claims["sub"]
    assert found.token_id == claims.get("jti", "")
    assert found.issued_at.timestamp() == claims["iat"]
    ends = [claims[name] for name in ("f5_sat", "exp") if name in claims]
    assert (found.ends_at and found.ends_at.timestamp()) == (
        min(ends) if ends else None
    )


def _check_signature(alg: str, key: dict[str, Any], body: bytes, raw: bytes) -> None:
    def number(name: str) -> int:
        text = key[name]
        return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))

    try:
        if alg == "RS512":
            assert key["kty"] == "RSA"
            n, e = number("n"), number("e")
            assert 2048 <= n.bit_length() <= 8192
            assert 65537 <= e < 2**33
            assert all(n % prime for prime in [2, *keys.SMALL])
            public = rsa.RSAPublicNumbers(e, n).public_key()
            public.verify(raw, body, padding.PKCS1v15(), hashes.SHA512())
        else:
            assert (key["kty"], key["crv"]) == ("EC", "P-256")
            curve = ec.SECP256R1()
            point = ec.EllipticCurvePublicNumbers(number("x"), number("y"), curve)
            assert keys.ec_holds(point.public_key(), body, raw), "it does not hold"
    except InvalidSignature:
        raise AssertionError("it does not hold") from None
