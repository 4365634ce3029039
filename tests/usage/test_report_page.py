"""Settings > License: usage reporting, and every report."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import zipfile
from datetime import timedelta

import pytest
import time_machine
from django.test import Client

from audit.models import Record
from common import setup
from common.models import Via
from licensing import services as licensing
from nms_admin import activity
from tests.conftest import PASSWORD
from tests.usage.conftest import used
from usage import delivery, reports
from usage.models import Report

pytestmark = pytest.mark.django_db
LICENSE = "/ui/settings/license"
REPORTS = f"{LICENSE}/reports"
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _now(clock):
    """The server's clock shows noon."""
    with time_machine.travel(clock.now, tick=False) as traveller:
        clock.traveller = traveller
        yield


def text(response) -> str:
    page = re.sub(r"<(script|svg)\b.*?</\1>", "", response.content.decode(), flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def send(client: Client, **fields: str):
    return client.post(f"{LICENSE}/send-usage", fields, follow=True)


def deliver(clock) -> None:
    delivery.deliver(clock)


def test_the_way_of_a_report_from_the_button_to_the_receipt(
    licensed, vendor, clock, otto, signed_in
) -> None:
    used(clock.now.date() - DAY, 48)
    client = signed_in(otto)
    first = text(client.get(LICENSE))
    assert "Last report None yet" in first
    assert "Next report Its time is chosen within a minute" in first
    assert "Only an administrator can change this You can send usage." in first
    assert "also with Continuous Connection off" in first
    shown = text(send(client))
    assert "Report built, 48 instances," in shown
    assert "Uploading to the test receiver" in shown
    deliver(clock)
    answer = client.get(f"{LICENSE}/send-usage/outcome", headers={"hx-request": "true"})
    assert answer.status_code == 286
    ended = text(answer)
    assert "The test receiver accepted the usage report" in ended
    assert Report.objects.get().receipt in ended
    assert "Report again by 22 May 2027" in ended
    assert "hx-get" not in answer.content.decode()
    assert 'id="usage"' in answer.content.decode(), "the card beside it is new too"
    assert "Last report Accepted 23 Nov 2026, 12:00 UTC" in ended
    page = text(client.get(LICENSE))
    assert "Accepted 23 Nov 2026, 12:00 UTC" in page


def test_the_acknowledgement_is_shown_and_given_as_it_came(
    licensed, vendor, clock, otto, vera, signed_in
) -> None:
    client = signed_in(otto)
    send(client)
    deliver(clock)
    report = Report.objects.get()
    body = bytes(report.acknowledgement)
    address = f"{LICENSE}/reports/{report.pk}"
    shown = text(client.get(address))
    assert "a signature over it, which holds" in shown
    assert hashlib.sha256(body).hexdigest() in shown
    assert f"&quot;reportId&quot;:&quot;{report.pk}&quot;" in shown
    assert client.get(f"{address}/acknowledgement").content == body
    record = Record.objects.get(action="usage.acknowledgement_downloaded")
    assert (record.actor, record.subject) == ("otto", str(report.pk))
    assert "reportId" not in text(signed_in(vera).get(address))


def test_the_card_asks_again_until_something_changes(
    licensed, vendor, clock, otto, signed_in
) -> None:
    client = signed_in(otto)
    page = send(client).content.decode()
    address = re.search(r'hx-get="([^"]+outcome[^"]*)"', page)[1]
    asked = client.get(address, headers={"hx-request": "true"})
    assert asked.status_code == 204
    deliver(clock)
    assert client.get(address, headers={"hx-request": "true"}).status_code == 286
    assert client.get(address).status_code == 302


def test_who_asks_twice_reads_since_when_and_by_whom(
    licensed, vendor, clock, otto, ada, signed_in
) -> None:
    send(signed_in(otto))
    clock.traveller.shift(7)
    shown = text(send(signed_in(ada)))
    assert "A report is already being sent (started 7 s ago by otto)." in shown
    assert Report.objects.count() == 1


def test_nothing_new_can_be_sent_anyway(
    licensed, vendor, clock, otto, signed_in
) -> None:
    used(clock.now.date() - DAY, 3)
    client = signed_in(otto)
    send(client)
    deliver(clock)
    shown = text(send(client))
    assert "No usage since the last report at 23 Nov 2026, 12:00 UTC" in shown
    assert "Send anyway" in shown
    assert Report.objects.count() == 1
    shown = text(send(client, anyway="1"))
    assert "Report built, no usage," in shown
    assert Report.objects.count() == 2


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (
            401,
            "did not accept the report 401: the license was not recognised. The report is"
            " kept and nothing is lost. An administrator has to replace the license",
        ),
        (400, "did not accept the report It was refused (400). Nothing is lost"),
        (503, "The report waits localhost:"),
    ],
)
def test_an_error_says_what_still_works_and_what_is_next(
    licensed, vendor, clock, otto, signed_in, status, words
) -> None:
    client = signed_in(otto)
    vendor.fails("status", status=status)
    send(client)
    deliver(clock)
    assert words in text(client.get(LICENSE))


def test_without_a_valid_license_there_is_no_button(
    licensed, vendor, clock, otto, signed_in
) -> None:
    client = signed_in(otto)
    clock.traveller.shift(timedelta(days=365 + 91))
    client = signed_in(otto)
    page = client.get(LICENSE)
    assert "The license is not valid now" in text(page)
    assert "Send Usage to F5" not in page.content.decode()
    assert "The license is not valid now" in text(send(client))
    assert Report.objects.count() == 0


def test_a_disconnected_server_says_that_reports_are_carried_by_hand(
    licensed, vendor, otto, signed_in
) -> None:
    row = setup.current()
    row.operation_mode = "disconnected"
    row.save()
    assert "Reports are carried by hand" in text(signed_in(otto).get(LICENSE))


def test_a_waiting_report_goes_only_when_it_is_sent(
    licensed, vendor, clock, otto, signed_in
) -> None:
    reports._planned(clock.now)
    reports.build_due(reports.next_at())
    licensing.set_connection(on=False, by="ada", via=Via.SETTINGS, now=clock.now)
    page = text(signed_in(otto).get(LICENSE))
    assert "it goes only when you send it" in page
    assert "Not planned Continuous Connection is off" in page


def test_a_viewer_sees_reports_but_no_payload_and_no_button(
    licensed, vendor, clock, otto, vera, signed_in
) -> None:
    used(clock.now.date() - DAY, 3)
    send(signed_in(otto))
    deliver(clock)
    report = Report.objects.get()
    client = signed_in(vera)
    page = client.get(LICENSE).content.decode()
    assert "Send Usage to F5" not in page
    one = text(client.get(f"{REPORTS}/{report.pk}"))
    assert report.digest in one
    assert "Your role cannot view payloads." in one
    assert "schemaVersion" not in one
    assert "schemaVersion" not in text(client.get(f"{REPORTS}/next"))
    assert client.get(f"{REPORTS}/{report.pk}/download").status_code == 403


def test_the_list_tells_how_each_report_went(
    licensed, vendor, clock, otto, signed_in
) -> None:
    used(clock.now.date() - DAY, 3)
    client = signed_in(otto)
    assert "None yet" in text(client.get(REPORTS))
    send(client)
    deliver(clock)
    shown = text(client.get(REPORTS))
    report = Report.objects.get()
    for words in ("22 Nov 2026", "otto", "Manual", "Accepted", report.receipt[:8]):
        assert words in shown
    assert report.file_sha256 in client.get(REPORTS).content.decode()


def test_one_report_shows_totals_calls_and_exact_content(
    licensed, vendor, clock, otto, signed_in
) -> None:
    used(clock.now.date() - DAY, 3)
    client = signed_in(otto)
    send(client)
    deliver(clock)
    report = Report.objects.get()
    shown = text(client.get(f"{REPORTS}/{report.pk}"))
    for words in (
        "NGINX instances",
        "Download of the acknowledgement",
        "Its signature holds",
        "schemaVersion",
        report.file_sha256,
        report.digest,
    ):
        assert words in shown


def test_the_download_is_what_was_sent_and_is_recorded(
    licensed, vendor, clock, otto, signed_in
) -> None:
    used(clock.now.date() - DAY, 3)
    client = signed_in(otto)
    send(client)
    deliver(clock)
    report = Report.objects.get()
    answer = client.get(f"{REPORTS}/{report.pk}/download")
    assert answer.content == vendor.archives[0]
    assert hashlib.sha256(answer.content).hexdigest() == report.file_sha256
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        assert all("jwt" not in name for name in opened.namelist())
    assert answer["Content-Type"] == "application/zip"
    record = Record.objects.get(action="usage.report_downloaded")
    assert (record.actor, record.subject) == ("otto", str(report.pk))
    assert activity.line(record).sentence == "otto downloaded a usage report"


def test_after_retention_the_digests_stay(
    licensed, vendor, clock, otto, signed_in
) -> None:
    client = signed_in(otto)
    send(client)
    deliver(clock)
    reports.prune(clock.now + DAY * 401)
    report = Report.objects.get()
    page = text(client.get(f"{REPORTS}/{report.pk}"))
    assert report.digest in page
    assert "not kept any more" in page
    assert client.get(f"{REPORTS}/{report.pk}/download").status_code == 302


def test_the_next_report_is_shown_and_not_stored(
    licensed, vendor, clock, otto, signed_in
) -> None:
    used(clock.now.date() - DAY, 3)
    shown = text(signed_in(otto).get(f"{REPORTS}/next"))
    assert "NGINX_INSTANCES" in shown
    assert "marked-host" not in shown
    assert Report.objects.count() == 0


def test_telemetry_shows_product_usage_as_a_data_point(
    licensed, vendor, clock, otto, signed_in
) -> None:
    client = signed_in(otto)
    page = text(client.get("/ui/settings/telemetry"))
    assert "Once a day, or when somebody selects Send Usage to F5" in page
    send(client)
    deliver(clock)
    shown = client.get("/ui/settings/telemetry").content.decode()
    assert f"{REPORTS}/{Report.objects.get().pk}" in shown
    data = client.get("/ui/settings/telemetry/data-points.json").json()
    names = [one["name"] for one in data["usageReport"]["dataPoints"]]
    assert names == ["product_usage", "instance_usage"]


def call(user):
    pair = base64.b64encode(f"{user.username}:{PASSWORD}".encode()).decode()
    return Client().post(
        "/api/platform/v1/report/send", headers={"Authorization": f"Basic {pair}"}
    )


def test_the_api_sends_and_says_the_same_report_when_nothing_is_new(
    licensed, vendor, clock, otto
) -> None:
    used(clock.now.date() - DAY, 3)
    first = call(otto)
    assert first.status_code == 202
    said = first.json()
    assert said["status"] == "waiting"
    deliver(clock)
    again = call(otto)
    assert again.status_code == 200
    report = Report.objects.get()
    assert again.json() == said | {"status": "accepted", "receiptId": report.receipt}
    assert said["reportId"] == str(report.pk)
    assert said["digest"] == report.digest
    assert b": " not in again.content
    assert Record.objects.get(action="usage.report_selected").via == "api"


def test_the_api_refuses_with_what_to_do(finished, vendor, otto) -> None:
    answer = call(otto)
    assert answer.status_code == 402
    assert "Add the JSON Web Token" in answer.json()["message"]


def test_overview_leads_to_a_refused_report(
    licensed, vendor, clock, otto, signed_in
) -> None:
    client = signed_in(otto)
    vendor.fails("status", times=1, status=400)
    send(client)
    deliver(clock)
    page = client.get("/ui/").content.decode()
    assert "The usage report was refused" in page
    assert f"{REPORTS}/{Report.objects.get().pk}" in page
