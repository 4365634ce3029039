"""What the vendor says of a report: read in memory, bound to it, never unpacked.

The inside of F5's acknowledgement is not public. That of the sandbox is a ZIP of
``acknowledgement.json`` and a detached JWS over its bytes; any other ZIP is kept as it
came and shown as not checked. Pure.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from common.strict import json_object
from licensing import tokens
from usage.errors import AcknowledgementRefused

LARGEST = 2 * 1024 * 1024
_MOST_READ = 64 * 1024  # of one member; as JSON up to 30 times that in memory
MOST_ENTRIES = 16
_CONTENT = "acknowledgement.json"
_SIGNATURE = "acknowledgement.jws"
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Acknowledgement:
    """What was said; ``checked`` is whether a signature of the vendor's holds.

    ``receipt`` is empty when none could be read. ``left_out`` names the files of
    records that were not accepted; at least one was, unless there is none.
    """

    receipt: str
    checked: bool
    left_out: tuple[str, ...] = ()


def read(
    body: bytes,
    *,
    report_id: str,
    digest: str,
    jwks: Mapping[str, Any] | None,
    algorithms: Collection[str],
    files: Mapping[str, str] | None = None,
) -> Acknowledgement:
    """Return what an acknowledgement says of one report.

    Args:
        body: As it came, at most 2 MiB.
        report_id: The report it must name.
        digest: The SHA-256 of that report's manifest.
        jwks: The vendor's keys; None when none are at hand: it is then not checked.
        algorithms: Those a signature may have.
        files: The names and SHA-256 of the report's files of records; None when what
            was accepted is not of interest.

    Raises:
        AcknowledgementRefused: It is no ZIP of the allowed form (``not_a_zip``,
            ``unsafe``), its content cannot be read (``content``), it belongs to another
            report (``other_report``), its signature does not hold (``signature``), it
            accepts some of what was sent and does not say which (``partial``), or
            nothing at all (``none_accepted``).

    Source:
        security.md, T4; decision 8
    """
    members = _members(body)
    if _CONTENT not in members:
        return Acknowledgement("", checked=False)
    content = members[_CONTENT]
    found = _object(content)
    other = found.get("reportId")
    if other != report_id or found.get("reportSha256") != digest:
        named = str(other)[:36] if tokens.is_name(other) else "without a name"
        if other == report_id:
            named += ", but with other content"
        _refuse(
            "other_report",
            f"The acknowledgement belongs to report {named}. Report {report_id} needs"
            " one of its own.",
        )
    receipt = found.get("receiptId")
    if not tokens.is_name(receipt):
        _refuse("content", "The acknowledgement names no receipt.")
    if jwks is not None:
        _check_signature(members, jwks, algorithms)
    left_out = () if files is None else _left_out(found, files)
    return Acknowledgement(str(receipt), jwks is not None, left_out)


def named(body: bytes) -> str:
    """Return the id of the report an acknowledgement says it is for; not checked.

    Empty when it names none: its inside is not known here.

    Raises:
        AcknowledgementRefused: It is no ZIP of the allowed form.
    """
    members = _members(body)
    said = _object(members[_CONTENT]).get("reportId") if _CONTENT in members else ""
    return said if isinstance(said, str) else ""


def text(body: bytes) -> str:
    """Return the readable part of an acknowledgement as it came; empty without one."""
    try:
        return _members(body).get(_CONTENT, b"").decode(errors="replace")
    except AcknowledgementRefused:
        return ""


def _check_signature(
    members: Mapping[str, bytes], jwks: Mapping[str, Any], algorithms: Collection[str]
) -> None:
    signature = members.get(_SIGNATURE, b"").decode("ascii", "replace").strip()
    if not tokens.signs(signature, members[_CONTENT], jwks, algorithms):
        _refuse(
            "signature",
            "The signature of the acknowledgement does not hold: it was changed, or"
            " signed by somebody else.",
        )


def _left_out(found: Mapping[str, Any], files: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the files that were not accepted.

    ``accepted`` is how many were; ``files``, when it is there, says which:
    ``[{"name", "sha256"}]``. Without either all were.
    """
    listed, count = found.get("files"), found.get("accepted")
    if count is not None and (type(count) is not int or count < 0):
        _refuse("content", "The acknowledgement says accepted without a number.")
    if listed is None:
        named = list(files) if count is None or count >= len(files) else []
    else:
        named = _named(listed, files)
        if count is not None and count != len(named):
            _refuse("content", "The acknowledgement counts other files than it names.")
        count = len(named)
    if files and count == 0:
        _refuse(
            "none_accepted",
            f"The acknowledgement says that none of {len(files)} files was accepted.",
        )
    if files and not named:
        _refuse(
            "partial",
            f"The acknowledgement says that {count} of {len(files)} files were"
            " accepted, and not which.",
        )
    return tuple(name for name in files if name not in named)


def _named(listed: object, files: Mapping[str, str]) -> list[str]:
    """Return the names a list of accepted files holds, each once, each of this report."""
    rows = listed if isinstance(listed, list) else [listed]
    named = [one.get("name") if isinstance(one, dict) else None for one in rows]
    known = [name for name in named if isinstance(name, str) and name in files]
    if len(known) != len(rows) or len(set(known)) != len(rows):
        _refuse("content", "The acknowledgement names files that were not sent.")
    if any(
        files[name] != one.get("sha256") for name, one in zip(known, rows, strict=True)
    ):
        _refuse("content", "The acknowledgement names a file with other content.")
    return known


def _members(body: bytes) -> dict[str, bytes]:
    """Return the two members we know, read within bounds; nothing is unpacked."""
    if len(body) > LARGEST:
        _refuse("unsafe", f"The file is longer than {LARGEST // 1024**2} MiB.")
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as opened:
            entries = opened.infolist()
            _check(entries, len(body))
            known = [one for one in entries if one.filename in (_CONTENT, _SIGNATURE)]
            return {one.filename: _read(opened, one) for one in known}
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        EOFError,
        OSError,
        OverflowError,
        ValueError,
        struct.error,
    ):
        _refuse("not_a_zip", "The answer is not a .zip file (a captive portal?).")


def _check(entries: list[zipfile.ZipInfo], length: int) -> None:
    names = [one.filename for one in entries]
    if not 0 < len(names) <= MOST_ENTRIES or len(set(names)) != len(names):
        _refuse("unsafe", f"The .zip must hold 1 to {MOST_ENTRIES} different files.")
    if any(one.flag_bits & _ENCRYPTED for one in entries):
        _refuse("unsafe", "The .zip is encrypted.")
    if any(one.compress_type not in _METHODS for one in entries):
        _refuse("unsafe", "The .zip is packed in a way that is not taken.")
    if sum(one.compress_size for one in entries) > length:
        _refuse("unsafe", "The .zip says that it holds more than it does.")


def _read(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Read at most what is allowed, whatever size the entry claims."""
    with opened.open(entry) as member:
        content = member.read(_MOST_READ + 1)
    if len(content) > _MOST_READ:
        _refuse("unsafe", f"{entry.filename} is longer than {_MOST_READ // 1024} KiB.")
    return content


def _object(content: bytes) -> dict[str, Any]:
    found = json_object(content)
    if found is None:
        _refuse(
            "content",
            "The acknowledgement is not a JSON object without repeated members.",
        )
    return found


def _refuse(code: str, sentence: str) -> NoReturn:
    raise AcknowledgementRefused(code, sentence)
