"""The bytes of a report, and what is read of an acknowledgement."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zipfile
from datetime import date
from typing import Any

import pytest

from licensing import tokens
from tests import make
from tests.licensing.test_tokens import detached
from usage import acknowledgement, catalog, document
from usage.document import Count, Heading, Instance
from usage.errors import AcknowledgementRefused

REPORT = "2214e480-6f0e-4b0e-9b44-0d9a4c8a5c11"
DIGEST = "7" * 64
HEADING = Heading(
    report_id=REPORT,
    sequence=12,
    subscription_id=make.SUBSCRIPTION,
    detail="totals",
    previous_digest="a" * 64,
    audit_head="b" * 64,
    token="the-secret-token",
)
COUNTS = [
    Count(date(2026, 11, 22), "NGINX_NAP", 12, "91c07f3a-52f4-4b5d-8a57-3c2f1e7d9b20"),
    Count(date(2026, 11, 22), "NGINX_INSTANCES", 48),
    Count(date(2026, 11, 21), "NGINX_INSTANCES", 47),
]


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def test_the_same_content_gives_the_same_bytes_in_any_order() -> None:
    again = document.build(HEADING, COUNTS[::-1])
    assert again == document.build(HEADING, COUNTS)


def test_the_manifest_is_canonical_and_names_every_file_by_its_digest() -> None:
    made = document.build(HEADING, COUNTS)
    with zipfile.ZipFile(io.BytesIO(made.archive)) as opened:
        names = opened.namelist()
        manifest, packed = (opened.read(name) for name in names)
        assert {one.date_time for one in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    said = json.loads(manifest)
    assert manifest == made.manifest == canonical(said)
    assert made.digest == hashlib.sha256(manifest).hexdigest()
    assert names[0] == "manifest.json"
    assert said["files"] == [
        {
            "name": names[1],
            "sha256": hashlib.sha256(packed).hexdigest(),
            "size": len(packed),
            "records": 3,
        }
    ]
    folder = hashlib.sha256(b"the-secret-token").hexdigest()[:16]
    assert names[1] == f"usage/{folder}/usage-{REPORT}-01.gzip"
    assert said["period"] == {"firstDay": "2026-11-21", "lastDay": "2026-11-22"}
    assert b"the-secret-token" not in made.archive
    records = gzip.decompress(packed)
    assert records == made.files[0].records == canonical(json.loads(records))
    assert [one["count"] for one in json.loads(records)] == [47, 48, 12]


def test_a_report_holds_the_fields_of_the_catalogue_and_no_others() -> None:
    seen = [Instance(date(2026, 11, 22), "5a3b", 24, waf=True)]
    made = document.build(HEADING, COUNTS, seen)
    fields = sorted(field.name for field in catalog.ENVELOPE)
    assert sorted(json.loads(made.manifest)) == fields
    records = json.loads(made.files[0].records)
    for point, one in zip(catalog.POINTS, (records[-2], records[-1]), strict=True):
        assert sorted(one) == [field.name for field in point.fields]


def test_a_report_without_records_is_its_manifest_alone() -> None:
    made = document.build(HEADING, [])
    with zipfile.ZipFile(io.BytesIO(made.archive)) as opened:
        assert opened.namelist() == ["manifest.json"]
        assert opened.testzip() is None
    said = json.loads(made.manifest)
    assert (said["files"], said["period"]) == ([], None)
    assert document.read(made.archive) == made


def packed(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return out.getvalue()


def said(**changes: object) -> bytes:
    usual = {"reportId": REPORT, "reportSha256": DIGEST, "receiptId": "r-1"}
    return canonical({**usual, **changes})


KEYS = make.jwks()


def read(body: bytes, *, keys: Any = KEYS) -> acknowledgement.Acknowledgement:
    return acknowledgement.read(
        body, report_id=REPORT, digest=DIGEST, jwks=keys, algorithms=["RS512"]
    )


def signed(content: bytes) -> bytes:
    return packed(
        acknowledgement_json=content, acknowledgement_jws=detached(content).encode()
    )


def refusal(body: bytes, **more: object) -> AcknowledgementRefused:
    with pytest.raises(AcknowledgementRefused) as caught:
        read(body, **more)
    return caught.value


def test_a_signed_acknowledgement_is_checked() -> None:
    found = read(signed(said()))
    assert found == acknowledgement.Acknowledgement("r-1", checked=True)


def test_without_keys_it_is_bound_to_the_report_but_not_checked() -> None:
    assert read(signed(said()), keys=None).checked is False
    assert refusal(signed(said(reportId="other")), keys=None).code == "other_report"


def test_an_opaque_one_is_taken_and_not_checked() -> None:
    found = read(packed(receipt_bin=b"opaque"))
    assert found == acknowledgement.Acknowledgement("", checked=False)


def test_one_of_another_report_is_refused_by_its_name() -> None:
    other = "91c07f3a-52f4-4b5d-8a57-3c2f1e7d9b20"
    error = refusal(signed(said(reportId=other)))
    assert error.code == "other_report"
    assert other in error.sentence
    error = refusal(signed(said(reportSha256="8" * 64)))
    assert "other content" in error.sentence


def test_a_changed_one_is_refused() -> None:
    content = said()
    body = packed(
        acknowledgement_json=content.replace(b"r-1", b"r-2"),
        acknowledgement_jws=detached(content).encode(),
    )
    assert refusal(body).code == "signature"
    assert refusal(packed(acknowledgement_json=content)).code == "signature"
    assert (
        refusal(signed(content), keys=make.jwks(make.private_key("stranger"))).code
        == "signature"
    )


def encrypted() -> bytes:
    body = bytearray(packed(acknowledgement_json=said()))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        body[body.index(mark) + at] |= 1
    return bytes(body)


def twice() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("acknowledgement.json", said())
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("acknowledgement.json", said())
    return out.getvalue()


def lzma() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("acknowledgement.json", said())
    return out.getvalue()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (lambda: b"", "not_a_zip"),
        (lambda: b"<!doctype html>", "not_a_zip"),
        (lambda: signed(said())[:-30], "not_a_zip"),
        (lambda: b"0" * (2 * 1024 * 1024 + 1), "unsafe"),
        (lambda: packed(acknowledgement_json=b"0" * 3_000_000), "unsafe"),
        (lambda: packed(**{f"n{number}": b"" for number in range(17)}), "unsafe"),
        (packed, "unsafe"),
        (encrypted, "unsafe"),
        (twice, "unsafe"),
        (lzma, "unsafe"),
        (lambda: packed(acknowledgement_json=b"[]"), "content"),
        (lambda: packed(acknowledgement_json=b"[" * 50_000), "content"),
        (lambda: signed(said(receiptId=7)), "content"),
        (lambda: signed(said(receiptId="a\x00b")), "content"),
    ],
)
def test_a_hostile_file_is_refused(body, code) -> None:
    error = refusal(body())
    assert error.code == code
    assert tokens.is_name(error.sentence)


def test_nothing_is_unpacked_whatever_the_names_are(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../evil", b"x")
        archive.writestr("/etc/evil", b"x")
    assert read(out.getvalue()).checked is False
    assert list(tmp_path.rglob("*")) == []
