"""Secrets of a test's own, and every form in which one may show up somewhere."""

from __future__ import annotations

import base64
import contextlib
import html
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

PIECE = 32  # bytes of each piece of a long secret
FORMS = ("raw", "JSON", "HTML", "Python", "URL", "base64", "base64url", "hex", "UTF-16")
IN_SCRIPT = {ord(one): f"\\u{ord(one):04X}" for one in "<>&"}  # as Django does
SIGNED = re.compile(rb"eyJ[\w-]+|(?<=\.)eJ[\w-]+")  # JSON in base64url, or its zlib


def pieces(secret: bytes) -> list[bytes]:
    """Return a short secret itself; of a long one its beginning, middle and end."""
    if len(secret) <= PIECE:
        return [secret]
    middle = (len(secret) - PIECE) // 2
    return [secret[:PIECE], secret[middle : middle + PIECE], secret[-PIECE:]]


def forms(secret: bytes) -> dict[str, list[bytes]]:
    """Return what to look for: by form, what a piece of it looks like there.

    Base64 of a longer text holds a secret in one of three forms, by where it begins;
    what its neighbours change is left out.
    """
    found: dict[str, list[bytes]] = {name: [] for name in FORMS}
    for piece in pieces(secret):
        text = piece.decode("latin-1")
        word = piece.decode(errors="replace")
        found["raw"].append(piece)
        found["JSON"] += [json.dumps(one)[1:-1].encode() for one in (text, word)]
        found["JSON"].append(json.dumps(word, ensure_ascii=False)[1:-1].encode())
        found["JSON"].append(json.dumps(word).translate(IN_SCRIPT)[1:-1].encode())
        found["Python"].append(repr(piece)[2:-1].encode())
        found["HTML"].append(html.escape(word).encode())
        for coded in (quote(piece), quote(piece, safe=""), quote_plus(piece)):
            found["URL"].append(coded.encode())
        found["hex"] += [piece.hex().encode(), piece.hex().upper().encode()]
        found["UTF-16"] += [word.encode("utf-16-le"), word.encode("utf-16-be")]
        for shift in range(3):
            packed = base64.b64encode(bytes(shift) + piece)
            whole = packed[(0, 2, 3)[shift] : (shift + len(piece)) // 3 * 4]
            found["base64"].append(whole)
            found["base64url"].append(whole.translate(bytes.maketrans(b"+/", b"-_")))
    return found


def opened(content: bytes) -> bytes:
    """Return content and what is packed in it: a ZIP's members, sessions, messages."""
    parts = [content]
    if content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            parts += [archive.read(name) for name in archive.namelist()]
    for packed in SIGNED.findall(content):
        with contextlib.suppress(ValueError, zlib.error):
            part = base64.urlsafe_b64decode(packed + b"==")
            parts.append(part if packed.startswith(b"ey") else zlib.decompress(part))
    return b"\n".join(parts)


def found(
    secrets: Mapping[str, bytes], places: Mapping[str, bytes]
) -> dict[tuple[str, str], str]:
    """Return each ``(secret, place)`` where one stands, and the first form it has."""
    looked = {
        name: [(form, one) for form, all_ in forms(secret).items() for one in all_]
        for name, secret in secrets.items()
    }
    return {
        (name, place): form
        for place, content in places.items()
        for name, needles in looked.items()
        for form in _first(needles, content)
    }


def _first(needles: Iterable[tuple[str, bytes]], content: bytes) -> list[str]:
    return next(([form] for form, needle in needles if needle in content), [])
