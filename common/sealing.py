"""Encryption at rest for what must be kept but not be read in a backup."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SealBroken(Exception):
    """The sealed value cannot be opened with the keys of NMS_SEAL_KEYS_FILE."""


def new_key() -> str:
    """Return a fresh key, one line of the keys file."""
    return Fernet.generate_key().decode()


def _keys() -> MultiFernet:
    return _these(settings.SEAL_KEYS)


def _these(keys: Sequence[str]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def seal(text: str) -> bytes:
    """Return ``text`` encrypted under the newest key."""
    return _keys().encrypt(text.encode())


def unseal(sealed: bytes | memoryview) -> str:
    """Return the text, whichever of the keys sealed it.

    Raises:
        SealBroken: No key fits; the keys file was lost or replaced.
    """
    try:
        return _keys().decrypt(bytes(sealed)).decode()
    except InvalidToken as error:
        raise SealBroken(
            "A stored secret cannot be opened: restore the keys file it was sealed "
            "with (NMS_SEAL_KEYS_FILE)."
        ) from error


def reseal(sealed: bytes | memoryview, keys: Sequence[str]) -> bytes:
    """Return a sealed value under the first of these keys, whichever sealed it.

    Raises:
        SealBroken: None of them opens it.
    """
    try:
        return _these(keys).rotate(bytes(sealed))
    except InvalidToken as error:
        raise SealBroken("A stored secret opens with none of the keys.") from error


def opens(sealed: bytes | memoryview, key: str) -> bool:
    """Return whether this key alone opens a sealed value."""
    try:
        _these([key]).decrypt(bytes(sealed))
    except InvalidToken:
        return False
    return True
