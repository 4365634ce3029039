from __future__ import annotations

import base64
import gzip
import io
import time
import zipfile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from licensing.errors import LicenseRejected
from licensing.reading import MOST_BYTES, license_in
from licensing.tokens import LONGEST
from tests import make
from tests.licensing.fuzz import NOW, signed

TOKEN = signed()
ENCODING = serialization.Encoding


def wrapped(text: str, end: str = "\n", width: int = 64) -> str:
    return end.join(text[i : i + width] for i in range(0, len(text), width)) + end


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("license.jwt", TOKEN)
    return file.getvalue()


def certificate() -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vendor")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(make.private_key().public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW.replace(year=2030))
        .sign(make.private_key(), hashes.SHA256())
    )


def smime(encoding: serialization.Encoding) -> bytes:
    builder = pkcs7.PKCS7SignatureBuilder().set_data(b"a license")
    signer = builder.add_signer(certificate(), make.private_key(), hashes.SHA256())
    options = [pkcs7.PKCS7Options.Binary] if encoding != ENCODING.SMIME else []
    return signer.sign(encoding, options)


def private_pem() -> bytes:
    return make.private_key().private_bytes(
        ENCODING.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.mark.parametrize(
    "content",
    [
        TOKEN,
        f"{TOKEN}\n",
        f"\r\n\t {TOKEN} \r\n\r\n",
        f"\ufeff{TOKEN}",
        f"\ufeff \n{TOKEN}",
        wrapped(TOKEN),
        wrapped(TOKEN, "\r\n", 76),
    ],
)
def test_white_space_and_a_byte_order_mark_do_not_matter(content):
    found = license_in(content.encode())
    assert (found.text, found.kind) == (TOKEN, "JWT")


NAMED = {
    "nothing": (b"", "empty", "no text"),
    "white space": (b" \r\n\t\n", "empty", "no text"),
    "only a mark": (b"\xef\xbb\xbf", "empty", "no text"),
    "a zip archive": (zipped(), "not_a_token", "a .zip archive"),
    "gzip": (gzip.compress(TOKEN.encode()), "not_a_token", "a compressed file"),
    "a PDF": (b"%PDF-1.7\n%\xe2\xe3", "not_a_token", "a PDF"),
    "a page": (b"\n<!DOCTYPE html><p>\xc3\xa9", "not_a_token", "an HTML page"),
    "a page with a mark": (b"\xef\xbb\xbf<HTML>", "not_a_token", "an HTML page"),
    "XML": (b"<?xml version='1.0'?>", "not_a_token", "an HTML page or XML"),
    "JSON": (b'{"license": "a.b.c"}', "not_a_token", "a JSON document"),
    "a certificate": (
        certificate().public_bytes(ENCODING.PEM),
        "not_a_token",
        "a certificate",
    ),
    "a private key": (private_pem(), "not_a_token", "a key file"),
    "an ordinary mail": (
        b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nhello",
        "not_a_token",
        "2 parts",
    ),
    "a token and a word": (f"{TOKEN}.word".encode(), "not_a_token", "4 parts"),
    "a word": (b"license", "not_a_token", "1 part"),
    "a sentence": (b"No license. Sorry.. .", "not_a_token", "5 parts"),
    "UTF-16": (TOKEN.encode("utf-16"), "not_text", "UTF-16 or binary data"),
    "UTF-16 big": (TOKEN.encode("utf-16-be"), "not_text", "UTF-16 or binary data"),
    "UTF-16 without a zero": (
        b"\xff\xfe" + "許可証".encode("utf-16-le"),
        "not_text",
        "UTF-16 or binary data",
    ),
    "UTF-16 big without a zero": (
        b"\xfe\xff" + "許可証".encode("utf-16-be"),
        "not_text",
        "UTF-16 or binary data",
    ),
    "latin-1": (TOKEN.encode() + b"\xe9", "not_text", "other bytes"),
    "typographic": (f"“{TOKEN}”".encode(), "not_text", "other bytes"),
    "two": (f"{TOKEN}\n{TOKEN}\n".encode(), "two_licenses", "2 licenses"),
    "two without a break": ((TOKEN * 2).encode(), "two_licenses", "2 licenses"),
    "three wrapped": (wrapped(TOKEN * 3).encode(), "two_licenses", "3 licenses"),
    "a long one": (b"eyJ" + b"a" * 17_000 + b".b.c", "too_large", "16 KB"),
    "a large file": (b"a" * (MOST_BYTES + 1), "too_large", "more than 64 KB"),
    "a larger file": (b"\0" * 5_000_000, "too_large", "more than 64 KB"),
}


@pytest.mark.parametrize(("content", "code", "found"), NAMED.values(), ids=NAMED)
def test_what_is_no_license_is_named(content, code, found):
    with pytest.raises(LicenseRejected) as refused:
        license_in(content)
    assert (refused.value.code, refused.value.found) == (code, found)
    assert refused.value.sentence.endswith(".")


TOLD = {
    "nothing": ("The file is empty. Choose the .jwt file from MyF5.", "one .jwt file"),
    "UTF-16": (
        "The file was saved as UTF-16. Download it again from MyF5 and do not open it"
        " in a text editor.",
        "plain text",
    ),
    "latin-1": (
        "The file is not plain text. Choose the .jwt file from MyF5.",
        "letters, digits, dots, dashes and underscores",
    ),
    "a large file": (
        "The file is too large for a license. Choose the .jwt file from MyF5.",
        "up to 64 KB",
    ),
    "a long one": (
        "This is too long for a license. Choose the .jwt file from MyF5.",
        "at most 16 KB",
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_the_refusal_says_what_to_do_and_what_was_expected(name):
    with pytest.raises(LicenseRejected) as refused:
        license_in(NAMED[name][0])
    assert (refused.value.sentence, refused.value.expected) == TOLD[name]


def test_a_file_and_a_license_of_the_greatest_length_are_read():
    padded = TOKEN.encode().ljust(MOST_BYTES)
    assert license_in(padded).text == TOKEN
    longest = "eyJ".ljust(LONGEST - 4, "a") + ".b.c"
    assert license_in(longest.encode()).text == longest


SMIME = {
    "a mail": smime(ENCODING.SMIME),
    "PEM": smime(ENCODING.PEM),
    "DER": smime(ENCODING.DER),
    "base64 of a mail": base64.b64encode(smime(ENCODING.SMIME)),
    "base64 of DER in lines": base64.encodebytes(smime(ENCODING.DER)),
    "with CRLF": smime(ENCODING.PEM).replace(b"\n", b"\r\n"),
    "with a mark": b"\xef\xbb\xbf" + base64.encodebytes(smime(ENCODING.DER)),
}


@pytest.mark.parametrize("content", SMIME.values(), ids=SMIME)
def test_an_smime_license_is_recognised_in_every_spelling(content):
    found = license_in(content)
    assert found.kind == "SMIME"
    assert base64.b64decode(found.text, validate=True)
    assert found.text == "".join(found.text.split())


def test_base64_between_quotes_is_no_smime_license():
    with pytest.raises(LicenseRejected) as refused:
        license_in(b'"%s"' % base64.b64encode(smime(ENCODING.DER)))
    assert refused.value.code == "not_a_token"


def test_the_spellings_of_one_smime_license_are_one_license():
    der = smime(ENCODING.DER)
    pem = b"-----BEGIN PKCS7-----\n%s-----END PKCS7-----\n" % base64.encodebytes(der)
    assert license_in(der) == license_in(base64.b64encode(der)) == license_in(pem)


@pytest.mark.parametrize(
    "content",
    [b"eyJ" * 21_000, b"a." * 32_000, b"-----x" * 10_000, b" " * 65_000 + b"x"],
)
def test_an_odd_file_is_refused_at_once(content):
    started = time.process_time()
    with pytest.raises(LicenseRejected):
        license_in(content)
    assert time.process_time() - started < 0.2
