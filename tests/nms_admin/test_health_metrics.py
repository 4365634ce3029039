"""Queue, tries, gates, receipts and heartbeats, as Prometheus' own parser reads them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from common.models import Via
from egress.models import Attempt, Gate
from licensing import connection
from nms_admin import metrics
from telemetry import catalog, delivery, outbox, processes
from telemetry.models import Batch
from telemetry.services import record, worked
from tests import make

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.both_databases,
    pytest.mark.usefixtures("finished", "at_noon"),
]


def figures(now) -> dict[str, float]:
    text = metrics.exposition(now).decode()
    return {
        " ".join([one.name, *one.labels.values()]): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def test_what_waits_is_counted_by_state_with_the_age_of_the_oldest(now) -> None:
    record(catalog.LOGIN, now=now)
    assert figures(now)["nms_queue_size events held"] == 1, "no license yet"
    make.license(now)
    later = figures(now + timedelta(minutes=5))
    assert later["nms_queue_size events pending"] == 1
    assert later["nms_queue_oldest_age_seconds events"] == 300
    assert delivery.seal(now)
    assert figures(now)["nms_queue_size events sealed"] == 1
    Batch.objects.update(attempts=2)
    found = figures(now)
    assert found["nms_queue_size events retrying"] == 1
    assert found["nms_queue_size events sealed"] == 0
    Batch.objects.update(dead_at=now)
    found = figures(now)
    assert found["nms_queue_size events refused"] == 1
    assert found["nms_queue_oldest_age_seconds events"] == 0


def test_tries_count_for_a_day_and_a_closed_gate_shows_without_its_host(now) -> None:
    for outcome, ago in (("failed", 1), ("failed", 2), ("accepted", 3), ("failed", 25)):
        Attempt.objects.create(
            kind="batch",
            item="1",
            destination="telemetry",
            host="localhost:8001",
            size=0,
            choice=0,
            started_at=now - timedelta(hours=ago),
            outcome=outcome,
        )
    Gate.objects.create(host="localhost:8001", failures=2, closed_until=now)
    found = figures(now)
    assert found["nms_attempts_last_day telemetry failed"] == 2
    assert found["nms_attempts_last_day telemetry accepted"] == 1
    assert found["nms_gate_open telemetry"] == 0
    assert found["nms_gate_failures telemetry"] == 2
    assert b"8001" not in metrics.exposition(now)


def test_events_are_counted_by_how_they_ended_for_ever(now) -> None:
    make.license(now)
    record(catalog.LOGIN, now=now)
    connection.set_choice(on=False, by="ada", via=Via.SETTINGS, now=now)
    outbox.discard_all("turned off", now)
    found = figures(now)
    assert found["nms_events_total discarded"] == 1
    assert found["nms_events_total accepted"] == 0


def test_a_heartbeat_and_the_last_work_are_told_apart(now) -> None:
    run = processes.started("integrations", now - timedelta(minutes=9))
    assert figures(now)["nms_process_up integrations"] == 0
    processes.seen(run.pk, now)
    worked("integrations", now - timedelta(minutes=5))
    found = figures(now)
    assert found["nms_process_up integrations"] == 1
    beat = found["nms_process_heartbeat_timestamp_seconds integrations"]
    done = found["nms_process_worked_timestamp_seconds integrations"]
    assert beat - done == 300
    assert found["nms_process_up scheduler"] == 0
