"""Forged licenses: signed raw parts, and a search for inputs that break ``verify``.

``manage.py shell -c "from tests.licensing import fuzz; fuzz.search(5000)"`` searches
longer than the tests do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from licensing import tokens
from licensing.errors import LicenseRejected
from tests import make

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
JKU = "https://product.apis.f5.com/ee/v1/keys/jwks"
HEADER = {"alg": "RS512", "typ": "JWT", "kid": "v1", "jku": JKU}
CODES = {
    "too_large",
    "not_a_token",
    "header",
    "algorithm",
    "wrong_jku",
    "unknown_key",
    "weak_key",
    "signature",
    "issuer",
    "audience",
    "claims",
}


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


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
member_names = st.sampled_from(
    [*HEADER, *make.claims(NOW), "crit", "b64", "jwk", "nbf", "exp"]
)
changes = st.dictionaries(member_names | st.text(max_size=5), json_values, max_size=4)
tokenish = st.text(alphabet="eyJ.-_=A9 \n\0\ud800é", max_size=80) | st.text()


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """Return a good license with one piece put elsewhere, doubled or replaced."""
    text = signed()
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 8)))
    return text[:start] + draw(tokenish) + text[end:]


@st.composite
def odd_keys(draw: st.DrawFn) -> dict[str, object]:
    """Return a key set whose members say anything."""
    names = st.sampled_from(["kty", "use", "key_ops", "alg", "n", "e", "kid", "d"])
    [member] = make.jwks()["keys"]
    odd = member | draw(st.dictionaries(names, json_values, max_size=3))
    return {"keys": draw(st.sampled_from([[odd], [odd, odd], [odd, 1, None]]))}


def _check(
    attack: Callable[[Any], str], usual: settings, strategy: st.SearchStrategy[Any]
) -> None:
    @usual
    @given(strategy)
    def holds(found: Any) -> None:
        attack(found)

    holds()


def search(examples: int) -> None:
    """Try that many inputs of each kind; an error that is no refusal ends it."""
    usual = settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    attacks: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], str]]] = {
        "text": (tokenish, outcome),
        "header": (changes, lambda found: outcome(signed({**HEADER, **found}))),
        "claims": (changes, lambda found: outcome(claims(**found))),
        "damaged": (damaged(), outcome),
        "keys": (odd_keys(), lambda found: outcome(signed(), found)),
    }
    for name, (strategy, attack) in attacks.items():
        started = time.perf_counter()
        _check(attack, usual, strategy)
        print(f"{name}: {examples} tried, {time.perf_counter() - started:.1f} s")
