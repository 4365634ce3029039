"""From a recorded event to a receipt, on good days and on bad ones."""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from audit import services as audit
from audit.models import Record
from egress import destinations, gate
from egress.errors import TransientError
from egress.models import Attempt
from licensing import services as licensing
from telemetry import catalog, delivery, document, ledger, outbox, services
from telemetry.models import Batch, DailyCount, Event
from tests import make
from tests.telemetry.conftest import record

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def only() -> Batch:
    return Batch.objects.get()


def discarded() -> dict[str, int]:
    rows = DailyCount.objects.filter(outcome="discarded").values_list("reason", "count")
    return dict(rows)


def test_an_event_is_delivered_once_and_leaves_the_hot_table(
    licensed, receiver, clock
) -> None:
    record(3, clock.now)
    assert delivery.deliver(clock) == 3
    assert delivery.deliver(clock) == 0
    assert Event.objects.count() == 0
    assert receiver.effects == (3, 0, 0)
    batch = only()
    assert batch.acknowledged_at == clock.now
    assert batch.receipt == json.loads(batch.receipt_body)["receiptId"]
    assert DailyCount.objects.get().count == 3


def test_preview_batch_attempt_chain_and_receiver_have_the_same_bytes(
    licensed, receiver, clock
) -> None:
    record(2, clock.now)
    shown = services.preview(clock.now)
    delivery.deliver(clock)
    arrival = receiver.arrivals[0]
    batch, attempt = only(), Attempt.objects.get()
    assert shown.kind == "next"
    assert shown.body == bytes(batch.body) == arrival.body
    digest = hashlib.sha256(arrival.body).hexdigest()
    link = Record.objects.filter(action="delivery.sent").get().details
    assert digest == batch.sha256 == attempt.sha256 == link["sha256"] == shown.digest
    fields = dict(arrival.headers)
    assert fields["Idempotency-Key"] == attempt.key == link["key"] == str(batch.pk)
    assert attempt.choice == link["choice"] == licensing.connection_number()
    assert audit.verify() is None


def test_the_document_is_canonical(licensed, receiver, clock) -> None:
    record(1, clock.now)
    delivery.deliver(clock)
    body = receiver.arrivals[0].body
    content = json.loads(body)
    again = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    assert body == again
    assert content["documentType"] == "nms-telemetry"
    assert content["documentVersion"] == "1"
    assert content["subscriptionId"] == make.SUBSCRIPTION
    (one,) = content["telemetryRecords"]
    assert sorted(one) == ["dataPoint", "id", "timestamp"]
    assert (one["dataPoint"], one["timestamp"]) == ("login", "2026-11-23T12:00:00Z")


def test_a_retry_is_the_same_request(licensed, receiver, clock) -> None:
    receiver.fails("reset_after", times=1)
    record(1, clock.now)
    assert delivery.deliver(clock) == 0
    record(1, clock.now)
    clock.forward(seconds=6)
    assert delivery.deliver(clock) == 2
    first, again, _ = receiver.arrivals
    assert first.body == again.body
    assert dict(first.headers) == dict(again.headers)
    assert receiver.effects == (2, 0, 0)
    assert [attempt.outcome for attempt in Attempt.objects.order_by("pk")] == [
        "unknown",
        "accepted",
        "accepted",
    ]


@pytest.mark.parametrize(
    ("mode", "args", "cause"),
    [
        ("status", {"status": 500}, "status_500"),
        ("status", {"status": 409}, "status_409"),
        ("status", {"status": 202, "body": ""}, "no_receipt"),
        ("html", {}, "no_receipt"),
        ("array", {}, "no_receipt"),
        ("wrong_id", {}, "wrong_id"),
        ("garbage", {}, "cut"),
        ("huge", {"mb": 1}, "too_large"),
        ("redirect", {"status": 302}, "redirect"),
    ],
)
def test_what_is_no_acceptance_is_tried_again_after_a_while(
    licensed, receiver, clock, mode, args, cause
) -> None:
    receiver.fails(mode, times=1, **args)
    record(1, clock.now)
    assert delivery.deliver(clock) == 0
    assert Attempt.objects.get().cause == cause
    clock.forward(seconds=3)
    assert delivery.deliver(clock) == 0, "the gate is closed for 3.75 s at least"
    assert len(receiver.arrivals) == 1
    clock.forward(seconds=3)
    assert delivery.deliver(clock) == 1


@pytest.mark.parametrize("status", [200, 201, 204])
def test_an_empty_answer_is_accepted_without_a_receipt(
    licensed, receiver, clock, status
) -> None:
    receiver.fails("status", status=status, body="")
    record(1, clock.now)
    assert delivery.deliver(clock) == 1
    assert (only().receipt, only().attempts) == ("", 1)


def test_a_storm_is_met_by_one_probe_at_a_time(licensed, receiver, clock) -> None:
    receiver.fails("status", status=503)
    record(1, clock.now)
    for _ in range(24 * 60):  # a day, one sweep a minute
        delivery.deliver(clock)
        clock.forward(minutes=1)
    assert 20 <= len(receiver.arrivals) <= 45
    receiver.recovers()
    clock.forward(hours=1)
    assert delivery.deliver(clock) == 1
    assert gate.state(_host()) is None


@pytest.mark.parametrize(
    ("asked", "hours"), [("7200", 2), ("999999999", 24), ("-1", 0), ("junk", 0)]
)
def test_retry_after_is_honoured_up_to_a_day(
    licensed, receiver, clock, asked, hours
) -> None:
    receiver.fails("status", status=429, retry_after=asked)
    record(1, clock.now)
    delivery.deliver(clock)
    until = gate.closed_until(_host())
    assert until is not None
    wait = until - clock.now
    if hours:
        assert wait == timedelta(hours=hours)
    else:
        assert timedelta(seconds=3.7) < wait <= timedelta(seconds=5)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_license_pauses_until_the_license_changes(
    licensed, receiver, clock, status
) -> None:
    receiver.fails("status", status=status)
    record(1, clock.now)
    delivery.deliver(clock)
    for _ in range(10):
        clock.forward(hours=2)
        delivery.deliver(clock)
    assert len(receiver.arrivals) == 1
    assert only().attempts == 0
    receiver.recovers()
    make.license(clock.now, jti="another")
    assert delivery.deliver(clock) == 1


def test_a_refused_license_is_tried_again_when_somebody_asks(
    licensed, receiver, clock
) -> None:
    receiver.fails("status", times=1, status=401)
    record(1, clock.now)
    delivery.deliver(clock)
    services.try_now(clock.now)
    assert delivery.deliver(clock) == 1


@pytest.mark.parametrize("status", [400, 422])
def test_a_refused_batch_is_put_aside_and_the_rest_flows(
    licensed, receiver, clock, status
) -> None:
    receiver.fails("status", times=1, status=status)
    record(1, clock.now)
    assert delivery.deliver(clock) == 0
    record(1, clock.now)
    assert delivery.deliver(clock) == 1
    dead = Batch.objects.exclude(dead_at=None).get()
    assert dead.dead_reason == f"It was refused ({status})."


def test_a_dead_batch_goes_again_with_the_same_bytes(licensed, receiver, clock) -> None:
    receiver.fails("status", times=1, status=400)
    record(1, clock.now)
    delivery.deliver(clock)
    assert services.retry_batch(only().pk, by="ada", address="", now=clock.now)
    assert delivery.deliver(clock) == 1
    first, again = receiver.arrivals
    assert first.body == again.body


def test_a_dead_batch_can_be_given_up(licensed, receiver, clock) -> None:
    receiver.fails("status", times=1, status=400)
    record(2, clock.now)
    delivery.deliver(clock)
    number = only().pk
    assert services.discard_batch(number, by="ada", address="", now=clock.now)
    assert not services.discard_batch(number, by="ada", address="", now=clock.now)
    assert discarded() == {"deleted by hand, may have been sent": 2}


def test_a_batch_that_is_too_large_goes_on_as_two(licensed, receiver, clock) -> None:
    receiver.fails("status", times=2, status=413)
    record(5, clock.now)
    assert delivery.deliver(clock) == 5
    assert receiver.effects == (5, 0, 0)
    assert Batch.objects.exclude(split_at=None).count() == 2
    assert len({arrival.body for arrival in receiver.arrivals}) == 5
    ids = [
        one["id"]
        for batch in Batch.objects.exclude(acknowledged_at=None)
        for one in json.loads(bytes(batch.body))["telemetryRecords"]
    ]
    assert len(set(ids)) == 5


def test_one_event_that_is_too_large_is_refused(licensed, receiver, clock) -> None:
    receiver.fails("status", status=413)
    record(1, clock.now)
    delivery.deliver(clock)
    assert only().dead_at == clock.now


def test_more_than_a_batch_is_drained_in_batches_of_500(
    licensed, receiver, clock
) -> None:
    Event.objects.bulk_create(
        Event(data_point="login", occurred_at=clock.now) for _ in range(1203)
    )
    assert delivery.deliver(clock) == 1203
    assert [batch.event_count for batch in Batch.objects.order_by("-event_count")] == [
        500,
        500,
        203,
    ]


def test_a_worker_that_died_leaves_the_batch_to_the_next(
    licensed, receiver, clock
) -> None:
    record(1, clock.now)
    batch = delivery.seal(clock.now)
    left = delivery.claim(clock.now)
    assert (batch, left) == (only(), only())
    assert delivery.claim(clock.forward(seconds=39)) is None
    clock.forward(seconds=2)
    assert delivery.deliver(clock) == 1
    assert only().crashes == 1


def test_a_late_worker_cannot_settle(licensed, clock) -> None:
    record(1, clock.now)
    delivery.seal(clock.now)
    late = delivery.claim(clock.now)
    mine = delivery.claim(clock.forward(seconds=41))
    assert late
    assert mine
    assert not delivery.settle(late, acknowledged_at=clock.now)
    assert delivery.settle(mine, acknowledged_at=clock.now)
    assert not delivery.settle(late, dead_at=clock.now)
    assert only().dead_at is None


def test_a_batch_that_ends_five_workers_is_dead(licensed, clock) -> None:
    record(1, clock.now)
    delivery.seal(clock.now)
    for _ in range(5):
        assert delivery.claim(clock.now)
        clock.forward(seconds=41)
    assert delivery.claim(clock.now) is None
    assert only().dead_reason == "Sending it ended the worker 5 times."


def test_a_poison_event_is_set_aside_and_the_rest_flows(
    licensed, receiver, clock
) -> None:
    Event.objects.create(data_point="of_the_future", occurred_at=clock.now)
    record(2, clock.now)
    assert delivery.deliver(clock) == 2
    assert Event.objects.count() == 0
    assert discarded() == {"not in the catalogue": 1}


def test_an_event_between_the_others_that_may_not_go_is_not_lost(
    licensed, receiver, clock
) -> None:
    record(1, clock.now)
    Event.objects.create(data_point="of_the_future", occurred_at=clock.now)
    record(1, clock.now)
    batch = delivery.seal(clock.now)
    assert batch
    assert batch.event_count == 2
    assert [event.data_point for event in Event.objects.all()] == ["of_the_future"]


def test_an_event_recorded_right_after_the_look_for_some_is_sealed(
    licensed, clock, monkeypatch
) -> None:
    look = delivery.sealable
    signed_in: list[None] = []

    def and_then_somebody_signs_in(*args: Any) -> list[Any]:
        rows = look(*args)
        if not rows and not signed_in:
            signed_in.append(record(1, clock.now))
        return rows

    monkeypatch.setattr(delivery, "sealable", and_then_somebody_signs_in)
    assert delivery.seal(clock.now).event_count == 1
    assert discarded() == {}


@pytest.mark.django_db(transaction=True)
def test_four_workers_never_share_a_batch(licensed, clock) -> None:
    for _ in range(40):
        record(1, clock.now)
        delivery.seal(clock.now)
    claimed: list[str] = []
    failures: list[Exception] = []

    def work() -> None:
        try:
            while batch := delivery.claim(clock.now):
                claimed.append(str(batch.pk))
        except Exception as error:  # noqa: BLE001  (shown by the test)
            failures.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert failures == []
    assert len(claimed) == len(set(claimed)) == 40


@pytest.mark.django_db(transaction=True)
def test_four_workers_never_seal_an_event_twice(licensed, clock) -> None:
    Event.objects.bulk_create(
        Event(data_point="login", occurred_at=clock.now) for _ in range(400)
    )

    def work() -> None:
        try:
            while delivery.seal(clock.now, size=10):
                pass
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    facts = [
        fact for batch in Batch.objects.all() for fact in document.read(batch.body)
    ]
    assert len(facts) == len({fact.uid for fact in facts}) == 400


@pytest.mark.django_db(transaction=True)
def test_while_the_gate_is_closed_one_worker_is_the_probe(clock) -> None:
    for _ in range(2):
        ticket = gate.enter("host:1", clock.now)
        assert ticket
        gate.failed(ticket, _error(), clock.now)
        clock.forward(minutes=1)
    tickets: list[gate.Pass] = []

    def work() -> None:
        if ticket := gate.enter("host:1", clock.now):
            tickets.append(ticket)
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert len(tickets) == 1
    gate.succeeded(tickets[0])
    assert gate.enter("host:1", clock.now) == gate.Pass("host:1", 0, None)


@pytest.mark.parametrize("ended", [True, False])
def test_what_a_wrong_clock_put_off_for_a_year_goes_when_the_clock_is_right(
    licensed, receiver, clock, ended
) -> None:
    right = clock.now
    clock.forward(days=200)
    receiver.fails("status", times=1, status=503)
    record(1, clock.now)
    delivery.deliver(clock)
    if not ended:
        Batch.objects.update(lease=uuid.uuid4(), leased_until=clock.now)
    clock.now = right
    assert delivery.deliver(clock) == 1
    assert gate.enter(_host(), clock.now) == gate.Pass(_host(), 0, None)


def test_calls_that_fail_together_count_as_one_failure(clock) -> None:
    first, second = (gate.enter("host:1", clock.now) for _ in range(2))
    assert first
    assert second
    gate.failed(first, _error(), clock.now)
    gate.failed(second, _error(), clock.now)
    closed = gate.state("host:1")
    assert closed
    assert closed.failures == 1


def test_what_was_settled_long_ago_is_pruned_and_its_counts_stay(
    licensed, receiver, clock
) -> None:
    record(2, clock.now)
    delivery.deliver(clock)
    receiver.fails("status", status=400)
    record(1, clock.now)
    delivery.deliver(clock)
    assert outbox.prune(clock.forward(days=399)) == 0
    assert outbox.prune(clock.forward(days=2)) == 4
    assert Batch.objects.count() == Attempt.objects.count() == 0
    assert dict(DailyCount.objects.values_list("outcome", "count")) == {
        "accepted": 2,
        "refused": 1,
    }
    assert audit.verify() is None


def test_the_counts_of_a_day_add_up(licensed, receiver, clock) -> None:
    record(2, clock.now)
    delivery.deliver(clock)
    receiver.fails("status", times=1, status=400)
    record(1, clock.now)
    delivery.deliver(clock)
    record(4, clock.now)
    days = ledger.counts(14, clock.now)
    assert (days.accepted[-1], days.refused[-1], days.waiting[-1]) == (2, 1, 4)
    assert len(days.days) == 14
    assert ledger.point_counts(14, clock.now)[catalog.LOGIN.name].number == 7
    assert ledger.totals(14, clock.now) == ledger.Totals(2, 2, 1)


def test_without_an_address_nothing_is_tried(licensed, settings, clock) -> None:
    settings.NMS_TELEMETRY_URL = ""
    record(1, clock.now)
    assert delivery.deliver(clock) == 0
    assert Event.objects.count() == 1


def test_a_batch_without_a_token_goes_without_authorization(
    licensed, receiver, clock
) -> None:
    delivery.store(
        [document.Fact(uuid.uuid4(), "login", clock.now)],
        subscription=make.SUBSCRIPTION,
        license_id=None,
        batch_id=uuid.uuid4(),
        now=clock.now,
    )
    delivery.deliver(clock)
    (sent,) = receiver.arrivals
    assert "authorization" not in {name.lower() for name, _ in sent.headers}


def _host() -> str:
    destination = destinations.find("telemetry")
    assert destination
    return destination.host


def _error() -> TransientError:
    return TransientError("status_503", "It answered 503.", status=503)
