"""The catalogue, its documents, and the commands around them."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command

from telemetry import catalog, delivery, document
from telemetry.management.commands import data_points
from telemetry.models import Batch, Event
from tests.telemetry.conftest import record


def run(*words: str) -> str:
    out = io.StringIO()
    call_command(*words, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_the_page_and_the_lock_are_what_the_catalogues_say() -> None:
    run("data_points")


def test_a_catalogue_that_changed_is_noticed(tmp_path, settings) -> None:
    settings.BASE_DIR = tmp_path
    (tmp_path / "docs").mkdir()
    with pytest.raises(CommandError, match="data_points --write"):
        run("data_points")
    run("data_points", "--write")
    run("data_points")
    assert len(data_points.render()) == 2


def test_a_document_has_the_fields_of_the_catalogue_and_no_others() -> None:
    content = json.loads(document.example("login"))
    records = content.pop("telemetryRecords")
    assert sorted(content) == sorted(field.name for field in catalog.ENVELOPE)
    assert [sorted(one) for one in records] == [
        sorted(field.name for field in catalog.RECORD)
    ]


def test_the_schema_requires_exactly_the_fields_of_a_document() -> None:
    schema = document.schema()
    content = json.loads(document.example("login"))
    assert schema["required"] == sorted(content)
    record_schema = schema["properties"]["telemetryRecords"]["items"]
    assert record_schema["required"] == sorted(content["telemetryRecords"][0])
    assert record_schema["additionalProperties"] is False
    assert "login" in record_schema["properties"]["dataPoint"]["enum"]


@pytest.mark.parametrize("point", catalog.POINTS)
def test_an_example_is_a_document_that_can_be_read(point) -> None:
    (fact,) = document.read(document.example(point.name))
    assert fact.data_point == point.name
    assert fact.occurred_at.tzinfo is UTC


def test_counts_are_by_utc_day() -> None:
    late = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
    facts = document.read(document.example("login"))
    facts.append(document.Fact(facts[0].uid, "login", late))
    assert [number for *_, number in document.count(facts)] == [1, 1]


@pytest.mark.django_db
def test_the_preview_is_what_is_sent_next(licensed, receiver, clock) -> None:
    record(1, clock.now)
    shown = run("telemetry", "preview")
    batch = delivery.seal(clock.now)
    assert batch
    assert shown.encode() == bytes(batch.body)
    assert run("telemetry", "preview") == shown


@pytest.mark.django_db
def test_explain_names_what_decides(finished) -> None:
    assert "-> License: none yet" in run("telemetry", "explain")


@pytest.mark.django_db
def test_the_outbox_tells_its_state_and_can_be_emptied_by_hand(
    licensed, receiver, clock
) -> None:
    record(2, clock.now)
    found = json.loads(run("outbox", "status", "--json"))
    assert (found["held"], found["pending"], found["batches"]) == (0, 2, 0)
    assert run("outbox", "drain", "--once") == "2 events were accepted.\n"
    assert Event.objects.count() == 0
    assert Batch.objects.get().acknowledged_at
    assert "acknowledged: 1" in run("outbox", "status")
