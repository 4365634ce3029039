"""Acknowledgements for the reader, and what must hold of each that is taken."""

from __future__ import annotations

import base64
import io
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from fuzz import keys, texts
from fuzz.choosing import Choices, Spelled, pick
from usage import acknowledgement
from usage.acknowledgement import Acknowledgement
from usage.errors import AcknowledgementRefused

REPORT = "2214e480-6f0e-4b0e-9b44-0d9a4c8a5c11"
DIGEST = "7" * 64
FILES = {
    f"usage/0f/usage-{REPORT}-01.gzip": "a" * 64,
    f"usage/0f/usage-{REPORT}-02.gzip": "b" * 64,
}
KEYS = {"keys": [keys.ec_member(keys.ec_key("vendor"), kid="curve", use="sig")]}
CODES = {
    *("not_a_zip", "unsafe", "content", "other_report", "signature", "partial"),
    "none_accepted",
}
CONTENT, SIGNATURE = "acknowledgement.json", "acknowledgement.jws"
LISTED = [{"name": name, "sha256": sha} for name, sha in FILES.items()]
SAID: dict[str, object] = {
    "reportId": REPORT,
    "reportSha256": DIGEST,
    "fileSha256": "8" * 64,
    "receiptId": "r-1",
    "accepted": 2,
    "files": LISTED,
}
FORMS = [
    SAID,
    {name: said for name, said in SAID.items() if name != "files"},
    SAID | {"accepted": 1, "files": LISTED[:1]},
    SAID | {"files": [LISTED[0], LISTED[1] | {"sha256": "c" * 64}]},
    SAID | {"files": [LISTED[0], LISTED[1] | {"name": "usage/other"}]},
    SAID | {"files": [LISTED[0], LISTED[0]]},
]
NAMES = [
    *(CONTENT, SIGNATURE, "receipt.bin", "../../evil", "/etc/evil", "C:\\evil", ""),
    *("folder/", "é契約", "a\0b", CONTENT.upper(), f"./{CONTENT}", f"{CONTENT}\0.exe"),
    "x" * 5000,
]
STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
_METHODS = [STORED, 9, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 93, 97, 99]
_FLAGS = [0x1, 0x8, 0x20, 0x40, 0x800, 0x2000, 0xFFFF]
_MODES = [0o100644 << 16, 0o120777 << 16, 0o040755 << 16, 0o020666 << 16]
_LIES = [0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]
_LONG_LIES = [0, 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1]


@dataclass(frozen=True)
class Attempt:
    """A file that comes back, read with the vendor's keys; ``good`` when honest."""

    content: bytes
    good: bool = False

    def written(self) -> bytes:
        """Return it as bytes, to be tried again."""
        return base64.b85encode(zlib.compress(self.content))


def again(content: bytes) -> Attempt:
    """Return an attempt that was written."""
    return Attempt(zlib.decompress(base64.b85decode(content)))


@dataclass(frozen=True)
class Entry:
    """One entry of an archive; what is None is what an honest writer would put."""

    name: str
    content: bytes
    method: int = DEFLATED
    flags: int = 0
    mode: int = 0
    extra: bytes = b""
    crc: int | None = None
    packed: int | None = None
    size: int | None = None
    offset: int | None = None
    version: int = 20


@lru_cache(maxsize=64)
def _deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def archive(
    entries: list[Entry],
    *,
    before: bytes = b"",
    after: bytes = b"",
    comment: bytes = b"",
    count: int | None = None,
    size: int | None = None,
    start: int | None = None,
    long: tuple[int, int, int] | None = None,
) -> bytes:
    """Return a ZIP that lies where it is told to.

    Args:
        entries: Each in the order of the local headers and of the directory.
        before: What stands before the first header.
        after: What stands behind the end.
        comment: Of the archive.
        count: Of the entries, as the end says.
        size: Of the directory, as the end says.
        start: Of the directory, as the end says.
        long: Count, size and start of a ZIP64 end; without one there is none.
    """
    out, directory = bytearray(before), bytearray()
    for one in entries:
        name = one.name.encode("utf-8", "surrogatepass")
        flags = one.flags | (0 if one.name.isascii() else 0x800)
        data = _deflated(one.content) if one.method == DEFLATED else one.content
        crc = zlib.crc32(one.content) if one.crc is None else one.crc
        packed = len(data) if one.packed is None else one.packed
        size_said = len(one.content) if one.size is None else one.size
        offset = len(out) if one.offset is None else one.offset
        shared = struct.pack(
            "<HHHHHIIIHH",
            *(one.version, flags, one.method, 0, 33, crc, packed, size_said),
            *(len(name), len(one.extra)),
        )
        out += b"PK\x03\x04" + shared + name + one.extra + data
        directory += b"PK\x01\x02" + struct.pack("<H", 0x314) + shared
        directory += struct.pack("<HHHII", 0, 0, 0, one.mode, offset)
        directory += name + one.extra
    at = len(out)
    out += directory
    if long:
        number, length, begin = long
        where = len(out)
        out += b"PK\x06\x06" + struct.pack(
            "<QHHIIQQQQ", 44, 45, 45, 0, 0, number, number, length, begin
        )
        out += b"PK\x06\x07" + struct.pack("<IQI", 0, where, 1)
    number = len(entries) if count is None else count
    out += b"PK\x05\x06" + struct.pack(
        "<HHHHIIH",
        *(0, 0, number, number),
        len(directory) if size is None else size,
        at if start is None else start,
        len(comment),
    )
    return bytes(out + comment + after)


def detached(content: bytes, header: bytes = b'{"alg":"ES256","kid":"curve"}') -> bytes:
    """Return the vendor's detached signature of a content."""
    head = keys.b64(header)
    body = f"{head}.{keys.b64(content)}".encode()
    return (
        f"{head}..{keys.b64(keys.ec_signature(keys.ec_key('vendor'), body))}".encode()
    )


@lru_cache(maxsize=4)
def _bomb(kind: int) -> bytes:
    """Return content that grows: zeros, objects, fewer of them, or one long text."""
    if kind == 0:
        return b"0" * 3_000_000
    if kind == 1:
        return b'{"a":[' + b"{}," * 600_000 + b"{}]}"
    if kind == 2:
        return b'{"a":[' + b"{}," * 21_000 + b"{}]}"
    return b'{"a":"' + b"\\u0041" * 10_700 + b'"}'


def build(choices: Choices) -> Attempt:
    """Return an attempt; when all decisions are 0, an honest one."""
    if choices.number(7) == 7:
        return Attempt(choices.raw(2**20))
    content = texts.an_object(choices, pick(choices, FORMS), ["error", "files", ""])
    if choices.number(31) == 31:
        content = _bomb(choices.number(3))
    signature = detached(content)
    if choices.number(7) == 7:
        signature = _odd_signature(choices, content)
    entries = [
        _lying(choices, Entry(CONTENT, content)),
        _lying(choices, Entry(SIGNATURE, signature)),
    ]
    if choices.number(7) == 7:
        entries = entries[choices.number(2) :]
    for _ in range(pick(choices, [0, 0, 0, 1, 1, 2, 15])):
        other = Entry(pick(choices, NAMES[2:] + NAMES[:2]), choices.raw(300))
        entries.append(_lying(choices, other))
    made = _packed(choices, entries)
    return Attempt(texts.spliced(choices, made) if choices.number(7) == 7 else made)


def honest() -> Attempt:
    """Return the honest attempt, which must be taken."""
    return Attempt(build(Spelled(b"")).content, good=True)


def _odd_signature(choices: Choices, content: bytes) -> bytes:
    kind = choices.number(4)
    if kind == 0:
        return detached(content + b" ")
    if kind == 1:
        usual = {"alg": "ES256", "kid": "curve"}
        return detached(
            content, texts.an_object(choices, usual, ["typ", "b64", "crit"])
        )
    if kind == 2:
        return texts.spliced(choices, detached(content))
    if kind == 3:
        return b"\xef\xbb\xbf \n" + detached(content) + b"\r\n"
    return choices.raw(2000)


def _lying(choices: Choices, entry: Entry) -> Entry:
    """Return an entry of which one thing may be another than it says."""
    kind = choices.number(63) - 32
    if kind < 20:
        return entry
    if kind == 20:
        return replace(entry, method=pick(choices, _METHODS))
    if kind == 21:
        return replace(entry, flags=pick(choices, _FLAGS))
    if kind == 22:
        return replace(entry, mode=pick(choices, _MODES))
    if kind == 23:
        return replace(entry, crc=choices.number(2**32 - 1))
    if kind == 24:
        return replace(entry, packed=pick(choices, _LIES))
    if kind == 25:
        return replace(entry, size=pick(choices, _LIES))
    if kind == 26:
        return replace(entry, offset=pick(choices, _LIES))
    if kind == 27:
        return replace(entry, name=pick(choices, NAMES))
    if kind == 28:
        return replace(entry, version=choices.number(255))
    if kind == 29:
        return replace(entry, extra=choices.raw(100))
    lies = [pick(choices, _LONG_LIES) for _ in range(3)]
    extra = struct.pack("<HHQQQ", 1, pick(choices, [24, 8, 16, 25, 0]), *lies)
    full = 0xFFFFFFFF
    return replace(entry, extra=extra, packed=full, size=full, offset=full)


def _packed(choices: Choices, entries: list[Entry]) -> bytes:
    kind = choices.number(31)
    if kind == 25:
        return archive(entries, before=choices.raw(300))
    if kind == 26:
        return archive(entries, after=choices.raw(300))
    if kind == 27:
        return archive(entries, comment=choices.raw(300))
    if kind == 28:
        return archive(entries, count=choices.number(0xFFFF))
    if kind == 29:
        return archive(entries, size=pick(choices, _LIES))
    if kind == 30:
        return archive(entries, start=pick(choices, _LIES))
    if kind == 31:
        number, length, begin = (pick(choices, _LONG_LIES) for _ in range(3))
        full = 0xFFFFFFFF
        long = (number, length, begin)
        return archive(entries, count=0xFFFF, size=full, start=full, long=long)
    return archive(entries)


def seeds() -> list[bytes]:
    """Return real archives as raw bytes, for the fuzzer to damage."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", DEFLATED) as opened:
        with opened.open(CONTENT, "w", force_zip64=True) as member:
            member.write(json.dumps(SAID).encode())
        opened.writestr("folder/other", b"x" * 100)
    zip64 = archive([Entry(CONTENT, b"{}")], count=0xFFFF, long=(1, 66, 52))
    made = [honest().content, packed.getvalue(), zip64]
    return [b"\x07\xff" + one for one in made]


def prepare(attempt: Attempt) -> bytes:
    """Return what the reader is given."""
    return attempt.content


def call(body: bytes) -> Acknowledgement | str:
    """Return what was read, or the code of the refusal."""
    try:
        return acknowledgement.read(
            body,
            report_id=REPORT,
            digest=DIGEST,
            jwks=KEYS,
            algorithms=["ES256"],
            files=FILES,
        )
    except AcknowledgementRefused as refusal:
        assert refusal.sentence.endswith((".", "?)."))
        assert refusal.sentence.isprintable()
        assert len(refusal.sentence) < 400
        return refusal.code


def judge(attempt: Attempt, found: Acknowledgement | str) -> str:
    """Check what came of it and return the outcome in a word.

    Raises:
        AssertionError: It was taken and must not have been, or the other way round.
    """
    body = attempt.content
    try:
        named = acknowledgement.named(body)
    except AcknowledgementRefused as refusal:
        assert refusal.code in ("not_a_zip", "unsafe", "content")
        named = None
    readable = acknowledgement.text(body)
    if isinstance(found, str):
        assert not attempt.good, f"an honest one was refused: {found}"
        assert found in CODES
        assert named is not None or found in ("not_a_zip", "unsafe", "content")
        return found
    assert named is not None
    assert len(body) <= 2 * 1024 * 1024
    with zipfile.ZipFile(io.BytesIO(body)) as opened:
        entries = opened.infolist()
        assert 1 <= len(entries) <= 16
        assert len({one.filename for one in entries}) == len(entries)
        assert not any(one.flag_bits & 1 for one in entries)
        assert {one.compress_type for one in entries} <= {STORED, DEFLATED}
        if CONTENT not in opened.namelist():
            assert (found, named, readable) == (Acknowledgement("", False), "", "")
            return "opaque"
        _check_taken(opened.read(CONTENT), opened.read(SIGNATURE), found)
    assert named == REPORT
    return "taken in part" if found.left_out else "taken"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), "a member stands twice"
    return found


def _check_taken(content: bytes, signature: bytes, found: Acknowledgement) -> None:
    """Read it a second way, without ours."""
    assert found.checked
    said = json.loads(content.decode(), object_pairs_hook=_unique)
    assert (said["reportId"], said["reportSha256"]) == (REPORT, DIGEST)
    assert found.receipt == said["receiptId"] != ""
    assert found.receipt.isprintable()
    head, empty, mark = signature.decode("ascii").strip().split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    assert (empty, header["alg"], header["kid"]) == ("", "ES256", "curve")
    body = f"{head}.{keys.b64(content)}".encode()
    raw = base64.urlsafe_b64decode(mark + "=" * (-len(mark) % 4))
    assert keys.ec_holds(keys.ec_key("vendor").public_key(), body, raw)
    count, listed = said.get("accepted"), said.get("files")
    assert count is None or (type(count) is int and count > 0)
    names = set(FILES) if listed is None else {one["name"] for one in listed}
    assert names
    assert all(FILES[one["name"]] == one["sha256"] for one in listed or [])
    assert set(found.left_out) == set(FILES) - names
