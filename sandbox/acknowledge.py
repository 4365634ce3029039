"""What the sandbox answers to an uploaded usage report.

The inside of the vendor's acknowledgement is not public; this form is our
inference: a ZIP of ``acknowledgement.json`` and ``acknowledgement.jws``, a
detached JWS (RFC 7515, appendix F) over exactly the bytes of the former.
"""

from __future__ import annotations

import hashlib
import io
import json
import uuid
import zipfile
import zlib
from pathlib import Path

from sandbox.tokens import ALGORITHM, KID, load_key

MAX_MANIFEST = 2 * 1024 * 1024
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
)
NAMESPACE = uuid.UUID("5b0f7c0e-4c1d-4f7a-9a3e-2b7d1c9e8a60")


def receipt_for(*parts: str) -> str:
    """Return the receipt id of some content: the same content, the same id."""
    return str(uuid.uuid5(NAMESPACE, "\n".join(parts)))


def acknowledge(
    archive: bytes, most: int | None = None, *, named: bool = True
) -> bytes:
    """Return the acknowledgement of an uploaded archive as canonical JSON.

    ``reportId`` and ``reportSha256`` come from its ``manifest.json`` and are
    null without one; ``accepted`` counts the usage files that were taken,
    ``files`` lists their names and digests.

    Args:
        most: How many usage files are taken, the first ones; None takes all.
        named: Whether the files that were taken are listed, not only counted.

    Raises:
        ValueError: It is not a ZIP, is empty, or its manifest is unreadable.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            names = opened.namelist()
            manifest = _read_manifest(opened)
            taken = [
                {"name": name, "sha256": _digest(opened, name)}
                for name in usage_files(names)[:most]
            ]
    except UNREADABLE as error:
        raise ValueError("The file is not a readable ZIP archive.") from error
    if not names:
        raise ValueError("The archive is empty.")
    digest = hashlib.sha256(archive).hexdigest()
    document: dict[str, object] = {
        "reportId": None if manifest is None else _report_id(manifest),
        "reportSha256": manifest and hashlib.sha256(manifest).hexdigest(),
        "fileSha256": digest,
        "receiptId": receipt_for("report", digest),
        "accepted": len(taken),
    }
    if named:
        document["files"] = taken
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def usage_files(names: list[str]) -> list[str]:
    """Return those members of an archive that are files of usage records."""
    return [name for name in names if name.rpartition("/")[2].startswith("usage")]


def successful(archive: bytes, acknowledgement: bytes) -> int:
    """Return how much of an acknowledged archive was taken, in percent."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        total = len(usage_files(opened.namelist()))
    taken = int(json.loads(acknowledgement)["accepted"])
    return 100 * taken // total if total else 100


def package(acknowledgement: bytes, data: Path) -> bytes:
    """Return the ZIP to download: an acknowledgement and its signature."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (
            ("acknowledgement.json", acknowledgement),
            ("acknowledgement.jws", _detached_jws(acknowledgement, data)),
        ):
            archive.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def _detached_jws(content: bytes, data: Path) -> bytes:
    import jwt

    whole = jwt.api_jws.encode(
        content, load_key(data), algorithm=ALGORITHM, headers={"kid": KID}
    )
    header, _, signature = whole.split(".")
    return f"{header}..{signature}".encode()


def _digest(archive: zipfile.ZipFile, name: str) -> str:
    found = hashlib.sha256()
    with archive.open(name) as member:
        while piece := member.read(MAX_MANIFEST):
            found.update(piece)
    return found.hexdigest()


def _read_manifest(archive: zipfile.ZipFile) -> bytes | None:
    if "manifest.json" not in archive.namelist():
        return None
    with archive.open("manifest.json") as member:
        manifest = member.read(MAX_MANIFEST + 1)
    if len(manifest) > MAX_MANIFEST:
        raise ValueError("manifest.json is longer than 2 MiB.")
    return manifest


def _report_id(manifest: bytes) -> str | None:
    try:
        document = json.loads(manifest)
    except (ValueError, RecursionError) as error:
        raise ValueError("manifest.json is not JSON.") from error
    report_id = document.get("reportId") if isinstance(document, dict) else None
    return report_id if isinstance(report_id, str) else None
