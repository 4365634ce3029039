"""System health says the truth in every state, and readiness asks the database only."""

from __future__ import annotations

import base64
import json
import socket
from collections import namedtuple
from datetime import timedelta

import pytest
import time_machine
from django.db import OperationalError, connection
from django.test import Client

from analytics import services as analytics
from common import choices
from egress.models import Attempt, CheckRun, Gate, Pause
from nms_admin import health
from nms_admin.celery import app
from telemetry import catalog, delivery, processes, tasks
from telemetry.models import Batch, ProcessRun
from telemetry.services import record
from tests import make
from tests.conftest import PASSWORD

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.both_databases,
    pytest.mark.usefixtures("finished"),
]
HOST = "localhost:8001"
Room = namedtuple("Room", "total used free")


@pytest.fixture(autouse=True)
def running(now):
    with time_machine.travel(now, tick=False):
        for name in ("core", "integrations", "scheduler", "dpm"):
            processes.started(name, now)
        make.license(now)
        yield


def row(name: str, now) -> health.Row:
    return next(one for one in health.rows(now) if one.name == name)


def wrong(now) -> list[tuple[str, str]]:
    found = health.rows(now)
    return [(one.name, one.kind) for one in found if one.kind in ("bad", "warn")]


def test_a_fresh_installation_that_runs_has_nothing_wrong(now) -> None:
    assert wrong(now) == []
    assert health.overall(health.rows(now)) == "ok"


def test_a_silent_scheduler_stands_first_and_says_what_to_do(now) -> None:
    old = now - timedelta(minutes=4)
    ProcessRun.objects.update(started_at=old)
    ProcessRun.objects.filter(name="integrations").update(worked_at=now)
    ProcessRun.objects.filter(name="scheduler").update(seen_at=old)
    first = health.rows(now)[0]
    assert (first.name, first.kind, first.since) == ("scheduler", "bad", old)
    assert "Start scheduler" in first.todo


@pytest.mark.parametrize(("ago", "kind"), [(29, "info"), (31, "bad")])
def test_what_stopped_is_starting_for_30_seconds_after_another_start(
    now, ago, kind
) -> None:
    run = ProcessRun.objects.get(name="integrations")
    processes.stopped(run.pk, now - timedelta(minutes=1))
    others = ProcessRun.objects.exclude(pk=run.pk)
    others.update(started_at=now - timedelta(seconds=ago))
    found = row("integrations", now)
    assert found.kind == kind
    assert (found.label == "Starting") == (kind == "info")
    assert health.overall(health.rows(now)) == ("ok" if kind == "info" else "bad")


def test_a_start_on_another_host_starts_nothing_here(now) -> None:
    run = ProcessRun.objects.get(name="integrations")
    processes.stopped(run.pk, now)
    ProcessRun.objects.exclude(pk=run.pk).update(host="other")
    assert row("integrations", now).kind == "bad"


def test_one_silent_host_of_two_is_a_warning_only(now) -> None:
    ProcessRun.objects.create(
        name="integrations",
        host="other",
        started_at=now,
        seen_at=now - timedelta(minutes=4),
    )
    assert wrong(now) == [("integrations", "warn")]


def test_a_worker_that_lives_but_does_nothing_is_told_from_one_that_works(now) -> None:
    early = now - timedelta(minutes=10)
    ProcessRun.objects.filter(name="integrations").update(started_at=early)
    assert row("integrations", now).kind == "warn"
    tasks.deliver_due()
    assert row("integrations", now).sentence.startswith("Alive and working")


def test_a_vendor_outage_degrades_and_never_touches_readiness(now) -> None:
    Gate.objects.create(
        host=HOST,
        failures=3,
        closed_until=now + timedelta(minutes=8),
        cause="refused",
        sentence="It refused the connection.",
    )
    found = row(HOST, now)
    assert (found.kind, found.label) == ("warn", "Failing")
    assert "Failed 3 times; it is tried again from 23 Nov 12:08 UTC" in found.sentence
    later = row(HOST, now + timedelta(minutes=9)).sentence
    assert "Failed 3 times; it is tried again now." in later
    assert Client().get("/api/readiness").status_code == 200


def test_what_waits_is_said_in_words(now) -> None:
    record(catalog.LOGIN, now=now)
    assert "wait to be sent." in row("Events", now).sentence
    Batch.objects.all().delete()
    delivery.seal(now)
    count = Batch.objects.get().event_count
    assert row("Events", now).sentence == f"{count} events are being sent."
    Batch.objects.update(event_count=1)
    assert row("Events", now).sentence == "1 event is being sent."
    Batch.objects.update(attempts=1, due_at=now + timedelta(minutes=28))
    said = "1 event waits for its next try, from 12:28 UTC."
    assert row("Events", now).sentence == said
    later = now + timedelta(minutes=28)
    assert row("Events", later).sentence == "1 event waits for its next try."


def test_what_is_to_be_done_leads_to_where_it_is_done(now, signed_in, vera) -> None:
    Gate.objects.create(host=HOST, failures=1, closed_until=now)
    page = signed_in(vera).get("/ui/health").content.decode()
    assert '<a href="/ui/settings/connectivity">Run the checks under' in page
    Pause.objects.create(destination="telemetry", paused_at=now, status=401)
    page = signed_in(vera).get("/ui/health").content.decode()
    assert '<a href="/ui/settings/license">Add the current license' in page


def test_a_disconnected_server_shows_no_host(now, settings) -> None:
    settings.NMS_OPERATION_MODE = "disconnected"
    assert HOST not in [one.name for one in health.rows(now)]


def test_a_refused_license_is_worse_than_no_answer(now) -> None:
    Pause.objects.create(destination="telemetry", paused_at=now, status=401)
    assert (row(HOST, now).kind, row(HOST, now).label) == ("bad", "Paused")


@pytest.mark.parametrize(
    ("free", "kind"), [(100 * 1024**2, "bad"), (900 * 1024**2, "warn"), (2**34, "ok")]
)
def test_little_room_on_the_disk_is_said_in_time(now, monkeypatch, free, kind) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: Room(2**36, 0, free))
    assert row("Disk", now).kind == kind


def test_a_clock_that_ran_back_is_found_by_what_was_written(now) -> None:
    assert row("Clock", now - timedelta(minutes=1)).kind == "ok"
    found = row("Clock", now - timedelta(days=400))
    assert (found.kind, found.sentence[:18]) == ("bad", "It is 400 days beh")


def test_a_broker_that_is_away_is_said_and_never_touches_readiness(
    now, settings, nobody_there
) -> None:
    assert row("Broker", now).sentence.startswith("Built in")
    settings.NMS_BROKER_URL = nobody_there
    health._broker_answers.cache_clear()
    found = row("Broker", now)
    assert (found.kind, found.todo[:8]) == ("bad", "Start it")
    assert Client().get("/api/readiness").status_code == 200


@pytest.fixture
def nobody_there(monkeypatch):
    """A broker's address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"redis://127.0.0.1:{port}/0"
    monkeypatch.setattr(app.conf, "broker_url", address)
    yield address
    health._broker_answers.cache_clear()


def test_the_last_call_to_a_host_is_shown(now) -> None:
    Attempt.objects.create(
        kind="batch",
        item="1",
        destination="telemetry",
        host=HOST,
        size=0,
        choice=0,
        started_at=now,
        outcome="accepted",
    )
    assert row(HOST, now).sentence == "The last call: accepted."


def test_interaction_data_waits_for_an_answer_after_a_restore(now, settings) -> None:
    known = {choices.INTERACTION_DATA: {"number": 7, "value": True}}
    (settings.NMS_DATA_DIR / "choices.json").write_text(json.dumps(known))
    assert analytics.check_restore(now)
    assert (row("Interaction data", now).kind) == "warn"


def test_a_check_that_failed_is_shown_until_something_is_accepted(
    now, signed_in, vera, settings
) -> None:
    steps = [{"state": "failed", "code": "refused"}]
    found = CheckRun.objects.create(
        asked_at=now,
        asked_by="otto",
        way="direct, no proxy",
        results=[{"name": "api", "label": HOST, "purpose": "", "steps": steps}],
    )
    assert wrong(now) == [], "it has not ended"
    CheckRun.objects.update(finished_at=now)
    assert wrong(now) == [("Last check", "warn")]
    page = signed_in(vera).get("/ui/health").content.decode()
    assert '<a href="/ui/settings/connectivity">Open Settings &gt; Conn' in page
    settings.NMS_OPERATION_MODE = "disconnected"
    assert wrong(now) == []
    settings.NMS_OPERATION_MODE = ""
    Attempt.objects.create(
        kind="batch",
        item="1",
        destination="telemetry",
        host=HOST,
        size=0,
        choice=0,
        started_at=found.asked_at + timedelta(seconds=1),
        outcome="accepted",
    )
    assert wrong(now) == []


def test_the_page_shows_it_and_a_paused_one_does_not_ask_again(signed_in, vera) -> None:
    client = signed_in(vera)
    assert 'hx-trigger="every 15s"' in client.get("/ui/health").content.decode()
    assert "every 15s" not in client.get("/ui/health?paused").content.decode()


def test_the_api_says_the_same_as_the_page(vera, now) -> None:
    Pause.objects.create(destination="telemetry", paused_at=now, status=401)
    pair = base64.b64encode(f"vera:{PASSWORD}".encode()).decode()
    header = {"authorization": f"Basic {pair}"}
    answer = Client().get("/api/platform/v1/health", headers=header).json()
    assert answer["status"] == "down"
    assert answer["checks"][0] | {"since": ""} == {
        "area": "Delivery",
        "name": HOST,
        "status": "down",
        "state": "Paused",
        "sentence": "It refused the license (401). Nothing is lost.",
        "todo": "Add the current license under Settings > License.",
        "since": "",
    }


def test_liveness_of_the_console_asks_no_database(
    django_assert_num_queries,
) -> None:
    with django_assert_num_queries(0):
        assert Client().get("/api/liveness/core").status_code == 200


def test_readiness_fails_when_the_database_does(monkeypatch) -> None:
    def away() -> None:
        raise OperationalError("away")

    monkeypatch.setattr(connection, "cursor", away)
    answer = Client().get("/api/readiness")
    assert answer.status_code == 503
    assert answer.json()["database"] == "away"
