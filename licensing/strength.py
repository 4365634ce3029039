"""RSA public numbers -> what is wrong with them, or nothing. Pure.

Keys that public corpora hold: short ones, those with a low or a huge exponent, those
with small factors, and those of chips that made keys anybody can factor.
"""

from __future__ import annotations

import math

SMALLEST_BITS = 2048
LARGEST_BITS = 8192  # longer ones only cost time
_EXPONENTS = range(65537, 1 << 33)
_PRIMES = [p for p in range(2, 1000) if all(p % q for q in range(2, math.isqrt(p) + 1))]
_FACTORS = math.prod(_PRIMES)
_POWERS = {
    p: frozenset(pow(65537, n, p) for n in range(p)) for p in _PRIMES if 2 < p < 168
}


def weakness(modulus: int, exponent: int) -> str:
    """Return why a key must not be used, to stand after its name; empty when it may.

    Source:
        NIST SP 800-56B, 6.2 (exponent); CVE-2017-15361: such a modulus is a power of
        65537 modulo every small prime, which one in 2**30 others is by chance
    """
    if modulus.bit_length() < SMALLEST_BITS:
        return f"has fewer than {SMALLEST_BITS} bits"
    if modulus.bit_length() > LARGEST_BITS:
        return f"has more than {LARGEST_BITS} bits"
    if exponent not in _EXPONENTS or exponent % 2 == 0:
        return "has an exponent that is not taken"
    if math.gcd(modulus, _FACTORS) != 1:
        return "has a small factor"
    if all(modulus % prime in powers for prime, powers in _POWERS.items()):
        return "is of the form broken chips made (CVE-2017-15361)"
    return ""
