from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from analytics import services as analytics
from common import choices, setup
from common.models import Via
from licensing import connection
from licensing.models import ConnectionChoice
from nms_admin import start_up
from telemetry import catalog, delivery, processes
from telemetry import services as telemetry
from telemetry.models import Batch, DailyCount, Event, Installation
from tests import make
from tests.usage.conftest import used
from usage import reports
from usage.models import Report

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folder(settings, tmp_path: Path) -> Path:
    settings.NMS_DATA_DIR = tmp_path
    settings.NMS_JWKS_FILE = str(tmp_path / "jwks.json")
    choices._written.clear()
    return tmp_path


def test_a_data_folder_of_the_other_mode_is_refused(folder: Path, now) -> None:
    (folder / "mode").write_text("live\n")
    with pytest.raises(ImproperlyConfigured, match="was made in live mode"):
        start_up.prepare(now)


def test_a_server_that_was_disconnected_by_a_variable_stays_so_without(
    settings, now: datetime
) -> None:
    settings.NMS_OPERATION_MODE = "disconnected"
    start_up.prepare(now)
    settings.NMS_OPERATION_MODE = ""
    start_up.prepare(now)
    assert setup.operation_mode() == "disconnected"
    settings.NMS_OPERATION_MODE = "connected"
    assert setup.operation_mode() == "connected"


def test_a_start_without_a_restore_changes_nothing(now: datetime) -> None:
    connection.set_choice(on=True, by="ada", via=Via.SETTINGS, now=now)
    start_up.prepare(now)
    assert ConnectionChoice.objects.count() == 1


def test_a_restored_database_switches_nothing_on_and_sends_nothing_twice(
    finished: None, now: datetime
) -> None:
    make.license(now - timedelta(hours=1))
    connection.set_choice(on=True, by="ada", via=Via.SETTINGS, now=now)
    telemetry.record(catalog.LOGIN, now=now)
    backup = list(Event.objects.values())

    # After the backup: the event is sealed, and both choices are taken back.
    assert delivery.seal(now) is not None
    connection.set_choice(on=False, by="ada", via=Via.SETTINGS, now=now)
    analytics.set_choice(collect=False, by="ada", via=Via.SETTINGS, now=now)

    # The backup comes back.
    ConnectionChoice.objects.filter(value=False).delete()
    analytics.Choice.objects.all().delete()
    Batch.objects.all().delete()
    DailyCount.objects.all().delete()
    Event.objects.bulk_create(Event(**row) for row in backup)

    start_up.prepare(now + timedelta(hours=1))
    assert connection.is_on() is False
    assert analytics.is_on() is False
    assert not Event.objects.exists()
    gone = DailyCount.objects.get(outcome="discarded")
    assert "may have been sent" in gone.reason
    assert choices.load()[choices.CONNECTION][1] is False


@pytest.mark.parametrize("restored", [True, False])
def test_a_restore_that_changed_no_choice_sends_nothing_twice(
    finished: None, now: datetime, restored: bool
) -> None:
    make.license(now - timedelta(hours=1))
    connection.set_choice(on=True, by="ada", via=Via.SETTINGS, now=now)
    telemetry.record(catalog.LOGIN, now=now)
    backup = list(Event.objects.values()), list(Installation.objects.values())
    before = delivery.seal(now)
    later = now + timedelta(hours=1)
    if restored:
        Batch.objects.all().delete()
        Installation.objects.all().delete()
        Event.objects.bulk_create(Event(**row) for row in backup[0])
        Installation.objects.bulk_create(Installation(**row) for row in backup[1])
    telemetry.record(catalog.LOGIN, now=later)

    start_up.prepare(later)
    assert connection.is_on()
    assert [one.occurred_at for one in Event.objects.all()] == [later]
    assert Batch.objects.count() == (0 if restored else 1)

    # What is sealed from now on is new, also at the next start.
    sealed = delivery.seal(later)
    assert sealed.pk != before.pk  # the same key with other bytes would be refused
    start_up.prepare(later + timedelta(hours=1))
    assert Batch.objects.unsettled().filter(newest_at=later).exists()


def test_usage_reported_before_a_restore_is_not_reported_again(
    finished: None, now: datetime
) -> None:
    make.license(now - timedelta(days=3))
    used(now.date() - timedelta(days=1), 3)
    reports.send(by="ada", via=Via.SETTINGS, now=now)
    Report.objects.all().delete()  # the database of before comes back

    start_up.prepare(now)
    again = reports.send(by="ada", via=Via.SETTINGS, now=now, force=True)
    assert again.report.record_count == 0


def test_a_clock_that_was_wrong_does_not_end_the_reports(
    finished: None, now: datetime
) -> None:
    make.license(now - timedelta(days=3))
    choices.remember_sealed(now + timedelta(days=400), reports=7)
    start_up.prepare(now)
    used(now.date() + timedelta(days=1), 3)
    later = now + timedelta(days=3)
    report = reports.send(by="ada", via=Via.SETTINGS, now=later).report
    assert report.first_day == now.date() + timedelta(days=1)


@pytest.mark.both_databases
def test_of_two_hosts_that_start_at_once_one_waits() -> None:
    inside: list[int] = []
    most: list[int] = []

    def begin() -> None:
        with start_up.alone():
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.3)
            inside.pop()
        connections.close_all()

    hosts = [Thread(target=begin) for _ in range(3)]
    for host in hosts:
        host.start()
    for host in hosts:
        host.join(10)
    assert len(most) == 3
    assert max(most) == 1 or connections["default"].vendor == "sqlite"


def test_a_host_without_the_keys_of_the_others_does_not_join_them(
    now: datetime, settings, monkeypatch
) -> None:
    make.license(now)
    with monkeypatch.context() as there:
        there.setattr("socket.gethostname", lambda: "first")
        processes.started("core", now)
    start_up.prepare(now)
    settings.SEAL_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(ImproperlyConfigured, match="host first uses"):
        start_up.prepare(now)


def test_a_host_that_lost_its_keys_alone_starts_all_the_same(
    now: datetime, settings
) -> None:
    make.license(now)
    processes.started("core", now)
    settings.SEAL_KEYS = [Fernet.generate_key().decode()]
    start_up.prepare(now)
