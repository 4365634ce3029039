"""What is recorded, held and discarded, and what can never stop an action."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.signals import user_logged_in
from django.db import connection, transaction
from django.test import Client

from common import setup
from common.dictionary import DataPoint
from common.models import Via
from common.signals import api_signed_in
from licensing import services as licensing
from telemetry import catalog, delivery, processes, services
from telemetry.models import Batch, DailyCount, Event, ProcessRun
from tests import make
from tests.conftest import PASSWORD
from tests.telemetry.conftest import record

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def points() -> list[str]:
    return list(Event.objects.order_by("pk").values_list("data_point", flat=True))


def discarded() -> dict[str, int]:
    rows = DailyCount.objects.filter(outcome="discarded")
    return dict(rows.values_list("reason", "count"))


def turn(now: datetime, *, on: bool) -> None:
    licensing.set_connection(on=on, by="ada", via=Via.SETTINGS, now=now)


def test_a_sign_in_is_recorded_with_its_session_or_not_at_all(ada, finished) -> None:
    with transaction.atomic():
        user_logged_in.send(sender=None, request=None, user=ada)
        assert points() == ["login"]
        transaction.set_rollback(True)
    assert points() == []


def test_a_sign_in_by_the_form_is_one_login(ada, finished) -> None:
    answer = Client().post("/login", {"username": "ada", "password": PASSWORD})
    assert answer.status_code == 302
    assert points() == ["login"]


def test_an_api_sign_in_is_one_login(ada, now) -> None:
    api_signed_in.send(sender=None, user=ada, now=now)
    assert points() == ["login"]


def test_a_broken_outbox_does_not_stop_a_sign_in(ada, finished) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE telemetry_event RENAME TO telemetry_gone")
    client = Client()
    answer = client.post("/login", {"username": "ada", "password": PASSWORD})
    assert answer.status_code == 302
    assert "_auth_user_id" in client.session


def test_what_is_not_in_the_catalogue_cannot_be_recorded(now) -> None:
    foreign = DataPoint(
        name="login", label="", trigger="", purpose="", fields=(), since=""
    )
    with pytest.raises(ValueError, match="not in the catalogue"):
        services.record(foreign, now=now)


def test_nothing_is_recorded_while_it_is_off(licensed, now) -> None:
    turn(now, on=False)
    assert not services.record(catalog.LOGIN, now=now)
    turn(now, on=True)
    assert services.record(catalog.LOGIN, now=now)
    assert points() == ["login"]


def test_do_not_track_records_nothing(licensed, now, settings) -> None:
    settings.DO_NOT_TRACK = True
    assert not services.record(catalog.LOGIN, now=now)


def test_the_installation_is_recorded_once(db, now) -> None:
    assert services.installed(now)
    assert not services.installed(now)
    assert points() == ["installation"]


def test_a_process_is_one_start_and_one_stop(db, now) -> None:
    run = processes.started("core", now)
    processes.seen(run.pk, now + timedelta(minutes=1))
    processes.stopped(run.pk, now + timedelta(minutes=2))
    processes.stopped(run.pk, now + timedelta(minutes=3))
    assert points() == ["process_start", "process_stop"]
    assert Event.objects.last().occurred_at == now + timedelta(minutes=2)


def test_an_unclean_end_is_recorded_by_those_that_go_on(db, now) -> None:
    killed = processes.started("integrations", now)
    other = processes.started("integrations", now)  # a second one on this host
    processes.seen(killed.pk, now + timedelta(minutes=1))
    watched: processes.Watched = {}
    for minutes in range(2, 6):
        assert ProcessRun.objects.filter(stopped_at=None).count() == 2
        assert processes.seen(other.pk, now + timedelta(minutes=minutes))
        watched = processes.end_lost(watched)
    assert points() == ["process_start", "process_start", "process_stop"]
    stop = Event.objects.get(data_point="process_stop")
    assert stop.occurred_at == now + timedelta(minutes=1)
    ended = ProcessRun.objects.get(pk=killed.pk)
    assert (ended.unclean, ended.stopped_at) == (True, stop.occurred_at)
    assert ProcessRun.objects.get(pk=other.pk).stopped_at is None
    assert list(watched) == [other.pk]


def test_a_database_that_was_away_ends_no_process(db, now) -> None:
    one, other = (processes.started("core", now) for _ in range(2))
    watched = processes.end_lost({})
    later = now + timedelta(days=400)  # or the clock was wrong
    for minutes in range(5):
        processes.seen(one.pk, later + timedelta(minutes=minutes))
        watched = processes.end_lost(watched)
        processes.seen(other.pk, now + timedelta(minutes=minutes))
    assert ProcessRun.objects.filter(stopped_at=None).count() == 2


@pytest.mark.parametrize(
    ("prepared", "hold"),
    [
        ("nothing", "setup"),
        ("finished", "no_license"),
        ("disconnected", "disconnected"),
    ],
)
def test_events_are_held_while_they_may_not_go(
    db, receiver, clock, settings, prepared, hold
) -> None:
    if prepared != "nothing":
        row = setup.current()
        row.finished_at = clock.now
        row.save()
    if prepared == "disconnected":
        make.license(clock.now)
        settings.NMS_OPERATION_MODE = "disconnected"
    record(3, clock.now)
    assert delivery.deliver(clock) == 0
    assert receiver.arrivals == []
    assert licensing.delivery_terms(clock.now).hold == hold
    waiting = services.waiting(clock.now)
    assert (waiting.held, waiting.pending, waiting.since) == (3, 0, clock.now)


def test_held_events_are_deleted_past_the_window(finished, receiver, clock) -> None:
    record(2, clock.now)
    clock.forward(hours=20)
    record(1, clock.now)
    clock.forward(hours=5)
    delivery.deliver(clock)
    assert services.waiting(clock.now).held == 1
    assert discarded() == {"waited too long": 2}


def test_when_the_hold_ends_only_the_window_before_it_goes_out(
    finished, receiver, clock
) -> None:
    record(1, clock.now)
    clock.forward(hours=30)
    record(2, clock.now)
    clock.forward(hours=1)
    make.license(clock.now)
    assert delivery.deliver(clock) == 2
    assert discarded() == {"waited too long": 1}


def test_what_was_released_waits_longer_than_the_window(
    licensed, receiver, clock
) -> None:
    receiver.fails("status", status=500)
    record(1, clock.now)
    for _ in range(5):
        delivery.deliver(clock)
        clock.forward(days=3)
    receiver.recovers()
    assert delivery.deliver(clock) == 1


def test_nothing_waits_longer_than_30_days(licensed, receiver, clock) -> None:
    receiver.fails("status", status=500)
    record(1, clock.now)
    delivery.deliver(clock)
    record(1, clock.now)
    clock.forward(days=31)
    assert delivery.deliver(clock) == 0
    assert discarded() == {
        "waited too long": 1,
        "waited too long, may have been sent": 1,
    }
    assert services.waiting(clock.now).total == 0


def test_an_outage_of_months_loses_nothing_of_the_last_30_days(
    licensed, receiver, clock
) -> None:
    receiver.fails("status", status=503)
    for _ in range(100):
        record(2, clock.now)
        delivery.deliver(clock)
        clock.forward(days=1)
    receiver.recovers()
    assert delivery.deliver(clock) in (60, 62)  # the 30th day is just at the limit
    assert services.waiting(clock.now).total == 0


def test_a_batch_holds_events_of_24_hours(licensed, receiver, clock) -> None:
    record(2, clock.now)
    clock.forward(hours=23)
    record(1, clock.now)
    clock.forward(hours=2)
    record(1, clock.now)
    assert delivery.deliver(clock) == 4
    assert [one.body.count(b"timestamp") for one in receiver.arrivals] == [3, 1]


def test_a_sealed_batch_goes_out_under_the_token_it_was_sealed_under(
    licensed, receiver, clock
) -> None:
    record(1, clock.now)
    delivery.seal(clock.now)
    clock.forward(hours=1)
    make.license(clock.now, sub="SBX-00000002")
    record(1, clock.now)
    assert delivery.deliver(clock) == 2
    first, second = receiver.arrivals
    assert b"SBX-00198432" in first.body
    assert b"SBX-00000002" in second.body
    assert first.status == second.status == 200, "each token fits its document"


def test_a_batch_of_an_ended_subscription_is_discarded_after_the_window(
    licensed, receiver, clock
) -> None:
    receiver.fails("status", status=500)
    record(1, clock.now)
    delivery.deliver(clock)
    licensing.terminate(
        confirmation=make.SUBSCRIPTION, by="ada", via=Via.SETTINGS, now=clock.now
    )
    clock.forward(hours=23)
    delivery.deliver(clock)
    assert Batch.objects.unsettled().count() == 1
    clock.forward(hours=2)
    delivery.deliver(clock)
    assert discarded() == {"subscription ended, may have been sent": 1}


def test_the_refused_token_of_an_ended_subscription_does_not_stop_the_rest(
    licensed, receiver, clock
) -> None:
    record(1, clock.now)
    delivery.seal(clock.now)
    make.license(clock.now, sub="SBX-00000002")
    record(1, clock.now)
    receiver.fails("status", times=1, status=401)
    assert delivery.deliver(clock) == 1
    clock.forward(hours=2)
    assert delivery.deliver(clock) == 1


def test_turning_off_deletes_what_waits_and_counts_it(
    licensed, receiver, clock
) -> None:
    record(2, clock.now)
    delivery.seal(clock.now)
    record(3, clock.now)
    assert services.waiting(clock.now).total == 5
    turn(clock.now, on=False)
    assert services.waiting(clock.now).total == 0
    assert Batch.objects.count() == 0
    assert discarded() == {"turned off": 5}
    turn(clock.now, on=True)
    assert delivery.deliver(clock) == 0
    assert receiver.arrivals == []


def test_a_choice_that_is_rolled_back_deletes_nothing(licensed, clock) -> None:
    record(2, clock.now)
    with transaction.atomic():
        turn(clock.now, on=False)
        transaction.set_rollback(True)
    assert services.waiting(clock.now).total == 2


def test_an_event_recorded_while_it_was_turned_off_is_never_sent(
    licensed, receiver, clock
) -> None:
    turn(clock.now, on=False)
    Event.objects.create(data_point="login", occurred_at=clock.now)
    assert delivery.deliver(clock) == 0
    assert Event.objects.count() == 0
    assert receiver.arrivals == []


def test_held_events_can_be_deleted_by_hand(finished, clock) -> None:
    record(3, clock.now)
    assert services.delete_held(by="ada", address="", now=clock.now) == 3
    assert discarded() == {"deleted by hand": 3}


def test_after_a_restored_backup_what_may_have_gone_is_discarded(
    licensed, receiver, clock
) -> None:
    record(2, clock.now)
    sealed_until = clock.now
    clock.forward(hours=1)
    record(1, clock.now)
    assert services.discard_before(sealed_until, clock.now) == 2
    assert delivery.deliver(clock) == 1
    assert services.sealed_until() == clock.now
    assert discarded() == {"restored, may have been sent": 2}
