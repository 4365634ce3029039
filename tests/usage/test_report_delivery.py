"""From what was used to an acknowledgement, on good days and on bad ones."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from datetime import timedelta

import pytest

from audit import services as audit
from audit.models import Record
from common.models import Via
from egress import gate
from egress.models import Attempt
from licensing import services as licensing
from sandbox.app import BULK
from tests import make
from tests.racing import at_once
from tests.usage.conftest import used
from usage import delivery, document, reports
from usage.models import Report, Schedule

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
DAY = timedelta(days=1)


def select(clock, **more) -> Report:
    used(clock.now.date() - DAY, 3)
    more = {"by": "otto", "via": Via.SETTINGS, "now": clock.now, **more}
    return reports.send(**more).report


def plan(clock) -> Report:
    used(clock.now.date() - DAY, 3)
    Schedule.objects.update_or_create(pk=1, defaults={"next_at": clock.now})
    report = reports.build_due(clock.now)
    assert report
    return report


def only() -> Report:
    return Report.objects.get()


def connect(clock, *, on: bool) -> None:
    licensing.set_connection(on=on, by="ada", via=Via.SETTINGS, now=clock.now)


@pytest.mark.parametrize("detail", ["totals", "instances"])
def test_page_report_and_receiver_have_the_same_bytes(
    licensed, vendor, clock, settings, detail, ada, signed_in
) -> None:
    settings.NMS_USAGE_DETAIL = detail
    report = select(clock)
    delivery.deliver(clock)
    (archive,) = vendor.archives
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        manifest = opened.read("manifest.json")
    page = signed_in(ada).get(f"/ui/settings/license/reports/{report.pk}")
    for content, stored in ((archive, report.file_sha256), (manifest, report.digest)):
        digest = hashlib.sha256(content).hexdigest()
        assert digest == stored
        assert digest in page.content.decode()


def test_a_report_is_uploaded_checked_and_acknowledged(licensed, vendor, clock) -> None:
    select(clock)
    delivery.deliver(clock)
    report = only()
    assert report.accepted_at == clock.now
    assert report.acknowledgement_checked
    said = json.loads(zipped(bytes(report.acknowledgement))["acknowledgement.json"])
    assert said["receiptId"] == report.receipt
    assert (said["reportId"], said["reportSha256"]) == (str(report.pk), report.digest)
    assert [one.path.split("/bulk")[1].split("/")[:2] for one in vendor.calls] == [
        [""],
        ["", "status"],
        ["", "download"],
    ]
    upload = vendor.uploads[0]
    assert upload.fields["idempotency-key"] == str(report.pk)
    assert upload.fields["authorization"].startswith("Bearer eyJ")
    assert sorted(upload.fields) == [
        "authorization",
        "content-length",
        "content-type",
        "host",
        "idempotency-key",
        "user-agent",
    ]


def zipped(body: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_every_call_is_written_down_and_recorded(licensed, vendor, clock) -> None:
    report = select(clock)
    delivery.deliver(clock)
    tries = Attempt.objects.filter(kind="report", item=str(report.pk)).order_by("pk")
    assert [(one.destination, one.outcome, one.status) for one in tries] == [
        ("usage", "accepted", 202),
        ("usage-status", "accepted", 200),
        ("usage-download", "accepted", 200),
    ]
    sent = Record.objects.filter(action="delivery.sent").order_by("sequence")
    assert (
        sent[0].details["sha256"] == hashlib.sha256(vendor.uploads[0].body).hexdigest()
    )
    assert sent[0].details["destination"].endswith(BULK)
    assert audit.verify() is None


def test_a_retry_is_the_same_request(licensed, vendor, clock) -> None:
    vendor.fails("reset_after", times=1)
    select(clock)
    delivery.deliver(clock)
    assert only().uploaded_at is None
    clock.forward(seconds=6)
    delivery.deliver(clock)
    first, again = vendor.uploads
    assert first.body == again.body
    assert dict(first.headers) == dict(again.headers)
    assert only().accepted_at
    assert vendor.box.store.stats()["reports_repeated"] == 1


@pytest.mark.parametrize(
    ("mode", "args"),
    [
        ("html", {}),
        ("array", {}),
        ("empty", {}),
        ("status", {"status": 200, "body": '{"statusLink":"/status/7"}'}),
        ("status", {"status": 202, "body": "{}"}),
        ("status", {"status": 202, "body": '{"statusLink":"/status/.."}'}),
        ("status", {"status": 503}),
        ("redirect", {"status": 302}),
        ("garbage", {}),
        ("huge", {"mb": 1}),
    ],
)
def test_what_is_no_acceptance_is_tried_again_after_a_while(
    licensed, vendor, clock, mode, args
) -> None:
    vendor.fails(mode, times=1, **args)
    select(clock)
    delivery.deliver(clock)
    report = only()
    assert (report.uploaded_at, report.accepted_at, report.dead_at) == (
        None,
        None,
        None,
    )
    assert clock.now < report.due_at <= clock.now + timedelta(seconds=5)
    assert Attempt.objects.get().sentence
    clock.forward(seconds=6)
    delivery.deliver(clock)
    assert only().accepted_at == clock.now


@pytest.mark.parametrize(
    "link", ["/status/{}", f"{BULK}/status//status/{{}}", "{}", f"{BULK}/status/{{}}/"]
)
def test_every_form_of_the_link_is_understood(licensed, vendor, clock, link) -> None:
    vendor.fails("reset_after", times=1)  # the upload is there, its answer is not
    select(clock)
    delivery.deliver(clock)
    (number,) = vendor.box.store._reports
    answer = json.dumps({"statusLink": link.format(number)})
    vendor.fails("status", times=1, status=202, body=answer)
    clock.forward(seconds=6)
    delivery.deliver(clock)
    assert only().status_id == number
    assert only().accepted_at


def test_while_it_is_checked_it_is_asked_again_less_and_less_often(
    licensed, vendor, clock
) -> None:
    going = (
        '{"percentageComplete":65,"percentageSuccessful":0,"readyForDownload":false}'
    )
    vendor.fails("status", path=f"{BULK}/status", status=200, body=going)
    select(clock)
    assert delivery.deliver(clock) == 5
    assert (only().percent, only().accepted_at) == (65, None)
    assert delivery.deliver(clock) == 0
    assert len(vendor.calls) == 2
    clock.forward(hours=1)
    assert delivery.deliver(clock) == 0
    assert only().due_at == clock.now + timedelta(minutes=10)
    vendor.recovers()
    clock.forward(minutes=10)
    delivery.deliver(clock)
    assert only().accepted_at == clock.now


def test_an_upload_the_vendor_lost_is_made_again(licensed, vendor, clock) -> None:
    vendor.fails("status", path=f"{BULK}/status", times=1, status=404)
    select(clock)
    delivery.deliver(clock)
    clock.forward(seconds=6)
    delivery.deliver(clock)
    assert len(vendor.uploads) == 2
    assert vendor.archives[0] == vendor.archives[1]
    assert only().accepted_at


def test_an_acknowledgement_of_another_report_ends_nothing(
    licensed, vendor, clock
) -> None:
    other = "91c07f3a-52f4-4b5d-8a57-3c2f1e7d9b20"
    foreign = json.dumps({"reportId": other, "reportSha256": "0", "receiptId": "r"})
    vendor.box.store.settle_report("foreign", foreign.encode())
    vendor.fails("status", times=1, status=202, body='{"statusLink":"/status/foreign"}')
    report = select(clock)
    delivery.deliver(clock)
    assert only().accepted_at is None
    sentence = Attempt.objects.latest("pk").sentence
    assert other in sentence
    assert str(report.pk) in sentence


def test_an_acknowledgement_signed_by_somebody_else_ends_nothing(
    licensed, vendor, clock
) -> None:
    make.keys_file(make.jwks(make.private_key("stranger")))
    select(clock)
    delivery.deliver(clock)
    assert only().accepted_at is None
    assert "signature" in Attempt.objects.latest("pk").sentence


def test_an_opaque_acknowledgement_is_kept_and_not_checked(
    licensed, vendor, clock, monkeypatch
) -> None:
    opaque = io.BytesIO()
    with zipfile.ZipFile(opaque, "w") as archive:
        archive.writestr("manifest.bin", b"opaque")
    monkeypatch.setattr("sandbox.app.package", lambda *_: opaque.getvalue())
    select(clock)
    delivery.deliver(clock)
    report = only()
    assert report.accepted_at
    assert bytes(report.acknowledgement) == opaque.getvalue()
    assert (report.receipt, report.acknowledgement_checked) == ("", False)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(400, "was refused (400)"), (413, "no report of"), (422, "was refused (422)")],
)
def test_a_refused_report_is_put_aside_with_the_reason(
    licensed, vendor, clock, status, reason
) -> None:
    vendor.fails("status", times=1, status=status)
    select(clock)
    delivery.deliver(clock)
    report = only()
    assert report.dead_at == clock.now
    assert reason in report.dead_reason
    delivery.deliver(clock)
    assert len(vendor.uploads) == 1


def test_a_refused_license_pauses_until_somebody_sends_again(
    licensed, vendor, clock
) -> None:
    vendor.fails("status", times=1, status=401)
    select(clock)
    delivery.deliver(clock)
    clock.forward(hours=5)
    delivery.deliver(clock)
    assert len(vendor.uploads) == 1
    assert only().attempts == 0
    assert gate.paused("usage").status == 401
    assert gate.paused("telemetry") is None
    select(clock)
    delivery.deliver(clock)
    assert only().accepted_at


def test_a_refused_license_pauses_until_the_license_changes(
    licensed, vendor, clock
) -> None:
    vendor.fails("status", times=1, status=403)
    select(clock)
    delivery.deliver(clock)
    clock.forward(hours=5)
    make.license(clock.now, jti="another")
    delivery.deliver(clock)
    first, again = vendor.uploads
    assert first.body == again.body
    assert first.fields["authorization"] != again.fields["authorization"]
    assert only().accepted_at


def test_a_daily_report_goes_only_with_continuous_connection_on(
    licensed, vendor, clock
) -> None:
    plan(clock)
    connect(clock, on=False)
    delivery.deliver(clock)
    assert vendor.calls == []
    connect(clock, on=True)
    delivery.deliver(clock)
    assert only().accepted_at


def test_off_in_the_last_moment_stops_it_before_the_first_byte(
    licensed, vendor, clock
) -> None:
    plan(clock)
    claimed = delivery.claim(clock.now)
    connect(clock, on=False)
    assert not delivery.may_go(claimed, clock.now)
    assert not delivery._still_mine(claimed, clock)


def test_what_somebody_sends_goes_with_continuous_connection_off(
    licensed, vendor, clock
) -> None:
    plan(clock)
    connect(clock, on=False)
    reports.send(by="otto", via=Via.API, now=clock.now)
    delivery.deliver(clock)
    assert only().accepted_at


def test_a_terminated_license_stops_the_report(licensed, vendor, clock) -> None:
    select(clock)
    licensing.terminate(
        confirmation=make.SUBSCRIPTION, by="ada", via=Via.SETTINGS, now=clock.now
    )
    delivery.deliver(clock)
    assert vendor.calls == []


def test_a_worker_that_died_leaves_the_report_to_the_next(
    licensed, vendor, clock
) -> None:
    select(clock)
    assert delivery.claim(clock.now)
    assert delivery.claim(clock.now) is None
    clock.forward(seconds=99)
    delivery.deliver(clock)
    assert vendor.calls == []
    clock.forward(seconds=2)
    delivery.deliver(clock)
    assert (only().crashes, bool(only().accepted_at)) == (1, True)


def test_a_report_a_wrong_clock_put_off_goes_when_the_clock_is_right(
    licensed, vendor, clock
) -> None:
    used(clock.now.date() - timedelta(days=1))
    right = clock.now
    clock.forward(days=200)
    reports.send(by="ada", via=Via.SETTINGS, now=clock.now)
    vendor.fails("status", times=1, status=503)
    delivery.deliver(clock)
    clock.now = right
    delivery.deliver(clock)
    assert Report.objects.get().receipt


def test_a_late_worker_cannot_settle(licensed, vendor, clock) -> None:
    select(clock)
    late = delivery.claim(clock.now)
    clock.forward(seconds=101)
    assert delivery.claim(clock.now)
    assert not delivery.settle(late, accepted_at=clock.now)
    assert only().accepted_at is None


def test_a_report_that_ends_five_workers_is_dead(licensed, vendor, clock) -> None:
    select(clock)
    for _ in range(5):
        assert delivery.claim(clock.now)
        clock.forward(seconds=101)
    assert delivery.claim(clock.now) is None
    assert "ended the worker 5 times" in only().dead_reason


@pytest.mark.django_db(transaction=True)
def test_workers_that_deliver_at_once_upload_once(licensed, vendor, clock) -> None:
    select(clock)
    at_once(4, lambda: delivery.deliver(clock))
    delivery.deliver(clock)
    assert len(vendor.uploads) == 1
    assert only().accepted_at


def test_the_stored_report_can_be_read_again(licensed, vendor, clock) -> None:
    report = select(clock)
    kept = document.read(reports.archive_of(report))
    assert (kept.digest, kept.file_sha256) == (report.digest, report.file_sha256)
