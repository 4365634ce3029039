"""The bytes of a usage report: a ZIP of a manifest and files of records.

Pure. The same content gives the same bytes on every host: sorted members, fixed dates,
a fixed order. Only what ``usage.catalog`` lists can be in it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from usage import catalog

MANIFEST = "manifest.json"
MOST_RECORDS = 40_000  # in one file; protocol.md 4.4
# An empty list, packed: what is sent of a report without records where files go alone.
NOTHING = bytes.fromhex("1f8b08000000000000038b8e050029bb4c0d02000000")
_DATE = (1980, 1, 1, 0, 0, 0)  # the first one a ZIP can hold


@dataclass(frozen=True)
class Count:
    """How much of one feature was in use on one UTC day.

    ``revises`` is the id of the report that said another number before; else empty.
    """

    day: date
    feature: str
    count: int
    revises: str = ""


@dataclass(frozen=True)
class Instance:
    """In how many hours of one UTC day one instance was in use, and whether with WAF."""

    day: date
    instance: str
    hours: int
    waf: bool


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What the manifest says beside the records; digests are hex."""

    report_id: str
    sequence: int
    subscription_id: str
    detail: str
    previous_digest: str  # empty in the first report
    audit_head: str
    token: str  # a secret; only the beginning of its digest is written


@dataclass(frozen=True)
class File:
    """One file of records: its name in the ZIP, its digest there, and what it holds.

    ``size`` is that of the packed file; ``records`` is the JSON array inside.
    """

    name: str
    sha256: str
    size: int
    first_day: date
    last_day: date
    record_count: int
    records: bytes


@dataclass(frozen=True)
class Document:
    """A finished report: the whole ZIP, and the manifest and files inside it."""

    archive: bytes
    manifest: bytes
    files: tuple[File, ...]

    @property
    def manifest_text(self) -> str:
        """Return the manifest to read: the same members, one a line."""
        return _pretty(self.manifest)

    @property
    def records_text(self) -> str:
        """Return the records to read, one a line."""
        rows = [row for one in self.files for row in json.loads(one.records)]
        return "\n".join(canonical(row).decode() for row in rows)

    @property
    def digest(self) -> str:
        """Return the report's digest: the SHA-256 of its manifest."""
        return hashlib.sha256(self.manifest).hexdigest()

    @property
    def file_sha256(self) -> str:
        """Return the SHA-256 of the whole ZIP."""
        return hashlib.sha256(self.archive).hexdigest()


def build(
    heading: Heading,
    counts: Sequence[Count],
    instances: Sequence[Instance] = (),
    *,
    most: int = MOST_RECORDS,
) -> Document:
    """Return a report; without records it holds the manifest alone.

    A day begins a new file when it does not fit into the one before, so that a file
    that is not accepted concerns as few days as can be.

    Args:
        counts: In any order, one per day and feature.
        instances: Only with the detail ``instances``.
        most: How many records one file holds at most.
    """
    counts = sorted(counts, key=lambda one: (one.day, one.feature))
    days: defaultdict[date, list[dict[str, Any]]] = defaultdict(list)
    for one in counts:
        days[one.day].append(_count(one))
    for seen in sorted(instances, key=lambda one: (one.day, one.instance)):
        days[seen.day].append(_instance(seen))
    members: dict[str, bytes] = {}
    files: list[File] = []
    for number, rows in enumerate(_split(days, most), 1):
        name, records = _name(heading, number), canonical(rows)
        members[name] = gzip.compress(records, 6, mtime=0)
        files.append(_file(name, members[name], records))
    manifest = canonical(
        {
            "schemaVersion": catalog.VERSION,
            "reportId": heading.report_id,
            "sequence": heading.sequence,
            "subscriptionId": heading.subscription_id,
            "period": _period([one.day for one in counts]),
            "detail": heading.detail,
            "files": [_listed(one) for one in files],
            "previousReportSha256": heading.previous_digest or None,
            "auditHead": heading.audit_head,
        }
    )
    archive = _zip({MANIFEST: manifest, **members})
    return Document(archive, manifest, tuple(files))


def canonical(value: object) -> bytes:
    """Return JSON with sorted members and no spaces, in UTF-8."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


def read(archive: bytes) -> Document:
    """Return a report of ours from its stored bytes."""
    members = packed(archive)
    manifest = members.pop(MANIFEST)
    files = [_file(name, one, gzip.decompress(one)) for name, one in members.items()]
    return Document(archive, manifest, tuple(files))


def packed(archive: bytes) -> dict[str, bytes]:
    """Return the members of a report's ZIP by name; files of records stay packed."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def with_credentials(archive: bytes, token: str) -> bytes:
    """Return a report with the license beside its records, for the vendor's scripts.

    The result is a credential: hand it to an administrator, and store it nowhere.

    Source:
        protocol.md 4.4: ``<anything>/<token-dir>/jwt.txt``
    """
    copy = io.BytesIO(archive)
    folder = hashlib.sha256(token.encode()).hexdigest()[:16]
    with zipfile.ZipFile(copy, "a") as opened:
        for name in opened.namelist():
            folder = name.split("/")[1] if name.count("/") == 2 else folder
        opened.writestr(_entry(f"usage/{folder}/jwt.txt"), f"{token}\n")
    return copy.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.create_system, entry.external_attr = 3, 0o600 << 16
    return entry


def _pretty(content: bytes) -> str:
    return json.dumps(json.loads(content), indent=2, ensure_ascii=False)


def _name(heading: Heading, number: int) -> str:
    """Return a name that no other report uses: clients skip names they know."""
    folder = hashlib.sha256(heading.token.encode()).hexdigest()[:16]
    return f"usage/{folder}/usage-{heading.report_id}-{number:02d}.gzip"


def _split(
    days: dict[date, list[dict[str, Any]]], most: int
) -> list[list[dict[str, Any]]]:
    """Return the records of all days, in order, in files of at most so many."""
    files: list[list[dict[str, Any]]] = []
    for _, rows in sorted(days.items()):
        if not files or len(files[-1]) + len(rows) > most:
            files.append([])
        for row in rows:
            if len(files[-1]) == most:
                files.append([])
            files[-1].append(row)
    return files


def _file(name: str, packed: bytes, records: bytes) -> File:
    rows = json.loads(records)
    days = [row["day"] for row in rows]  # not in order in reports of 0.2.0
    first, last = (date.fromisoformat(day) for day in (min(days), max(days)))
    digest = hashlib.sha256(packed).hexdigest()
    return File(name, digest, len(packed), first, last, len(rows), records)


def _listed(one: File) -> dict[str, Any]:
    return {
        "name": one.name,
        "sha256": one.sha256,
        "size": one.size,
        "records": one.record_count,
    }


def _period(days: Sequence[date]) -> dict[str, str] | None:
    if not days:
        return None
    return {"firstDay": days[0].isoformat(), "lastDay": days[-1].isoformat()}


def _count(one: Count) -> dict[str, Any]:
    row = {"day": one.day.isoformat(), "feature": one.feature, "count": one.count}
    return row | ({"revises": one.revises} if one.revises else {})


def _instance(one: Instance) -> dict[str, Any]:
    return {
        "day": one.day.isoformat(),
        "instance": one.instance,
        "hours": one.hours,
        "waf": one.waf,
    }


def _zip(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, body in files.items():
            archive.writestr(_entry(name), body, zipfile.ZIP_DEFLATED, compresslevel=6)
    return packed.getvalue()
