"""What somebody uploaded -> the license's text, or what it is instead.

Pure: the bytes of a file or what was pasted come in, and a file that is no license is
named, so that the right one can be chosen.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from licensing.errors import LicenseRejected
from licensing.tokens import LONGEST

MOST_BYTES = 64 * 1024
_PKCS7 = bytes.fromhex("06092a864886f70d0107")  # the object identifier of PKCS #7
_LOOKS = (
    (b"PK\x03\x04", "a .zip archive"),
    (b"\x1f\x8b", "a compressed file"),
    (b"%PDF", "a PDF"),
    (b"-----BEGIN CERTIFICATE", "a certificate"),
    (b"-----BEGIN", "a key file"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<", "an HTML page or XML"),
    (b"{", "a JSON document"),
)


@dataclass(frozen=True)
class Written:
    """The text of a license and how it is written: ``JWT`` or ``SMIME``."""

    text: str
    kind: str


def license_in(content: bytes) -> Written:
    """Return the license in a file.

    Raises:
        LicenseRejected: ``empty``, ``too_large``, ``not_text``, ``two_licenses`` or
            ``not_a_token``; what it looks like stands in ``found``.
    """
    if len(content) > MOST_BYTES:
        raise LicenseRejected(
            "too_large",
            "The file is too large for a license. Choose the .jwt file from MyF5.",
            expected="up to 64 KB",
            found=f"more than {MOST_BYTES // 1024} KB",
        )
    content = content.removeprefix(b"\xef\xbb\xbf")
    if smime := _smime(content):
        return Written(smime, "SMIME")
    for start, name in _LOOKS:
        if content.lstrip()[: len(start)].lower() == start.lower():
            raise _not_a_license(name)
    return Written(_token(_text(content)), "JWT")


def _text(content: bytes) -> str:
    if content[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in content[:64]:
        raise LicenseRejected(
            "not_text",
            "The file was saved as UTF-16. Download it again from MyF5 and do not open"
            " it in a text editor.",
            expected="plain text",
            found="UTF-16 or binary data",
        )
    try:
        return content.decode("ascii").strip()
    except UnicodeDecodeError:
        raise LicenseRejected(
            "not_text",
            "The file is not plain text. Choose the .jwt file from MyF5.",
            expected="letters, digits, dots, dashes and underscores",
            found="other bytes",
        ) from None


def _token(text: str) -> str:
    if not text:
        raise LicenseRejected(
            "empty",
            "The file is empty. Choose the .jwt file from MyF5.",
            expected="one .jwt file",
            found="no text",
        )
    token = "".join(text.split())
    dots = token.count(".")
    if token.startswith("eyJ") and dots > 2 and dots % 2 == 0:
        raise LicenseRejected(
            "two_licenses",
            "The file holds more than one license. Add one license at a time.",
            expected="one license",
            found=f"{dots // 2} licenses",
        )
    if dots != 2:
        raise _not_a_license(f"{dots + 1} part{'s' if dots else ''}")
    if len(token) > LONGEST:
        raise LicenseRejected(
            "too_large",
            "This is too long for a license. Choose the .jwt file from MyF5.",
            expected=f"at most {LONGEST // 1024} KB",
            found=f"{len(token) // 1024} KB",
        )
    return token


def _smime(content: bytes) -> str:
    """Return an S/MIME license as base64 without line breaks, else nothing.

    It comes as it is (a mail's form or DER), as PEM, or as base64 of one of these.
    """
    if _is_smime(content):
        return base64.b64encode(content).decode()
    text = re.sub(rb"-----[^-]+-----|\s", b"", content)
    if content.lstrip().startswith(b"-----BEGIN CERTIFICATE"):
        return ""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return text.decode() if _is_smime(raw) else ""


def _is_smime(raw: bytes) -> bool:
    if raw[:1] == b"\x30":
        return _PKCS7 in raw[:64]
    start = raw[:512].lower()
    return start.startswith((b"mime-version:", b"content-type:")) and b"pkcs7" in start


def _not_a_license(found: str) -> LicenseRejected:
    return LicenseRejected(
        "not_a_token",
        "This is not a license file. Choose the .jwt file from MyF5.",
        expected="one .jwt file with three parts separated by dots",
        found=found,
    )
