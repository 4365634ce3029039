"""One report a period, saying only what was not said before."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection

from audit import services as audit
from audit.models import Record
from common import choices, setup
from common.models import Via
from licensing import services as licensing
from tests import make
from tests.usage.conftest import inside, used
from usage import reports
from usage.errors import ReportRefused
from usage.models import ClusterDay, Report, ReportPart, Schedule, Total

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _licensed(licensed) -> None:
    """Every report needs a license."""


def send(clock, **more) -> reports.Outcome:
    return reports.send(by="otto", via=Via.SETTINGS, now=clock.now, **more)


def daily(clock) -> Report:
    """Let the daily report of this moment be built."""
    Schedule.objects.update_or_create(pk=1, defaults={"next_at": clock.now})
    report = reports.build_due(clock.now)
    assert report
    return report


def accepted(report: Report, clock) -> None:
    Report.objects.filter(pk=report.pk).update(accepted_at=clock.now)


def content(report: Report) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return inside(reports.archive_of(report))


def counts(report: Report) -> dict[tuple[str, str], int]:
    _, records = content(report)
    return {
        (one["day"], one["feature"]): one["count"] for one in records if "count" in one
    }


def test_the_daily_report_holds_the_days_that_have_ended(clock) -> None:
    used(clock.now.date() - DAY, 3)
    used(clock.now.date(), 5, hours=2)
    report = daily(clock)
    found = counts(report)
    assert found["2026-11-22", "NGINX_INSTANCES"] == 3
    assert {day for day, _ in found} == {"2026-11-22"}
    assert (report.first_day, report.last_day) == (date(2026, 11, 22),) * 2
    assert report.built_by == "system"
    assert report.selected_at is None


def test_send_usage_holds_today_as_well_and_a_later_report_revises_it(clock) -> None:
    used(clock.now.date(), 2, hours=2)
    first = send(clock).report
    assert counts(first)["2026-11-23", "NGINX_INSTANCES"] == 2
    accepted(first, clock)

    used(clock.now.date(), 7, hours=3, at=clock.forward(hours=1))
    clock.forward(days=1)
    second = daily(clock)
    _, records = content(second)
    assert records[0]["feature"] == "DATA_PER_HOUR_GB" or records[0]["count"] == 7
    (one,) = [r for r in records if r["feature"] == "NGINX_INSTANCES"]
    assert one == {
        "day": "2026-11-23",
        "feature": "NGINX_INSTANCES",
        "count": 7,
        "revises": str(first.pk),
    }
    assert Total.objects.get(report=second, feature="NGINX_INSTANCES").revises == first


def test_what_arrives_late_is_in_the_next_report(clock) -> None:
    old = clock.now.date() - DAY * 40
    used(clock.now.date() - DAY, 1)
    first = daily(clock)
    accepted(first, clock)
    used(old, 4, at=clock.forward(hours=5))
    clock.forward(hours=19)
    found = counts(daily(clock))
    assert found[old.isoformat(), "NGINX_INSTANCES"] == 4
    assert {day for day, _ in found} == {old.isoformat()}


def test_what_was_said_is_not_said_again(clock) -> None:
    used(clock.now.date() - DAY, 3)
    first = send(clock).report
    accepted(first, clock)
    again = send(clock)
    assert (again.done, again.report) == ("nothing_new", first)
    assert Report.objects.count() == 1


def test_asked_often_there_is_one_report(clock) -> None:
    used(clock.now.date() - DAY, 3)
    first = send(clock)
    clock.forward(seconds=7)
    again = send(clock, force=True)
    assert (first.done, again.done) == ("built", "running")
    assert again.report == first.report
    assert Report.objects.count() == 1
    assert Record.objects.filter(action="usage.report_selected").count() == 1


def test_send_usage_takes_the_report_that_waits(clock) -> None:
    waiting = daily(clock)
    outcome = send(clock)
    assert (outcome.done, outcome.report) == ("selected", waiting)
    waiting.refresh_from_db()
    assert (waiting.selected_by, waiting.built_by) == ("otto", "system")


def test_somebody_may_send_although_nothing_is_new(clock) -> None:
    used(clock.now.date() - DAY)
    accepted(send(clock).report, clock)
    forced = send(clock, force=True)
    assert forced.done == "built"
    said, records = content(forced.report)
    assert (records, said["files"], said["period"]) == ([], [], None)


def test_without_any_usage_the_first_report_and_the_daily_one_are_empty(clock) -> None:
    first = send(clock)
    assert (first.done, first.report.record_count) == ("built", 0)
    accepted(first.report, clock)
    assert daily(clock).record_count == 0


def test_reports_are_chained_and_recorded(clock) -> None:
    used(clock.now.date() - DAY)
    first = send(clock).report
    accepted(first, clock)
    head = audit.head()[1]
    second = send(clock, force=True).report
    said, _ = content(second)
    assert said["previousReportSha256"] == first.digest
    assert said["auditHead"] == head
    assert (said["sequence"], content(first)[0]["sequence"]) == (2, 1)
    record = Record.objects.filter(action="usage.report_built").latest("sequence")
    assert record.details["digest"] == second.digest
    assert audit.verify() is None


def test_what_a_refused_report_said_is_said_again(clock) -> None:
    used(clock.now.date() - DAY, 3)
    refused = send(clock).report
    Report.objects.update(dead_at=clock.now, dead_reason="It was refused (400).")
    again = send(clock)
    assert again.done == "built"
    assert counts(again.report) == counts(refused)
    assert content(again.report)[0]["previousReportSha256"] == refused.digest


def test_a_report_of_another_subscription_is_given_up(clock) -> None:
    used(clock.now.date() - DAY, 3)
    old = send(clock).report
    make.license(clock.now, sub="SBX-11112222")
    new = send(clock)
    assert new.done == "built"
    old.refresh_from_db()
    assert "Its subscription ended" in old.dead_reason
    assert counts(new.report) == counts(old)


def test_a_totals_report_names_nothing(clock) -> None:
    used(clock.now.date() - DAY, 3)
    report = send(clock).report
    manifest, records = content(report)
    for marked in ("marked-host", "marked-version", f"{1:032x}"):
        assert marked not in str(manifest) + str(records)
        assert marked.encode() not in reports.archive_of(report)


def test_an_instances_report_names_numbers_only(clock, settings) -> None:
    settings.NMS_USAGE_DETAIL = "instances"
    used(clock.now.date() - DAY, 2, hours=5)
    report = send(clock).report
    manifest, records = content(report)
    assert manifest["detail"] == report.detail == "instances"
    assert {"day": "2026-11-22", "hours": 5, "instance": f"{1:032x}", "waf": False} in (
        records
    )
    assert "marked" not in str(records)


def test_clusters_are_reported(clock) -> None:
    from usage.models import Cluster

    cluster = Cluster.objects.create(
        uid="9e2f", created_at=clock.now, updated_at=clock.now
    )
    ClusterDay.objects.create(cluster=cluster, day=clock.now.date(), pods=7, nodes=3)
    found = counts(send(clock).report)
    assert found["2026-11-23", "IC_PODS"] == 7
    assert found["2026-11-23", "IC_K8S_NODES"] == 3


def test_a_large_report_is_stored_in_parts_of_one_mebibyte(clock, monkeypatch) -> None:
    monkeypatch.setattr(reports, "PART", 100)
    used(clock.now.date() - DAY, 3)
    report = send(clock).report
    sizes = [len(bytes(part.content)) for part in report.parts.all()]
    assert sum(sizes) == report.size
    assert max(sizes) == 100
    assert content(report)[0]["reportId"] == str(report.pk)


def test_the_first_time_is_a_minute_of_the_next_day_and_stays(clock) -> None:
    assert reports.build_due(clock.now) is None
    first = reports.next_at()
    assert clock.now < first <= clock.now + DAY
    assert reports.build_due(clock.now + timedelta(seconds=15)) is None
    assert reports.next_at() == first
    clock.now = first
    assert reports.build_due(clock.now)
    assert reports.next_at() == first + DAY


def test_a_time_nothing_ran_at_is_made_up_once(clock) -> None:
    planned = clock.now
    Schedule.objects.create(pk=1, next_at=planned)
    used(clock.now.date() + DAY * 2, 2)
    clock.forward(days=4, hours=3)
    assert reports.build_due(clock.now)
    assert reports.build_due(clock.now) is None
    assert reports.next_at() == planned + DAY * 5


def test_a_time_far_ahead_comes_back_within_a_day(clock) -> None:
    Schedule.objects.create(pk=1, next_at=clock.now + timedelta(days=400, hours=2))
    assert reports.build_due(clock.now) is None
    assert reports.next_at() == clock.now + timedelta(hours=2)


def test_nothing_is_built_by_itself_with_continuous_connection_off(clock) -> None:
    licensing.set_connection(on=False, by="ada", via=Via.SETTINGS, now=clock.now)
    Schedule.objects.create(pk=1, next_at=clock.now)
    assert reports.build_due(clock.now) is None
    licensing.set_connection(on=True, by="ada", via=Via.SETTINGS, now=clock.now)
    assert reports.build_due(clock.now)


def test_what_cannot_be_reported_is_refused_with_what_to_do(clock) -> None:
    def code() -> str:
        with pytest.raises(ReportRefused) as caught:
            send(clock)
        assert reports.build_due(clock.now) is None
        return caught.value.code

    row = setup.current()
    row.operation_mode = "disconnected"
    row.save()
    assert code() == "disconnected"
    row.operation_mode = "connected"
    row.save()
    clock.forward(days=365 + 91)
    assert code() == "license"
    licensing.terminate(
        confirmation=make.SUBSCRIPTION, by="ada", via=Via.SETTINGS, now=clock.now
    )
    assert code() == "no_license"
    assert Report.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_after_a_restored_backup_only_later_days_are_reported(clock) -> None:
    used(clock.now.date() - DAY, 3)
    send(clock)
    assert choices.sealed_until() == clock.now
    Report.objects.all().delete()
    reports.begin_after(clock.now)
    used(clock.now.date() + DAY, 2)
    clock.forward(days=2)
    assert {day for day, _ in counts(daily(clock))} == {"2026-11-24"}


def test_bytes_are_kept_as_long_as_was_set_and_digests_for_ever(clock) -> None:
    used(clock.now.date() - DAY, 3)
    report = send(clock).report
    accepted(report, clock)
    assert reports.prune(clock.now + DAY * 399) == 0
    assert reports.prune(clock.now + DAY * 401) == 1
    assert not ReportPart.objects.exists()
    assert Report.objects.get().digest == report.digest
    assert Total.objects.exists()


def test_one_run_deletes_a_bounded_number_of_reports_and_the_next_goes_on(
    clock, monkeypatch
) -> None:
    monkeypatch.setattr(reports, "PRUNED", 2)
    for _ in range(3):
        used(clock.now.date(), 3)
        clock.forward(days=1)
        accepted(send(clock).report, clock)
    Report.objects.update(acknowledgement=b"said")
    later = clock.now + DAY * 401
    assert (reports.prune(later), ReportPart.objects.count()) == (2, 1)
    assert Report.objects.exclude(acknowledgement=b"").count() == 1
    assert (reports.prune(later), ReportPart.objects.count()) == (1, 0)
    assert Report.objects.exclude(acknowledgement=b"").count() == 0


def test_the_preview_is_what_send_usage_builds(clock) -> None:
    used(clock.now.date() - DAY, 3)
    shown = reports.preview(clock.now)
    assert Report.objects.count() == 0
    report = send(clock).report
    assert shown.records_text.split("\n")
    _, records = content(report)
    assert len(shown.records_text.split("\n")) == len(records)


def together(work, count: int = 4) -> None:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)


@pytest.mark.django_db(transaction=True)
def test_schedulers_that_ask_at_once_make_one_report(clock) -> None:
    used(clock.now.date() - DAY, 3)
    Schedule.objects.create(pk=1, next_at=clock.now)
    built: list[Report | None] = []
    together(lambda: built.append(reports.build_due(clock.now)))
    assert len(built) == 4
    assert sum(one is not None for one in built) == 1
    assert Report.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_people_that_ask_at_once_get_one_report(clock) -> None:
    used(clock.now.date() - DAY, 3)
    done: list[str] = []
    together(lambda: done.append(send(clock).done))
    assert sorted(done) == ["built", "running", "running", "running"]
    assert Report.objects.count() == 1
    assert audit.verify() is None
