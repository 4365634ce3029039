"""Where the vendor's keys came from, what is missing, what ends: page and doctor."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from django.conf import settings as site
from django.urls import reverse

from common.models import Via
from egress import gate
from licensing import keys, services
from licensing.models import FetchedKeys
from nms_admin.doctor import local
from tests import make

pytestmark = pytest.mark.django_db
PAGE = "/ui/settings/license"
TITLE = "The certificate of F5’s key v1 ends on 24 Jan 2027"


@pytest.fixture
def text(signed_in, ada, now):
    """Return a function that reads the page as ada at noon."""

    def read(path: str = PAGE) -> str:
        with time_machine.travel(now, tick=False):
            page = signed_in(ada).get(path).content.decode()
        return " ".join(re.sub("<[^>]+>", "", page).split())

    return read


def certified(ends: datetime) -> dict[str, object]:
    """Return a key set whose key carries a certificate, as the vendor's does."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vendor")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(make.private_key().public_key())
        .serial_number(1)
        .not_valid_before(datetime(2022, 1, 25, tzinfo=UTC))
        .not_valid_after(ends)
        .sign(make.private_key(), hashes.SHA256())
    )
    der = certificate.public_bytes(serialization.Encoding.DER)
    return make.jwks(x5c=[base64.b64encode(der).decode()])


def waits(now) -> None:
    content = make.token(now, header={"kid": "v7"}).encode()
    services.apply_license(content=content, by="ada", via=Via.SETTINGS, now=now)


def doctor(now) -> list[str]:
    with time_machine.travel(now, tick=False):
        return [one.found for one in local() if one.name == "license keys"]


def test_the_end_of_the_vendors_certificate_is_shown_in_advance(text, now):
    make.license(now)
    make.keys_file(certified(datetime(2027, 1, 24, tzinfo=UTC)))
    shown = text()
    assert TITLE in shown
    assert "Its certificate ends on 24 Jan 2027" in shown
    assert TITLE in text("/ui/")


def test_a_warning_about_the_license_comes_first(text, now):
    make.license(now, days=5)
    make.keys_file(certified(datetime(2027, 1, 24, tzinfo=UTC)))
    assert "License expires in 5 days" in text()
    assert TITLE not in text()


def test_a_certificate_that_cannot_be_read_is_none(text, now):
    make.license(now)
    make.keys_file(make.jwks(x5c=["bm8gY2VydGlmaWNhdGU="]))
    assert "certificate ends" not in text()


def test_the_page_names_where_each_key_came_from_and_when(text, now):
    make.license(now)
    newer = make.jwks(make.private_key("newer"), kid="v2")
    FetchedKeys.objects.create(
        pk=1,
        url=site.NMS_JWKS_URL,
        content=json.dumps(newer),
        fetched_at=now - timedelta(hours=6),
    )
    shown = text()
    assert "From the file of NMS_JWKS_FILE" in shown
    assert "From localhost:8001" in shown
    assert "Fetched 23 Nov 2026" in shown


def test_a_missing_key_is_named_and_asked_for_when_somebody_selects_it(
    text, signed_in, ada, now
):
    waits(now)
    gate.pause("keys", 403, now)
    error = "localhost:8001: It refused the license (403)."
    FetchedKeys.objects.create(pk=1, tried_at=now, error=error)
    shown = text()
    assert "This license names key v7, which is not here." in shown
    assert error in shown
    later = now + timedelta(minutes=1)
    with time_machine.travel(later, tick=False):
        signed_in(ada).post(reverse("license-ask-again"))
    assert keys.last_try().asked_at == later
    assert gate.paused("keys") is None


def test_doctor_names_the_missing_key_the_failure_and_the_end(db, now):
    waits(now)
    make.keys_file(certified(datetime(2027, 1, 24, tzinfo=UTC)))
    FetchedKeys.objects.create(pk=1, tried_at=now, error="localhost:8001: no answer.")
    keys_here, missing, failed, ending = doctor(now)
    assert keys_here == f"v1 from {site.NMS_JWKS_FILE}"
    assert missing == "the license names key v7, which is not here"
    assert failed == "not fetched: localhost:8001: no answer."
    assert ending.startswith(TITLE)
