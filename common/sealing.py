"""Encryption at rest for what must be kept but not be read in a backup."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SealBroken(Exception):
    """The sealed value cannot be opened with the keys of NMS_SEAL_KEYS_FILE."""


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.SEAL_KEYS])


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
