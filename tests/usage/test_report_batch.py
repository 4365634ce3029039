"""NMS_USAGE_CHANNEL=batch: each file of a report by itself, and its answer the receipt."""

from __future__ import annotations

import gzip
import hashlib
import json
from datetime import date, timedelta

import pytest

from audit import services as audit
from audit.models import Record
from common import faults
from common.models import Via
from egress import gate
from egress.models import Attempt
from egress.transport import Answer
from licensing import services as licensing
from sandbox.app import BULK
from sandbox.server import Sandbox
from sandbox.wire import Request
from tests import make
from tests.racing import at_once
from tests.usage.conftest import used
from usage import batch, delivery, document, ledger, reports
from usage.errors import ReportRefused
from usage.models import Report, Total

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
PATH = "/api/nginx-usage/batch"
DAYS = [date(2026, 11, day) for day in (20, 21, 22)]


@pytest.fixture(autouse=True)
def _batch(licensed, vendor, settings) -> None:
    settings.NMS_USAGE_CHANNEL = "batch"
    settings.NMS_USAGE_BATCH_URL = f"http://localhost:{vendor.box.vendor.port}{PATH}"


@pytest.fixture
def three_files(settings, monkeypatch) -> None:
    """Three days in use with two instances each, a file for each day."""
    settings.NMS_USAGE_DETAIL = "instances"
    monkeypatch.setattr(document, "MOST_RECORDS", 4)
    for day in DAYS:
        used(day, 2)


def send(clock) -> Report:
    return reports.send(by="otto", via=Via.SETTINGS, now=clock.now).report


def select(clock) -> Report:
    used(DAYS[-1], 3)
    return send(clock)


def only() -> Report:
    return Report.objects.get()


def files_at(vendor) -> list[Request]:
    return vendor.box.store.arrivals(host="vendor", prefix=PATH)


def fails(vendor, mode: str, times: int | None = 1, **args: object) -> None:
    vendor.fails(mode, path=PATH, times=times, **args)


def test_the_file_of_a_report_is_sent_as_it_is_in_the_zip(vendor, clock) -> None:
    report = select(clock)
    kept = document.packed(reports.archive_of(report))
    delivery.deliver(clock)
    (sent,) = files_at(vendor)
    (file,) = report.files.all()
    assert sent.body == kept[file.name]
    assert hashlib.sha256(sent.body).hexdigest() == file.sha256
    assert vendor.uploads == []
    assert only().accepted_at == clock.now


def test_what_the_page_shows_before_and_after_is_what_is_sent(
    vendor, clock, ada, signed_in
) -> None:
    used(DAYS[-1], 3)
    browser = signed_in(ada)
    before = browser.get("/ui/settings/license/reports/next").content.decode()
    assert "Each file of records is sent by itself" in before
    report = send(clock)
    delivery.deliver(clock)
    (sent,) = files_at(vendor)
    records = json.loads(gzip.decompress(sent.body))
    for row in records:
        line = document.canonical(row).decode().replace('"', "&quot;")
        assert line in before
    page = browser.get(f"/ui/settings/license/reports/{report.pk}").content.decode()
    assert hashlib.sha256(sent.body).hexdigest() in page
    assert only().receipt in page
    assert "the answer to each file is its receipt" in page


def test_the_headers_are_the_documented_ones_and_a_key_of_the_file(
    vendor, clock, settings
) -> None:
    settings.NMS_F5_API_KEY = "marked-key"
    report = select(clock)
    delivery.deliver(clock)
    (sent,) = files_at(vendor)
    assert sent.fields["content-type"] == "application/gzip"
    assert sent.fields["idempotency-key"] == f"{report.pk}-01"
    assert sent.fields["authorization"].startswith("Bearer eyJ")
    assert sorted(sent.fields) == [
        "authorization",
        "content-length",
        "content-type",
        "host",
        "idempotency-key",
        "user-agent",
    ]


def test_each_file_is_written_down_recorded_and_receipted(
    three_files, vendor, clock
) -> None:
    report = send(clock)
    delivery.deliver(clock)
    tries = Attempt.objects.filter(kind="report", item=str(report.pk)).order_by("pk")
    assert [(one.destination, one.outcome, one.status) for one in tries] == [
        ("usage-batch", "accepted", 200)
    ] * 3
    sent = Record.objects.filter(action="delivery.sent").order_by("sequence")
    digests = [one.sha256 for one in files_at(vendor)]
    assert [one.details["sha256"] for one in sent] == digests
    assert all(one.details["destination"].endswith(PATH) for one in sent)
    assert audit.verify() is None
    receipts = [one.receipt for one in report.files.all()]
    assert len(set(receipts)) == 3
    assert only().receipt == receipts[-1]
    assert (only().left_out, only().attempts) == (0, 0)


@pytest.mark.parametrize("mode", ["reset_after", "truncated"])
def test_a_retry_is_the_same_request(vendor, clock, mode) -> None:
    fails(vendor, mode)
    select(clock)
    delivery.deliver(clock)
    assert only().accepted_at is None
    assert Attempt.objects.get().outcome == "unknown"
    clock.forward(seconds=6)
    delivery.deliver(clock)
    first, again = files_at(vendor)
    assert first.body == again.body
    assert dict(first.headers) == dict(again.headers)
    assert only().accepted_at
    stats = vendor.box.store.stats()
    assert (stats["files_unique"], stats["files_repeated"]) == (1, 1)


@pytest.mark.parametrize(
    ("mode", "args"),
    [
        ("html", {}),
        ("array", {}),
        ("wrong_id", {}),
        ("garbage", {}),
        ("huge", {"mb": 1}),
        ("redirect", {"status": 307}),
        ("status", {"status": 202, "body": "{}"}),
        ("status", {"status": 429, "retry_after": 5}),
        ("status", {"status": 503}),
    ],
)
def test_what_is_no_acceptance_is_tried_again_after_a_while(
    vendor, clock, mode, args
) -> None:
    fails(vendor, mode, **args)
    select(clock)
    delivery.deliver(clock)
    report = only()
    assert (report.uploaded_at, report.accepted_at, report.dead_at) == (None,) * 3
    assert [one.accepted for one in report.files.all()] == [None]
    assert clock.now < report.due_at <= clock.now + timedelta(seconds=5)
    clock.forward(seconds=6)
    delivery.deliver(clock)
    assert only().accepted_at == clock.now


@pytest.mark.parametrize(
    ("status", "body"), [(200, ""), (201, ""), (204, ""), (200, '{"taken":true}')]
)
def test_an_acceptance_without_a_receipt_is_one(vendor, clock, status, body) -> None:
    fails(vendor, "status", status=status, body=body)
    select(clock)
    delivery.deliver(clock)
    assert only().accepted_at == clock.now
    assert only().receipt == ""


def test_what_was_accepted_before_a_failure_is_not_sent_again(
    three_files, vendor, clock, monkeypatch
) -> None:
    reached = []

    def second(point: str) -> None:
        reached.append(point)
        if point == "usage.settled" and reached.count(point) == 1:
            fails(vendor, "status", status=503)

    monkeypatch.setattr(faults, "reach", second)
    report = send(clock)
    delivery.deliver(clock)
    assert [one.accepted for one in report.files.all()] == [True, None, None]
    assert only().percent == 33
    clock.forward(seconds=6)
    delivery.deliver(clock)
    keys = [one.fields["idempotency-key"][-2:] for one in files_at(vendor)]
    assert keys == ["01", "02", "02", "03"]
    assert only().accepted_at == clock.now


def test_a_worker_that_died_after_the_last_answer_leaves_nothing_to_send(
    vendor, clock, monkeypatch
) -> None:
    class Died(BaseException): ...

    def die(point: str) -> None:
        if point == "usage.settling":
            raise Died

    select(clock)
    with monkeypatch.context() as patch:
        patch.setattr(faults, "reach", die)
        with pytest.raises(Died):
            delivery.deliver(clock)
    assert only().accepted_at is None
    clock.forward(seconds=101)
    delivery.deliver(clock)
    assert only().accepted_at == clock.now
    assert only().receipt
    assert len(files_at(vendor)) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_file_refused_for_good_is_left_out_and_said_again(
    three_files, vendor, clock, status
) -> None:
    first = send(clock)
    fails(vendor, "status", status=status)
    delivery.deliver(clock)
    first.refresh_from_db()
    assert [one.accepted for one in first.files.all()] == [False, True, True]
    assert (first.accepted_at, first.left_out) == (clock.now, 1)
    assert ledger.Row(first).status == "partly_accepted"
    clock.forward(minutes=5)
    rest = send(clock)
    said = set(rest.totals.values_list("day", flat=True))
    assert said == {DAYS[0]}
    delivery.deliver(clock)
    rest.refresh_from_db()
    assert (rest.accepted_at, rest.left_out) == (clock.now, 0)


def test_a_report_of_which_no_file_is_accepted_is_put_aside_with_the_reason(
    vendor, clock
) -> None:
    fails(vendor, "status", status=413)
    select(clock)
    delivery.deliver(clock)
    report = only()
    assert (report.dead_at, report.accepted_at) == (clock.now, None)
    assert report.dead_reason == "No file of it was accepted. It is too large (413)."
    assert Total.objects.filter(report__dead_at=None).count() == 0
    again = send(clock)
    assert again.totals.count() == report.totals.count()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_license_pauses_this_way_alone(vendor, clock, status) -> None:
    fails(vendor, "status", status=status)
    select(clock)
    delivery.deliver(clock)
    clock.forward(hours=5)
    delivery.deliver(clock)
    assert len(files_at(vendor)) == 1
    assert gate.paused("usage-batch").status == status
    assert gate.paused("usage") is None
    assert delivery.stopped()
    make.license(clock.now, jti="another")
    delivery.deliver(clock)
    first, again = files_at(vendor)
    assert first.body == again.body
    assert only().accepted_at


def test_its_host_has_a_gate_of_its_own(vendor, clock, settings, sandbox_data) -> None:
    with Sandbox(sandbox_data) as other:
        settings.NMS_USAGE_BATCH_URL = f"http://localhost:{other.vendor.port}{PATH}"
        vendor.box, first = other, vendor.box
        fails(vendor, "status", status=503)
        select(clock)
        delivery.deliver(clock)
        assert gate.state(f"localhost:{other.vendor.port}").failures == 1
        assert gate.state(f"localhost:{first.vendor.port}") is None
        assert first.store.arrivals(host="vendor") == []
        assert delivery.trouble(only()).sentence
        send(clock)  # somebody asks: at once
        delivery.deliver(clock)
        assert only().accepted_at == clock.now


def test_the_choice_is_asked_again_right_before_each_file(
    three_files, vendor, clock, monkeypatch
) -> None:
    def off(point: str) -> None:
        if point == "egress.opened" and len(files_at(vendor)) == 1:
            licensing.set_connection(
                on=False, by="ada", via=Via.SETTINGS, now=clock.now
            )

    report = send(clock)
    Report.objects.update(selected_at=None)  # as the daily one
    monkeypatch.setattr(faults, "reach", off)
    delivery.deliver(clock)
    assert len(files_at(vendor)) == 1
    assert Attempt.objects.latest("pk").outcome == "not_sent"
    assert [one.accepted for one in report.files.all()] == [True, None, None]


def test_of_a_report_without_records_an_empty_list_is_told(vendor, clock) -> None:
    send(clock)
    delivery.deliver(clock)
    (sent,) = files_at(vendor)
    assert gzip.decompress(sent.body) == b"[]"
    assert sent.body == document.NOTHING
    assert only().accepted_at == clock.now
    assert only().receipt


def test_an_empty_list_that_is_refused_puts_the_report_aside(vendor, clock) -> None:
    fails(vendor, "status", status=400)
    send(clock)
    delivery.deliver(clock)
    assert only().dead_reason == "It was refused (400)."


def test_what_was_uploaded_whole_ends_that_way(vendor, clock, settings) -> None:
    settings.NMS_USAGE_CHANNEL = "bulk"
    going = '{"percentageComplete":65,"readyForDownload":false}'
    vendor.fails("status", path=f"{BULK}/status", times=1, status=200, body=going)
    select(clock)
    delivery.deliver(clock)
    settings.NMS_USAGE_CHANNEL = "batch"
    clock.forward(seconds=6)
    delivery.deliver(clock)
    assert files_at(vendor) == []
    assert only().acknowledgement_checked


def test_what_was_begun_file_by_file_ends_that_way(
    three_files, vendor, clock, settings
) -> None:
    report = send(clock)
    batch.take(
        Answer(200), report=report, part=batch.next_part(report)
    )  # before the restart
    settings.NMS_USAGE_CHANNEL = "bulk"
    delivery.deliver(clock)
    assert vendor.uploads == []
    assert len(files_at(vendor)) == 2
    assert only().accepted_at == clock.now


def test_what_is_carried_takes_no_place_of_a_report_that_was_begun(
    three_files, clock
) -> None:
    report = send(clock)
    Report.objects.update(selected_at=None)
    batch.leave(report, batch.next_part(report))
    used(DAYS[0], 4)
    assert reports.carry(by="ada", via=Via.SETTINGS, now=clock.now) == report


def test_while_files_go_the_card_says_how_many(three_files, clock) -> None:
    report = send(clock)
    batch.leave(report, batch.next_part(report))
    report.refresh_from_db()
    steps = ledger.progress(report, clock.now, "F5", None).steps
    assert [one.text for one in steps[1:]] == ["Uploading to F5, 1 of 3 files"]


def test_disconnected_nothing_goes_by_this_way_either(
    vendor, clock, settings, ada, signed_in
) -> None:
    report = select(clock)
    settings.NMS_OPERATION_MODE = "disconnected"
    for path in ("next", report.pk):
        page = signed_in(ada).get(f"/ui/settings/license/reports/{path}")
        assert "sent by itself" not in page.content.decode(), "it is carried whole"
    delivery.deliver(clock)
    assert files_at(vendor) == []
    with pytest.raises(ReportRefused):
        send(clock)


@pytest.mark.django_db(transaction=True)
def test_workers_that_race_send_each_file_once(three_files, vendor, clock) -> None:
    send(clock)
    at_once(4, lambda: delivery.deliver(clock))
    delivery.deliver(clock)
    assert only().accepted_at
    keys = [one.fields["idempotency-key"][-2:] for one in files_at(vendor)]
    assert keys == ["01", "02", "03"]
