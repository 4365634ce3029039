from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from django.test import Client

from audit import services as audit
from common import choices
from common.models import Via
from egress.models import Attempt, Gate, Pause
from licensing import connection
from licensing import services as licensing
from nms_admin import activity, attention, health
from telemetry import processes
from telemetry.models import ProcessRun
from tests import make


@pytest.fixture
def running(finished: None, now: datetime) -> None:
    for name in ("integrations", "scheduler"):
        processes.started(name, now)


def titles(now: datetime) -> list[str]:
    return [note.title for note in attention.notes(licensing.standing(now), now)]


def test_without_a_license_overview_leads_to_adding_one(running, now) -> None:
    (note,) = attention.notes(licensing.standing(now), now)
    assert (note.kind, note.title) == ("info", "No license yet")


def test_with_everything_in_order_nothing_needs_attention(running, now) -> None:
    make.license(now)
    assert titles(now) == []


def test_a_license_about_to_end_says_so_here_as_on_its_own_page(running, now) -> None:
    make.license(now, days=20)
    assert titles(now) == ["License expires in 20 days"]


def test_in_grace_overview_says_when_it_ended_and_how_long_grace_is(
    running, signed_in, vera, now
) -> None:
    make.license(now - timedelta(days=30), days=20)
    page = signed_in(vera).get("/ui/").content.decode()
    assert "In grace" in page
    assert "ended 13 Nov 2026, grace until 11 Feb 2027" in page
    history = signed_in(vera).get("/ui/settings/license/history").content.decode()
    assert "Valid through" in history


def test_a_silent_process_is_named_after_three_minutes(running, now) -> None:
    make.license(now)
    old = now - timedelta(minutes=4)
    ProcessRun.objects.update(started_at=old)
    ProcessRun.objects.filter(name="scheduler").update(seen_at=old)
    assert titles(now) == ["Not running: scheduler"]


def test_after_a_start_a_process_that_is_not_there_yet_is_starting(
    running, now
) -> None:
    make.license(now)
    run = ProcessRun.objects.get(name="scheduler")
    processes.stopped(run.pk, now - timedelta(minutes=1))
    assert titles(now + timedelta(seconds=9)) == ["Starting: scheduler"]
    assert titles(now + timedelta(seconds=31)) == ["Not running: scheduler"]


def test_a_call_without_an_answer_for_ten_seconds_is_named(running, now) -> None:
    make.license(now)
    call = Attempt.objects.create(
        kind="report",
        item="1",
        destination="usage",
        host="localhost:8001",
        size=0,
        choice=0,
        started_at=now - timedelta(seconds=9),
    )
    assert titles(now) == []
    assert titles(now + timedelta(seconds=1)) == [
        "localhost:8001 has not answered since 11:59 UTC"
    ]
    Attempt.objects.filter(pk=call.pk).update(outcome=Attempt.Outcome.ACCEPTED)
    assert titles(now + timedelta(seconds=1)) == []


def call(at: datetime, outcome: str, **more: object) -> Attempt:
    return Attempt.objects.create(
        kind="batch",
        item="1",
        destination="telemetry",
        host="localhost:8001",
        size=0,
        choice=0,
        started_at=at,
        outcome=outcome,
        **more,
    )


def verdicts(now: datetime) -> tuple[list[str], list[str]]:
    """What Overview and System health say of the host that is called."""
    said = [one for one in titles(now) if "localhost:8001" in one]
    rows = [one.label for one in health.rows(now) if one.name == "localhost:8001"]
    return said, rows


def test_a_call_that_hangs_is_named_by_overview_and_health_alike(running, now) -> None:
    make.license(now)
    assert verdicts(now) == ([], ["Open"])
    call(now - timedelta(seconds=30), "")
    said = "localhost:8001 has not answered since 11:59 UTC"
    assert verdicts(now) == ([said], ["Failing"])
    call(now - timedelta(seconds=9), "accepted", finished_at=now)
    assert verdicts(now) == ([], ["Open"])


def test_a_host_that_failed_is_named_by_both_until_it_answers(running, now) -> None:
    make.license(now)
    call(now - timedelta(minutes=9), "accepted")
    for minutes in (8, 4):
        call(now - timedelta(minutes=minutes), "failed")
    Gate.objects.create(host="localhost:8001", failures=2, closed_until=now)
    said = "localhost:8001 has not answered since 11:52 UTC"
    assert verdicts(now) == ([said], ["Failing"])
    Attempt.objects.update(status=503)
    said = "localhost:8001 has taken nothing since 11:52 UTC"
    assert verdicts(now) == ([said], ["Failing"])
    Gate.objects.update(failures=0)
    assert verdicts(now) == ([], ["Open"])


def test_a_host_that_is_not_called_any_more_is_named_by_neither(running, now) -> None:
    make.license(now)
    Gate.objects.create(host="old.example.net:443", failures=2, closed_until=now)
    assert titles(now) == []
    assert health.overall(health.rows(now)) == "ok"


def test_a_call_is_named_as_begun_not_as_sent(db, now) -> None:
    row = audit.record("delivery.sent", now=now, subject="batch 1")
    said = activity.line(row).sentence
    assert said == "This server began to send a batch of events"


@pytest.mark.django_db(transaction=True)
def test_a_restored_database_asks_for_an_answer_until_there_is_one(
    running, settings, now
) -> None:
    make.license(now)
    later = {choices.CONNECTION: {"number": 7, "value": True}}
    (Path(settings.NMS_DATA_DIR) / "choices.json").write_text(json.dumps(later))
    assert connection.check_restore(now)
    assert titles(now) == ["Continuous Connection is off: the database was restored"]
    (row,) = [one for one in health.rows(now) if one.label == "Not chosen"]
    assert (row.name, row.kind) == ("Continuous Connection", "warn")
    connection.set_choice(on=False, by="ada", via=Via.SETTINGS, now=now)
    assert titles(now) == []
    assert "Not chosen" not in [one.label for one in health.rows(now)]


def test_the_gravest_stands_first(running, now) -> None:
    make.license(now, days=50)
    Pause.objects.create(pk="telemetry", paused_at=now, status=401)
    assert titles(now) == ["Sending is paused", "License expires in 50 days"]


def test_an_action_without_a_sentence_shows_its_code(db, now) -> None:
    row = audit.record("something.new", now=now, actor="ada", subject="it")
    assert activity.line(row).sentence == "ada: something.new it"


def test_overview_shows_who_did_what(running, signed_in, vera, now) -> None:
    audit.record("license.applied", now=now, actor="ada", subject="SBX-1")
    with time_machine.travel(now, tick=False):
        client: Client = signed_in(vera)
        page = client.get("/ui/").content.decode()
    assert "ada added the license SBX-1" in page
    assert "No license yet" in page
