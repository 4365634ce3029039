"""Upload that never lies: each refusal names the check, what it wants, what it found."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from cryptography.hazmat.primitives import serialization
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from common.models import Via
from licensing import services
from licensing.models import ConnectionChoice, License
from nms_admin import basic
from tests import make
from tests.licensing.test_api import LICENSE, call, document
from tests.licensing.test_reading import certificate, zipped

pytestmark = pytest.mark.django_db
ADD = "/ui/settings/license/add"
TERMINATE = "/ui/settings/license/terminate"
DAY = timedelta(days=1)
Content = Callable[[datetime], bytes]


def signed(**changes: Any) -> Content:
    return lambda now: make.token(now, **changes).encode()


def pem(now: datetime) -> bytes:
    return certificate().public_bytes(serialization.Encoding.PEM)


def edited(now: datetime) -> bytes:
    head, body, signature = make.token(now).split(".")
    return f"{head}.{body}.{signature[:-8]}AAAAAAAA".encode()


# What is uploaded -> code, start of the sentence, expected, found.
REFUSED: dict[str, tuple[Content, str, str, str, str]] = {
    "too large": (
        lambda now: b"a" * 70_000,
        "too_large",
        "The file is too large for a license.",
        "up to 64 KB",
        "more than 64 KB",
    ),
    "not text": (
        lambda now: make.token(now).encode() + b"\xe9",
        "not_text",
        "The file is not plain text.",
        "letters, digits, dots, dashes and underscores",
        "other bytes",
    ),
    "UTF-16": (
        lambda now: make.token(now).encode("utf-16"),
        "not_text",
        "The file was saved as UTF-16.",
        "plain text",
        "UTF-16 or binary data",
    ),
    "a zip": (
        lambda now: zipped(),
        "not_a_token",
        "This is not a license file.",
        "one .jwt file with three parts separated by dots",
        "a .zip archive",
    ),
    "an HTML page": (
        lambda now: b"<!doctype html><title>Sign in</title>",
        "not_a_token",
        "This is not a license file.",
        "one .jwt file with three parts separated by dots",
        "an HTML page",
    ),
    "a certificate": (
        pem,
        "not_a_token",
        "This is not a license file.",
        "one .jwt file with three parts separated by dots",
        "a certificate",
    ),
    "two licenses": (
        lambda now: b"\n".join([make.token(now).encode()] * 2),
        "two_licenses",
        "The file holds more than one license.",
        "one license",
        "2 licenses",
    ),
    "white space": (
        lambda now: b" \r\n\t ",
        "empty",
        "The file is empty.",
        "one .jwt file",
        "no text",
    ),
    "edited": (
        edited,
        "signature",
        "The signature is not valid",
        "signed with key v1",
        "another signature",
    ),
    "expired": (
        lambda now: make.token(now - 400 * DAY, 100).encode(),
        "expired",
        "This license ended and its grace period is over.",
        "a license that has not ended",
        "ended on 27 Jan 2026, grace until 27 Apr 2026",
    ),
    "another audience": (
        signed(aud="urn:f5:other"),
        "audience",
        "This token is for another service.",
        "urn:f5:teem",
        "urn:f5:other",
    ),
    "another issuer": (
        signed(iss="Somebody"),
        "issuer",
        "This token was not issued by F5.",
        "F5 Inc.",
        "Somebody",
    ),
    "another environment": (
        signed(header={"jku": "https://elsewhere.example.net/keys"}),
        "wrong_jku",
        "This license was issued for another environment.",
        "http://localhost:8001/ee/v1/keys/jwks",
        "https://elsewhere.example.net/keys",
    ),
    "an unknown key": (
        signed(header={"kid": "v9"}),
        "unknown_key",
        "Key v9 is not known here.",
        "v1",
        "v9",
    ),
}


@pytest.fixture(autouse=True)
def _noon(now, finished, ada):
    basic._verified.clear()
    make.keys_file()
    with time_machine.travel(now, tick=False):
        yield


def page_says(browser: Any, content: bytes) -> str:
    file = SimpleUploadedFile("license.jwt", content)
    answer = browser.post(ADD, {"file": file})
    assert answer.status_code == 422
    return str(answer.content.decode())


@pytest.mark.parametrize("what", REFUSED)
def test_the_page_says_what_was_expected_and_what_was_found(signed_in, ada, now, what):
    content, _, sentence, expected, found = REFUSED[what]
    shown = page_says(signed_in(ada), content(now))
    for words in (sentence.removesuffix("."), expected, found):
        assert words in shown
    assert not License.objects.exists()


@pytest.mark.parametrize("what", set(REFUSED) - {"too large", "not text", "UTF-16"})
def test_the_api_says_the_same_with_the_code(now, what):
    content, code, sentence, expected, found = REFUSED[what]
    text = content(now).decode("latin-1")
    if not text.strip():
        assert call("POST", LICENSE, document(text)).status_code == 400
        return
    answer = call("POST", LICENSE, document(text))
    assert answer.status_code == 422
    assert answer.json()["message"].startswith(sentence)
    details = [one["description"] for one in answer.json()["details"]]
    said = [f"check: {code}", f"expected: {expected}", f"found: {found}"]
    assert details[:3] == said
    assert not License.objects.exists()


def test_a_license_of_the_sandbox_is_refused_in_live_mode(
    signed_in, ada, now, settings
):
    settings.SANDBOX = False
    shown = page_says(signed_in(ada), make.token(now).encode())
    assert "This is a license for the sandbox, and this server runs in live" in shown
    assert "a subscription of F5" in shown
    assert make.SUBSCRIPTION in shown


def test_a_refusal_leaves_license_and_choice_as_they_were(signed_in, ada, now):
    first = make.license(now)
    services.set_connection(on=False, by="ada", via=Via.SETTINGS, now=now)
    for content, *_ in REFUSED.values():
        page_says(signed_in(ada), content(now))
    assert services.current() == first
    assert License.objects.count() == ConnectionChoice.objects.count() == 1


# Documented defects of the product this one follows


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["urn:f5:teem"]},
        {"f5_order_type": None},
        {"f5_order_type": "nfr"},
        {"jti": None},
        {"exp": 4_000_000_000},
        {"something_new": {"nested": [1, 2]}},
        {"sub": "TST-0b5f3a52-6f0e-4b0e-9b44-0d9a4c8a5c11"},
        {"sub": "A-S00198432"},
    ],
    ids=str,
)
@pytest.mark.parametrize("spelling", ["{}", "\ufeff{}\r\n", "\n\n  {}  "])
def test_42598_a_valid_license_is_never_called_invalid(
    signed_in, ada, now, changes, spelling
):
    text = spelling.format(make.token(now, **changes))
    file = SimpleUploadedFile("x.txt", text.encode())
    assert signed_in(ada).post(ADD, {"file": file}).status_code == 302
    assert services.state(now).phase == "valid"


def test_42598_a_clock_some_minutes_slow_makes_no_license_invalid(now):
    make.license(now, iat=int(now.timestamp()) + 299)
    assert services.state(now).phase == "valid"


@pytest.mark.parametrize("days", [50, 200])
def test_43580_an_expired_license_is_replaced_on_the_page(signed_in, ada, now, days):
    make.license(now - timedelta(days=days), days=20)
    browser = signed_in(ada)
    assert "Replace license" in browser.get("/ui/settings/license").content.decode()
    fresh = make.token(now, sub="SBX-22222222").encode()
    file = SimpleUploadedFile("license.jwt", fresh)
    assert browser.post(ADD, {"file": file}).status_code == 302
    assert services.state(now).phase == "valid"


@pytest.mark.parametrize("days", [50, 200])
def test_43580_an_expired_license_is_terminated_on_the_page(signed_in, ada, now, days):
    make.license(now - timedelta(days=days), days=20)
    answer = signed_in(ada).post(TERMINATE, {"confirm": make.SUBSCRIPTION})
    assert answer.status_code == 302
    assert services.current() is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("on", [True, False])
def test_43606_an_upgrade_changes_neither_license_nor_choice(now, on):
    first = make.license(now)
    services.set_connection(on=not on, by="ada", via=Via.SETTINGS, now=now)
    services.set_connection(on=on, by="ada", via=Via.SETTINGS, now=now)
    newest = list(ConnectionChoice.objects.values_list("pk", "value"))
    executor = MigrationExecutor(connection)
    leaves = executor.loader.graph.leaf_nodes()
    executor.migrate([("licensing", "0001_initial")])
    MigrationExecutor(connection).migrate(leaves)
    assert services.connection_on() is on
    assert list(ConnectionChoice.objects.values_list("pk", "value")) == newest
    assert services.current() == first
    assert services.state(now).phase == "valid"


def test_the_answer_never_holds_what_was_uploaded(signed_in, ada, now):
    secret = make.token(now, aud="urn:f5:other")
    shown = page_says(signed_in(ada), secret.encode())
    assert secret[:60] not in shown
    assert secret.split(".")[2][:40] not in shown
    body = json.dumps(call("POST", LICENSE, document(secret)).json())
    assert secret[:60] not in body
