"""A report of several files, of which the vendor accepts some: the rest goes again."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client

from audit.models import Record
from common import setup
from common.models import Via
from licensing import services as licensing
from nms_admin import attention, basic
from sandbox.app import BULK
from sandbox.faults import parse_rules
from tests.sandbox.clients import Client as Curl
from tests.usage.conftest import inside, used
from tests.usage.test_offline import DONE, acknowledged, get, headers, opaque, upload
from tests.usage.test_report_page import LICENSE, REPORTS, text
from usage import delivery, document, ledger, reports
from usage.models import Report, ReportFile, Total

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
DAY = timedelta(days=1)
DAYS = [date(2026, 11, day) for day in (20, 21, 22)]


@pytest.fixture(autouse=True)
def _noon(clock):
    basic._verified.clear()
    with time_machine.travel(clock.now, tick=False) as traveller:
        clock.traveller = traveller
        yield


@pytest.fixture(autouse=True)
def _three_files(licensed, clock, settings, monkeypatch) -> None:
    """Three days in use with two instances each, a file for each day."""
    settings.NMS_USAGE_DETAIL = "instances"
    monkeypatch.setattr(document, "MOST_RECORDS", 4)
    for day in DAYS:
        used(day, 2)


def send(clock) -> Report:
    return reports.send(by="otto", via=Via.SETTINGS, now=clock.now).report


def days_of(report: Report) -> list[date]:
    found = report.totals.values_list("day", flat=True).distinct()
    return sorted(set(found))


def takes(vendor, files: int, **args: object) -> None:
    vendor.fails("partial", times=1, files=files, **args)


def disconnect() -> None:
    row = setup.current()
    row.operation_mode = "disconnected"
    row.save()


def test_each_day_is_a_file_and_its_instances_stand_beside_its_totals(clock) -> None:
    report = send(clock)
    manifest, _ = inside(reports.archive_of(report))
    names = [f"usage-{report.pk}-{number:02d}.gzip" for number in (1, 2, 3)]
    assert [one["name"].rpartition("/")[2] for one in manifest["files"]] == names
    kept = document.read(reports.archive_of(report))
    for one, day in zip(kept.files, DAYS, strict=True):
        rows = json.loads(one.records)
        assert len(rows) == one.record_count == 4
        assert {row["day"] for row in rows} == {day.isoformat()}
        assert sum("instance" in row for row in rows) == 2
    stored = [(one.name, one.sha256, one.first_day) for one in report.files.all()]
    assert stored == [(one.name, one.sha256, one.first_day) for one in kept.files]
    assert len(kept.records_text.split("\n")) == report.record_count == 12


def test_a_day_that_is_too_large_for_one_file_counts_only_whole(
    clock, vendor, monkeypatch
) -> None:
    monkeypatch.setattr(document, "MOST_RECORDS", 3)
    report = send(clock)
    assert [one.record_count for one in report.files.all()] == [3, 1, 3, 1, 3, 1]
    takes(vendor, 3)
    delivery.deliver(clock)
    left = report.totals.filter(left_out=True).values_list("day", flat=True)
    assert set(left) == {DAYS[1], DAYS[2]}


def test_connected_only_what_was_accepted_is_closed_and_the_rest_goes_again(
    clock, vendor
) -> None:
    takes(vendor, 2)
    first = send(clock)
    delivery.deliver(clock)
    first.refresh_from_db()
    assert (first.accepted_at, first.left_out, first.successful) == (clock.now, 1, 66)
    assert first.acknowledgement_checked
    assert first.receipt
    assert [one.accepted for one in first.files.all()] == [True, True, False]

    clock.forward(minutes=5)
    second = send(clock)
    assert second.pk != first.pk
    assert days_of(second) == [DAYS[2]]
    _, rows = inside(reports.archive_of(second))
    assert {row["day"] for row in rows} == {"2026-11-22"}
    assert sum("instance" in row for row in rows) == 2
    assert not any("revises" in row for row in rows)
    delivery.deliver(clock)
    second.refresh_from_db()
    assert (second.left_out, bool(second.accepted_at)) == (0, True)
    assert ledger.rest_of(first) == [second]
    outcome = reports.send(by="otto", via=Via.SETTINGS, now=clock.forward(minutes=5))
    assert outcome.done == "nothing_new", "nothing is said a third time"


def test_what_was_left_out_twice_is_said_a_third_time(clock, vendor) -> None:
    takes(vendor, 1)
    first = send(clock)
    delivery.deliver(clock)
    takes(vendor, 1)
    clock.forward(minutes=5)
    second = send(clock)
    delivery.deliver(clock)
    clock.forward(minutes=5)
    third = send(clock)
    assert [days_of(one) for one in (second, third)] == [DAYS[1:], DAYS[2:]]
    assert ledger.rest_of(first) == [second, third]


def test_a_revision_that_is_left_out_revises_the_same_report_again(
    clock, vendor
) -> None:
    first = send(clock)
    delivery.deliver(clock)
    used(DAYS[0], 3, at=clock.forward(hours=1))
    used(DAYS[1], 3, at=clock.now)
    takes(vendor, 1)
    second = send(clock)
    delivery.deliver(clock)
    assert Report.objects.get(pk=second.pk).left_out == 1
    clock.forward(hours=1)
    third = send(clock)
    assert days_of(third) == [DAYS[1]]
    assert set(third.totals.values_list("revises", flat=True)) == {first.pk}


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ({"files": 0}, "none of 3 files was accepted"),
        ({"files": 2, "named": False}, "2 of 3 files were accepted, and not which"),
    ],
)
def test_connected_without_a_name_of_what_was_accepted_all_of_it_goes_again(
    clock, vendor, args, reason
) -> None:
    takes(vendor, **args)
    report = send(clock)
    delivery.deliver(clock)
    report.refresh_from_db()
    assert report.accepted_at is None
    assert reason in report.dead_reason
    assert "All of it goes into the next report." in report.dead_reason
    clock.forward(minutes=5)
    assert days_of(send(clock)) == DAYS


def test_connected_an_opaque_answer_to_a_part_closes_nothing(
    clock, vendor, monkeypatch
) -> None:
    monkeypatch.setattr("sandbox.app.package", lambda *_: opaque())
    takes(vendor, 2)
    report = send(clock)
    delivery.deliver(clock)
    report.refresh_from_db()
    assert "accepted 66% of the report and does not say which" in report.dead_reason


def test_by_hand_only_what_was_accepted_is_closed(
    clock, vendor, ada, otto, sandbox_data
) -> None:
    disconnect()
    archive = get("credentials=omit").content
    listed = json.loads(document.read(archive).manifest)["files"]
    taken = [{"name": one["name"], "sha256": one["sha256"]} for one in listed[:1]]
    said = acknowledged(archive, sandbox_data, accepted=1, files=taken)
    answer = upload(said)
    assert answer.status_code == 200
    part = {"status": "partly_accepted", "accepted": "1 of 3 files"}
    assert answer.json() == DONE | part
    first = Report.objects.get()
    assert (first.left_out, first.acknowledged_by) == (2, "ada")
    details = Record.objects.get(action="usage.acknowledged").details
    assert details["leftOut"] == 2

    before = Record.objects.count()
    assert upload(said).json() == DONE | part, "the same again"
    assert Record.objects.count() == before

    second = inside(get("credentials=omit").content)[1]
    assert {row["day"] for row in second} == {"2026-11-21", "2026-11-22"}


def test_by_hand_an_answer_that_names_nothing_accepted_leaves_the_report_open(
    clock, vendor, ada, sandbox_data
) -> None:
    disconnect()
    archive = get("credentials=omit").content
    for changes, code in (
        ({"accepted": 0, "files": []}, "none_accepted"),
        ({"accepted": 2, "files": None}, "partial"),
        ({"accepted": 3, "files": [{"name": "usage-x", "sha256": "0"}]}, "content"),
        ({"accepted": True}, "content"),
    ):
        answer = upload(acknowledged(archive, sandbox_data, **changes))
        assert answer.json()["details"][0]["description"] == f"check: {code}"
        assert answer.status_code == (400 if code == "content" else 409)
        assert Report.objects.open().exists()
        assert not Total.objects.filter(left_out=True).exists()


def report_by(clock) -> date | None:
    return ledger.report_by(ledger.last_accepted(), licensing.standing(clock.now))


def test_only_a_report_that_is_accepted_whole_moves_a_date(
    clock, vendor, ada, sandbox_data
) -> None:
    disconnect()
    due = report_by(clock)
    archive = get("credentials=omit").content
    taken = json.loads(document.read(archive).manifest)["files"][:2]
    clock.traveller.shift(DAY)
    said = acknowledged(archive, sandbox_data, accepted=2, files=taken)
    assert upload(said).status_code == 200
    assert report_by(clock) == due
    assert ledger.last_accepted() is None
    assert not licensing.current().acknowledged_at
    rest = get("credentials=omit").content
    assert upload(acknowledged(rest, sandbox_data)).json() == DONE
    assert report_by(clock) == date(2027, 5, 23)
    assert licensing.current().acknowledged_at


def test_the_page_tells_file_by_file_what_was_accepted(
    clock, vendor, otto, signed_in
) -> None:
    takes(vendor, 2)
    first = send(clock)
    delivery.deliver(clock)
    client = signed_in(otto)
    shown = text(client.get(LICENSE))
    assert "The test receiver accepted a part of the report" in shown
    assert "1 of 3 files were left out." in shown
    assert "See the file left out" in shown
    link = f'href="{REPORTS}/{first.pk}#files"'
    assert link in client.get(LICENSE).content.decode()
    assert 'id="files"' in client.get(f"{REPORTS}/{first.pk}").content.decode()
    shown = text(client.get(f"{REPORTS}/{first.pk}"))
    assert "Partly accepted 23 Nov 2026, 12:00 UTC" in shown
    assert "Accepted without 1 of 3 files." in shown
    assert "The rest goes into the next report." in shown
    assert shown.count("Left out") == 1
    assert "Partly accepted" in text(client.get(REPORTS))
    titles = [
        note.title for note in attention.notes(licensing.standing(clock.now), clock.now)
    ]
    assert "The usage report was accepted in part" in titles

    clock.forward(minutes=5)
    second = send(clock)
    page = client.get(f"{REPORTS}/{first.pk}")
    assert f"The rest went into report {second.sequence} ." in text(page)
    assert f"{REPORTS}/{second.pk}" in page.content.decode()


def test_the_page_of_a_disconnected_server_says_that_it_was_a_part(
    clock, vendor, ada, sandbox_data, signed_in
) -> None:
    disconnect()
    archive = get("credentials=omit").content
    taken = json.loads(document.read(archive).manifest)["files"][:2]
    said = acknowledged(archive, sandbox_data, accepted=2, files=taken)
    file = SimpleUploadedFile("ack.zip", said, "application/zip")
    address = f"{LICENSE}/acknowledgement"
    answer = signed_in(ada).post(address, {"file": file}, follow=True)
    assert "is accepted in part: 2 of 3 files. The rest goes into" in text(answer)
    report = Report.objects.get()
    link = f'<a href="{REPORTS}/{report.pk}#files">See the file left out</a>'
    assert link in answer.content.decode()


def test_the_api_tells_file_by_file_what_was_accepted(clock, vendor, otto) -> None:
    takes(vendor, 2)
    first = send(clock)
    delivery.deliver(clock)
    clock.forward(minutes=5)
    second = send(clock)
    address = f"/api/platform/v1/report/status/{first.pk}"
    said = Client().get(address, headers=headers("otto")).json()
    assert said["status"] == "partly_accepted"
    assert [one["accepted"] for one in said["files"]] == [True, True, False]
    assert [one["firstDay"] for one in said["files"]] == [
        day.isoformat() for day in DAYS
    ]
    assert said["continuedIn"] == [str(second.pk)]
    missing = "/api/platform/v1/report/status/91c07f3a-0000-4000-8000-000000000001"
    assert Client().get(missing, headers=headers("otto")).status_code == 404


def test_the_sandbox_says_how_much_of_an_upload_it_took(vendor, clock) -> None:
    send(clock)
    rule = {"path": BULK, "mode": "partial", "times": 1, "args": {"files": 1}}
    vendor.box.faults.set(parse_rules([rule]))
    delivery.deliver(clock)
    token = vendor.uploads[0].fields["authorization"].removeprefix("Bearer ")
    (number,) = vendor.box.store._reports
    said = Curl(vendor.box, token).get(f"{BULK}/status/{number}").json()
    assert (said["percentageSuccessful"], said["percentageComplete"]) == (33, 100)


@pytest.mark.django_db(transaction=True)
def test_reports_of_the_version_before_have_their_file_after_the_upgrade(
    clock, vendor, monkeypatch
) -> None:
    monkeypatch.setattr(document, "MOST_RECORDS", 40_000)
    done = send(clock)
    Report.objects.filter(pk=done.pk).update(accepted_at=clock.now)
    waiting = reports.send(
        by="otto", via=Via.SETTINGS, now=clock.now, force=True
    ).report
    expected = list(ReportFile.objects.values_list("report", "name", "sha256", "size"))
    assert len(expected) == 1
    executor = MigrationExecutor(connection)
    leaves = executor.loader.graph.leaf_nodes()
    executor.migrate([("usage", "0002_carried")])
    MigrationExecutor(connection).migrate(leaves)
    assert (
        list(ReportFile.objects.values_list("report", "name", "sha256", "size"))
        == expected
    )
    (one,) = ReportFile.objects.all()
    assert (one.accepted, one.first_day, one.last_day) == (True, DAYS[0], DAYS[2])
    assert waiting.files.count() == 0
    assert ledger.Row(Report.objects.get(pk=done.pk)).status == "accepted"
