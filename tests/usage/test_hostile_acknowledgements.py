"""Archives nobody should make, byte by byte: each refused, none leaves a file."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import struct
import sys
import time
import tracemalloc
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import archives
from fuzz.archives import CONTENT, SAID, SIGNATURE, Entry, archive, detached
from fuzz.choosing import Drawn

FULL = 0xFFFFFFFF
SAID_BYTES = json.dumps(SAID).encode()
LARGEST = 2 * 1024 * 1024


def signed(content: bytes = SAID_BYTES, *others: Entry, **of_content: object) -> bytes:
    """Return an archive with its signature; the content's entry may lie."""
    first = Entry(CONTENT, content, **of_content)
    return archive([first, Entry(SIGNATURE, detached(content)), *others])


def outcome(body: bytes) -> str:
    made = archives.Attempt(body)
    return archives.judge(made, archives.call(body))


def said(**changes: object) -> bytes:
    return json.dumps(SAID | changes).encode()


def nested() -> bytes:
    """Ten archives in each other, the innermost large."""
    inner = signed(b" " * 1_000_000)
    for _ in range(10):
        inner = signed(SAID_BYTES, Entry("inner.zip", inner))
    return inner


def overlapping() -> bytes:
    """Sixteen entries that share one bomb (the form without nesting)."""
    bomb = Entry("0", b"0" * 3_000_000)
    lie = {"offset": 0, "packed": len(archive([bomb])) - 70, "size": 3_000_000}
    return archive([bomb, *(Entry(str(n), b"", **lie) for n in range(1, 16))])


def without_central_directory() -> bytes:
    return signed()[: signed().index(b"PK\x01\x02")]


def spanned() -> bytes:
    body = bytearray(signed())
    body[body.rindex(b"PK\x05\x06") + 4] = 1
    return bytes(body)


def other_local_name() -> bytes:
    return signed().replace(CONTENT.encode(), b"../../../../evil.txt"[:20], 1)


def packed_by(method: int, content: bytes) -> bytes:
    """Return real content in a way of packing that is not taken."""
    return archive([Entry(CONTENT, content, method=method)])


LYING = {
    "a directory said to be long": archive([Entry(CONTENT, b"{}")], size=FULL - 1),
    "a directory behind the end": archive([Entry(CONTENT, b"{}")], start=FULL - 1),
    "no directory": without_central_directory(),
    "another name in the local header": other_local_name(),
    "an entry behind the end": signed(offset=FULL - 1),
    "an entry at the directory": signed(offset=400),
    "a wrong checksum": signed(crc=1),
    "a wrong size": signed(packed=3),
    "a version nobody knows": signed(version=255),
    "patched data": signed(flags=0x20),
    "a broken ZIP64 field": signed(extra=struct.pack("<HHQ", 1, 99, 1)),
    "a short ZIP64 field": signed(extra=b"\1\0\0\0", size=FULL, packed=FULL),
    "an offset of 2**63": signed(
        extra=struct.pack("<HHQQQ", 1, 24, 2, 2, 2**63),
        **dict.fromkeys(("size", "packed", "offset"), FULL),
    ),
    "an offset of 2**64 - 1": signed(
        extra=struct.pack("<HHQQQ", 1, 24, 2, 2, 2**64 - 1),
        **dict.fromkeys(("size", "packed", "offset"), FULL),
    ),
    "a ZIP64 directory of 2**63": archive(
        [Entry(CONTENT, b"{}")], count=0xFFFF, size=FULL, start=FULL, long=(1, 2**63, 0)
    ),
    "a ZIP64 directory at 2**64 - 1": archive(
        [Entry(CONTENT, b"{}")],
        **{"count": 0xFFFF, "size": FULL, "start": FULL, "long": (1, 66, 2**64 - 1)},
    ),
    "a ZIP64 directory of 2**64 entries": archive(
        [Entry(CONTENT, b"{}")], count=0xFFFF, long=(2**64 - 1, 2**40, 52)
    ),
    "a name that is no UTF-8": signed(flags=0x800).replace(
        CONTENT.encode(), b"\xff" * 20
    ),
    "a bomb that says it is small": signed(b"0" * 3_000_000, size=10),
    "ends in the comment": archive([Entry("x", b"")], comment=b"PK\x05\x06" * 9),
    "trailing data": signed() + b"\0" * 70_000,
    "half of it": signed()[: len(signed()) // 2],
    "only the end": archive([])[:-1],
}
UNSAFE = {
    "no entry": archive([]),
    "seventeen entries": archive([Entry(str(n), b"") for n in range(17)]),
    "nothing but a bomb": archive([Entry(CONTENT, b"0" * 3_000_000)]),
    "a directory said to be empty": archive([Entry(CONTENT, b"{}")], size=0),
    "more entries than there are": archive([], count=16),
    "a size behind the end": signed(packed=FULL - 1),
    "entries that share a bomb": overlapping(),
    "a bomb as the signature": archive(
        [Entry(CONTENT, SAID_BYTES), Entry(SIGNATURE, b"0" * 3_000_000)]
    ),
    "64 KiB and a byte": signed(SAID_BYTES.ljust(64 * 1024 + 1)),
    "too long a file": signed(SAID_BYTES, Entry("x", b"\0" * LARGEST, method=0)),
    "the same name twice": signed(SAID_BYTES, Entry(CONTENT, SAID_BYTES)),
    "the same name behind a NUL": signed(SAID_BYTES, Entry(f"{CONTENT}\0.exe", b"{}")),
    "encrypted": signed(flags=1),
    "another encrypted": signed(SAID_BYTES, Entry("x", b"", flags=1)),
    "bzip2": packed_by(zipfile.ZIP_BZIP2, bz2.compress(SAID_BYTES)),
    "LZMA": packed_by(zipfile.ZIP_LZMA, lzma.compress(SAID_BYTES)),
    "Deflate64": packed_by(9, b""),
    "Zstandard": packed_by(93, b""),
    "AES": packed_by(99, b""),
}
TAKEN = {
    "the number of a second disk": (spanned(), "taken"),
    "archives in each other": (nested(), "taken"),
    "names that lead out": (
        signed(SAID_BYTES, Entry("../../evil", b"x"), Entry("/etc/evil", b"x")),
        "taken",
    ),
    "names of another system": (
        signed(SAID_BYTES, Entry("C:\\evil", b"x"), Entry("..\\evil", b"x")),
        "taken",
    ),
    "a symbolic link": (
        signed(SAID_BYTES, Entry("link", b"/etc/passwd", mode=0o120777 << 16)),
        "taken",
    ),
    "the content as a symbolic link": (signed(mode=0o120777 << 16), "taken"),
    "a device and a folder": (
        signed(SAID_BYTES, Entry("tty", b"", mode=0o020666 << 16), Entry("a/", b"")),
        "taken",
    ),
    "names in every script": (signed(SAID_BYTES, Entry("契約é", b"x")), "taken"),
    "the name in capitals": (archive([Entry(CONTENT.upper(), b"[")]), "opaque"),
    "the name in a folder": (archive([Entry(f"a/{CONTENT}", b"[")]), "opaque"),
    "something before and after": (
        b"#!/bin/sh\n" + signed() + b"a comment that is none",
        "taken",
    ),
    "a comment": (archive([Entry("x", b"")], comment=b"hello"), "opaque"),
    "64 KiB": (signed(SAID_BYTES.ljust(64 * 1024)), "taken"),
    "sixteen entries": (archive([Entry(str(n), b"") for n in range(16)]), "opaque"),
}


@pytest.mark.parametrize("body", LYING.values(), ids=LYING)
def test_an_archive_that_lies_is_no_archive(body):
    assert outcome(body) == "not_a_zip"


@pytest.mark.parametrize("body", UNSAFE.values(), ids=UNSAFE)
def test_an_archive_that_could_do_harm_is_refused(body):
    assert outcome(body) == "unsafe"


@pytest.mark.parametrize(("body", "expected"), TAKEN.values(), ids=TAKEN)
def test_what_stands_beside_is_never_touched(body, expected):
    assert outcome(body) == expected


ODD_CONTENT = {
    "nothing": b"",
    "a list": b"[]",
    "a text": b'"acknowledged"',
    "null": b"null",
    "UTF-16": said().decode().encode("utf-16"),
    "a mark": b"\xef\xbb\xbf" + said(),
    "latin-1": said().replace(b"r-1", b"\xe9"),
    "a member twice": said()[:-1] + b', "receiptId": "r-2"}',
    "accepted twice": said()[:-1] + b', "accepted": 0}',
    "a member of a file twice": said().replace(b'"sha256"', b'"sha256":"","sha256"', 1),
    "NaN": said()[:-1] + b', "x": NaN}',
    "infinity": said()[:-1] + b', "x": 1e400}',
    "a lone surrogate": said()[:-1] + b', "x": "\\ud800"}',
    "5000 digits": said()[:-1] + b', "x": ' + b"9" * 5000 + b"}",
    "lists in each other": b"[" * 50_000,
    "objects in each other": b'{"a":' * 8_000 + b"1" + b"}" * 8_000,
    "text after it": said() + b"{}",
}


@pytest.mark.parametrize("content", ODD_CONTENT.values(), ids=ODD_CONTENT)
def test_content_that_can_be_misread_is_refused_although_it_is_signed(content):
    assert outcome(signed(content)) == "content"


ODD = [
    *(None, True, False, 0, -1, 1, 1.5, 10**30, "", " ", "x", "2", "a\0b", "x" * 201),
    *([], [None], [[]], {}, {"a": 1}, [1, "x"]),
]
MEMBERS = {
    "reportId": {"other_report"},
    "reportSha256": {"other_report"},
    "receiptId": {"content", "taken"},
    "accepted": {"content", "taken"},
    "files": {"content", "none_accepted", "taken"},
}


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:12])
@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_of_another_type_closes_nothing(name, odd):
    found = outcome(signed(said(**{name: odd})))
    assert found in MEMBERS[name]
    honest = {"receiptId": odd in ("x", "2"), "accepted": odd is None}
    if found == "taken":
        assert honest.get(name, odd is None)


@pytest.mark.parametrize("odd", [True, 1.0, "2", -1, [2], {}])
def test_accepted_is_a_number_of_files_or_not_said(odd):
    assert outcome(signed(json.dumps(SAID | {"accepted": odd}).encode())) == "content"


def test_nothing_is_written_whatever_the_archive_says():
    outcome(signed())  # whatever is loaded once is loaded now
    outcome(archive([Entry("é", b"")]))
    seen, watching = [], True
    sys.addaudithook(
        lambda event, args: (
            seen.append((event, args))
            if watching and event.startswith(("open", "socket.", "os.", "tempfile."))
            else None
        )
    )
    for body in (
        *LYING.values(),
        *UNSAFE.values(),
        *(one for one, _ in TAKEN.values()),
    ):
        outcome(body)
    watching = False
    assert seen == []


HEAVY = {
    "a bomb": signed(b"0" * 30_000_000),
    "entries that share a bomb": overlapping(),
    "objects, as many as fit": signed(b'{"a":[' + b"{}," * 21_000 + b"{}]}"),
    "members, as many as fit": signed(b'{"a":[' + b'{"":1},' * 9_000 + b"{}]}"),
    "signs, as many as fit": signed(b'{"a":"' + b"\\u00e9" * 10_700 + b'"}'),
    "a directory of 40000 entries": archive([Entry("x", b"", method=0)] * 25_000),
    "2 MiB of ends": b"PK\x05\x06" * (LARGEST // 4),
}


@pytest.mark.parametrize("body", HEAVY.values(), ids=HEAVY)
def test_a_heavy_archive_takes_less_than_a_second_and_50_mb(body):
    began = time.process_time()
    archives.call(body)
    assert time.process_time() - began < 1
    tracemalloc.start()
    archives.call(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50 * 2**20


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_is_made_is_refused_or_taken_by_a_second_reader_too(data):
    made = archives.build(Drawn(data.draw))
    archives.judge(made, archives.call(archives.prepare(made)))


def test_our_own_writer_makes_what_zipfile_reads():
    with zipfile.ZipFile(io.BytesIO(signed())) as opened:
        assert opened.testzip() is None
        assert opened.read(CONTENT) == SAID_BYTES
