"""Settings > License on a disconnected server: four steps from report to receipt."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
import time_machine
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile

from audit.models import Record
from tests.usage.conftest import used
from tests.usage.test_offline import (  # noqa: F401  (fixtures)
    acknowledged,
    disconnected,
    opaque,
)
from tests.usage.test_report_page import LICENSE, text
from usage.models import Report

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _now(clock):
    with time_machine.travel(clock.now, tick=False):
        yield


@pytest.fixture
def client(licensed, disconnected, clock, ada, signed_in):  # noqa: F811
    used(clock.now.date() - DAY, 48)
    return signed_in(ada)


def prepare(client):
    return client.post(f"{LICENSE}/report", follow=True)


def download(client) -> bytes:
    number = Report.objects.open().get().pk
    return client.get(f"{LICENSE}/reports/{number}/download").content


def add(client, body: bytes | None, **fields: object):
    if body is not None:
        fields["file"] = SimpleUploadedFile("ack.zip", body)
    return client.post(f"{LICENSE}/acknowledgement", fields, follow=True)


def test_the_way_of_a_carried_report_in_four_steps(client, sandbox_data) -> None:
    first = text(client.get(LICENSE))
    assert "Prepare the report" in first
    assert "usage cannot be sent from here" in first
    assert "Send Usage to F5" not in first
    ready = text(prepare(client))
    report = Report.objects.get()
    assert f"usage-report-{report.pk}.zip" in ready
    assert "48 instances" in ready
    assert report.file_sha256 in ready
    archive = download(client)
    page = text(client.get(LICENSE))
    assert "Downloaded by ada, 23 Nov 2026, 12:00 UTC" in page
    assert "/entitlements/telemetry/bulk/status/ID" in page
    done = text(add(client, acknowledged(archive, sandbox_data)))
    assert f"Report {report.pk} is accepted." in done
    assert "Report again by 22 May 2027" in done
    assert "Accepted" in done
    assert "for the last report" in done
    assert "for the last report" not in page


def test_the_page_offers_the_courier_and_its_digest(client) -> None:
    prepare(client)
    page = text(client.get(LICENSE))
    given = client.get(f"{LICENSE}/courier.py").content
    assert given == (settings.BASE_DIR / "courier.py").read_bytes()
    assert hashlib.sha256(given).hexdigest() in page
    assert f"--report usage-report-{Report.objects.get().pk}.zip" in page
    assert f"--url {settings.NMS_F5_API_URL}" in page


def test_the_same_file_again_is_named_and_changes_nothing(client, sandbox_data) -> None:
    prepare(client)
    said = acknowledged(download(client), sandbox_data)
    add(client, said)
    again = text(add(client, said))
    assert Record.objects.get(action="usage.acknowledged").via == "settings"
    assert "Already uploaded on 23 Nov 2026 by ada." in again


def test_a_wrong_file_says_what_to_bring(client, sandbox_data) -> None:
    prepare(client)
    archive = download(client)
    other = acknowledged(archive, sandbox_data, reportId="91c07f3a")
    assert "belongs to report 91c07f3a" in text(add(client, other))
    assert "is not a .zip file" in text(add(client, b"<html>"))
    assert "Choose the .zip" in text(add(client, None))
    assert Report.objects.open().exists()


def test_in_live_mode_the_administrator_confirms_what_cannot_be_checked(
    client, settings
) -> None:
    settings.SANDBOX = False
    prepare(client)
    download(client)
    assert "cannot be checked here" in text(add(client, opaque()))
    assert Report.objects.open().exists()
    assert "is accepted" in text(add(client, opaque(), confirm="on"))


def test_a_viewer_sees_the_steps_and_can_change_nothing(
    client, vera, signed_in
) -> None:
    prepare(client)
    page = signed_in(vera).get(LICENSE)
    assert "An Administrator can upload it." in text(page)
    assert 'type="file"' not in page.content.decode()


def test_a_connected_server_shows_no_steps(licensed, ada, signed_in) -> None:
    assert "Carry a usage report" not in text(signed_in(ada).get(LICENSE))
