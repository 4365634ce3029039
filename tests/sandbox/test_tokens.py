from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path

import jwt

from sandbox.tokens import DAY, issue_license, make_keys


def verified(token: str, data: Path) -> dict[str, object]:
    keys = jwt.PyJWKSet.from_dict(json.loads((data / "jwks.json").read_text()))
    return dict(
        jwt.decode(
            token,
            keys["v1"],
            algorithms=["RS512"],
            audience="urn:f5:teem",
            issuer="F5 Inc.",
        )
    )


def test_a_license_verifies_and_has_the_vendors_shape(data: Path) -> None:
    token = issue_license(data, port=18001)
    assert jwt.get_unverified_header(token) == {
        "alg": "RS512",
        "typ": "JWT",
        "kid": "v1",
        "jku": "http://localhost:18001/ee/v1/keys/jwks",
    }
    claims = verified(token, data)
    assert set(claims) == {"sub", "iat", "iss", "aud", "jti", "f5_order_type", "f5_sat"}
    assert re.fullmatch(r"SBX-\d{8}", str(claims["sub"]))
    assert claims["f5_order_type"] == "paid"


def test_a_license_can_be_a_trial_ended_and_issued_in_the_past(data: Path) -> None:
    token = issue_license(
        data,
        order_type="eval",
        days=-3,
        subscription="SBX-7",
        issued_days_ago=33,
    )
    claims = verified(token, data)
    now = time.time()
    assert (claims["sub"], claims["f5_order_type"]) == ("SBX-7", "eval")
    assert abs(int(str(claims["f5_sat"])) - now + 3 * DAY) < 5
    assert abs(int(str(claims["iat"])) - now + 33 * DAY) < 5


def test_the_key_set_holds_one_public_key(data: Path) -> None:
    [key] = json.loads((data / "jwks.json").read_text())["keys"]
    assert set(key) == {"kty", "kid", "use", "alg", "n", "e"}
    assert (data / "key.pem").stat().st_mode & 0o777 == 0o600


def test_racing_starts_agree_on_one_key(tmp_path: Path) -> None:
    racers = [threading.Thread(target=make_keys, args=(tmp_path,)) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join(20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jwks.json", "key.pem"]
    assert verified(issue_license(tmp_path), tmp_path)


def test_a_lost_key_set_is_made_again_from_the_key(tmp_path: Path) -> None:
    first = make_keys(tmp_path).read_bytes()
    (tmp_path / "jwks.json").unlink()
    assert make_keys(tmp_path).read_bytes() == first
