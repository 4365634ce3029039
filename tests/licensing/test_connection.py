from __future__ import annotations

import json
from threading import Barrier, Thread

import pytest
from django.db import DatabaseError, connection

from audit.models import Record
from common import choices, setup
from licensing import services
from licensing.connection import RESTORED, check_restore, choice
from licensing.models import ConnectionChoice
from licensing.signals import connection_changed

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def switch(on: bool, now, by: str = "ada") -> bool:
    return services.set_connection(
        on=on, by=by, via="settings", now=now, address="10.0.0.9"
    )


@pytest.fixture
def heard():
    """What the signal said."""
    found: list[tuple[bool, str]] = []

    def hear(on: bool, by: str, **kwargs: object) -> None:
        found.append((on, by))

    connection_changed.connect(hear)
    yield found
    connection_changed.disconnect(hear)


def test_it_is_on_until_somebody_says_off():
    assert services.connection_on()
    assert services.connection_number() == 0
    assert choice() is None


@pytest.mark.parametrize("answers", [[], [True], [True, False], [False, True]])
@pytest.mark.parametrize("mode", ["connected", "disconnected"])
def test_it_is_open_while_it_is_on_and_this_server_is_connected(now, answers, mode):
    for answer in answers:
        switch(answer, now)
    row = setup.current()
    row.operation_mode = mode
    row.save()
    on = answers[-1] if answers else True
    assert services.connection_open() == (on and mode == "connected")


def test_it_is_open_before_set_up_began_and_not_under_a_setting(settings):
    assert services.connection_open()
    settings.NMS_OPERATION_MODE = "disconnected"
    assert not services.connection_open()


def test_off_is_stored_with_who_when_and_through_what(now, heard):
    assert switch(False, now)
    assert not services.connection_on()
    row = ConnectionChoice.objects.get()
    assert (row.pk, row.value, row.decided_by, row.via) == (1, False, "ada", "settings")
    assert row.decided_at == now
    record = Record.objects.get()
    assert (record.action, record.actor, record.address) == (
        "connection.off",
        "ada",
        "10.0.0.9",
    )
    assert record.details == {"number": 1}
    assert heard == [(False, "ada")]


def test_the_first_on_is_an_answer_too(now):
    assert switch(True, now)
    assert services.connection_number() == 1


def test_the_same_answer_again_adds_nothing(now, heard):
    switch(False, now)
    assert not switch(False, now, by="eve")
    assert ConnectionChoice.objects.get().decided_by == "ada"
    assert Record.objects.count() == 1
    assert heard == [(False, "ada")]


def test_every_change_keeps_those_before(now):
    for on in (False, True, False):
        switch(on, now)
    rows = ConnectionChoice.objects.order_by("pk").values_list("pk", "value")
    assert list(rows) == [(1, False), (2, True), (3, False)]
    assert not services.connection_on()


def test_a_receiver_that_fails_takes_the_choice_back(now):
    def fail(**kwargs: object) -> None:
        raise RuntimeError("the disk is full")

    connection_changed.connect(fail)
    try:
        with pytest.raises(RuntimeError):
            switch(False, now)
    finally:
        connection_changed.disconnect(fail)
    assert ConnectionChoice.objects.count() == Record.objects.count() == 0
    assert services.connection_on()


def test_do_not_track_is_off_whatever_was_answered(settings, now):
    switch(True, now)
    settings.DO_NOT_TRACK = True
    assert not services.connection_on()


def test_do_not_track_takes_no_on_but_an_off(settings, now):
    settings.DO_NOT_TRACK = True
    assert not switch(True, now)
    assert switch(False, now)
    assert ConnectionChoice.objects.get().value is False


@pytest.mark.django_db(transaction=True)
def test_the_newest_answer_stands_beside_the_database(folder, now):
    switch(False, now)
    kept = json.loads((folder / "choices.json").read_text())
    assert kept == {choices.CONNECTION: {"number": 1, "value": False}}


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_is_not_remembered(folder, now):
    def fail(**kwargs: object) -> None:
        raise RuntimeError("the disk is full")

    connection_changed.connect(fail)
    try:
        with pytest.raises(RuntimeError):
            switch(False, now)
    finally:
        connection_changed.disconnect(fail)
    assert not (folder / "choices.json").exists()


@pytest.mark.django_db(transaction=True)
def test_a_restored_database_switches_off_until_somebody_answers(folder, now):
    for on in (False, True, False):
        switch(on, now)
    ConnectionChoice.objects.filter(pk__gt=1).delete()  # the backup of yesterday
    assert check_restore(now)
    newest = ConnectionChoice.objects.get(pk=4)
    assert (newest.value, newest.reason, newest.decided_by) == (
        False,
        RESTORED,
        "system",
    )
    assert not services.connection_on()
    assert not check_restore(now)
    assert switch(True, now)
    assert services.connection_number() == 5
    assert services.connection_on()


@pytest.mark.django_db(transaction=True)
def test_an_on_that_comes_back_with_a_backup_is_overruled(folder, now):
    switch(True, now)
    switch(False, now)
    ConnectionChoice.objects.get(pk=2).delete()
    assert services.connection_on()
    assert check_restore(now)
    assert not services.connection_on()


@pytest.mark.django_db(transaction=True)
def test_off_answers_the_question_after_a_restore_too(folder, now):
    (folder / "choices.json").write_text("{damaged")
    assert check_restore(now)
    assert switch(False, now)
    assert ConnectionChoice.objects.latest().reason == ""


@pytest.mark.django_db(transaction=True)
def test_a_database_as_new_as_the_file_stays_as_it_is(folder, now):
    switch(True, now)
    assert not check_restore(now)
    (folder / "choices.json").unlink()
    choices._written.clear()
    assert not check_restore(now)
    assert choices.load() == {choices.CONNECTION: (1, True)}


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(60)
def test_of_answers_at_once_each_stored_one_is_in_the_chain(now):
    barrier, stored = Barrier(6), []

    def answer(on: bool) -> None:
        barrier.wait()
        try:
            stored.append(switch(on, now))
        except DatabaseError:
            stored.append(False)
        finally:
            connection.close()

    threads = [Thread(target=answer, args=(i % 2 == 0,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    rows = ConnectionChoice.objects.order_by("pk")
    assert [row.pk for row in rows] == list(range(1, sum(stored) + 1))
    said = [f"connection.{'on' if row.value else 'off'}" for row in rows]
    records = Record.objects.order_by("sequence")
    assert [record.action for record in records] == said
    assert services.connection_on() == rows.latest().value
