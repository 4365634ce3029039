from __future__ import annotations

import pytest

from fuzz import keys
from licensing import jwks
from licensing.strength import weakness


def modulus(*named: object) -> int:
    return keys.rsa_key(*named).public_key().public_numbers().n


GOOD = modulus("vendor")


@pytest.mark.parametrize("name", ["vendor", "attacker", "third"])
@pytest.mark.parametrize("exponent", [65537, 65539, 2**32 + 1])
def test_an_ordinary_key_is_strong(name, exponent):
    assert weakness(modulus(name), exponent) == ""


@pytest.mark.parametrize(
    ("number", "exponent", "said"),
    [
        (0, 65537, "fewer than 2048 bits"),
        (modulus("weak", 1024), 65537, "fewer than 2048 bits"),
        (2**8192 + 1, 65537, "more than 8192 bits"),
        (2**8192 - 1, 65537, "small factor"),
        (GOOD, 0, "exponent"),
        (GOOD, 1, "exponent"),
        (GOOD, 3, "exponent"),
        (GOOD, 65535, "exponent"),
        (GOOD, 65538, "exponent"),
        (GOOD, 65540, "exponent"),
        (GOOD, 2**33 + 1, "exponent"),
        (GOOD, GOOD - 2, "exponent"),
        (GOOD + 1, 65537, "small factor"),
        (GOOD * 997, 65537, "small factor"),
        (modulus("roca", 2048, "roca"), 65537, "CVE-2017-15361"),
    ],
)
def test_a_weak_key_is_named_with_the_reason(number, exponent, said):
    found = weakness(number, exponent)
    assert said in found
    assert found.startswith(("has ", "is "))  # it stands after the key's name


def test_a_fetched_set_with_a_weak_key_replaces_nothing():
    good = keys.rsa_member(keys.rsa_key("vendor"), kid="v1")
    assert jwks.fault({"keys": [good]}) == ""
    weak = keys.rsa_member(keys.rsa_key("roca", form="roca"), kid="v2")
    assert "key v2 is of the form broken chips made" in jwks.fault(
        {"keys": [good, weak]}
    )
    for odd in ({"n": ["AQAB"]}, {"n": "é"}, {"n": None}, {"e": "Aw"}, {"e": 65537}):
        assert jwks.fault({"keys": [good | odd]}).startswith("key v1 has ")
