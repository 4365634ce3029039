"""Password hashing: Argon2id with OWASP's first setting (19 MiB, two passes)."""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    """Argon2id, 19 MiB of memory, two passes, one lane: about 25 ms a check."""

    time_cost = 2
    memory_cost = 19_456
    parallelism = 1
