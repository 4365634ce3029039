from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta

import pytest
from django.core.management import CommandError, call_command

from audit import checking, services, tasks
from audit.models import Check, Head, Record

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db(transaction=True)]


def add(count: int, now: datetime) -> None:
    for number in range(count):
        services.record("test.done", now=now, subject=str(number))


def rewrite(now: datetime, count: int, head: int) -> None:
    """Write the whole chain anew so that it fits together, as an intruder would."""
    Record.objects.all().delete()
    Head.objects.all().delete()
    for number in range(count):
        services.record("test.undone", now=now, subject=str(number))
    assert services.head()[0] == head


def test_a_check_walks_the_chain_a_slice_at_a_time(now: datetime) -> None:
    add(7, now)
    assert checking.go_on(now, most=3)
    assert checking.state().position == 3
    assert checking.state().ended_at is None
    assert checking.go_on(now, most=3)
    assert not checking.go_on(now, most=3)
    state = checking.state()
    assert (state.ended_at, state.count) == (now, 7)
    assert state.digest == services.head()[1]
    assert (state.began_at, state.position, state.broken_at) == (None, 0, None)


def test_a_check_begins_every_hour_and_when_somebody_asks(now: datetime) -> None:
    add(1, now)
    checking.go_on(now)
    early, late = now + timedelta(minutes=59), now + timedelta(hours=1)
    checking.go_on(early)
    assert checking.state().ended_at == now
    checking.ask(early)
    checking.go_on(early)
    assert checking.state().ended_at == early
    assert checking.state().asked_at is None
    checking.go_on(late)
    assert checking.state().ended_at == early
    checking.go_on(early + timedelta(hours=1))
    assert checking.state().ended_at == early + timedelta(hours=1)


def test_who_asks_while_a_check_goes_on_gets_one_from_the_start(now: datetime) -> None:
    add(4, now)
    checking.go_on(now, most=2)
    Record.objects.filter(sequence=1).update(subject="changed")
    asked = now + timedelta(seconds=1)
    checking.ask(asked)
    checking.go_on(now + timedelta(seconds=2), most=9)
    assert checking.state().broken_at is None
    assert checking.state().asked_at == asked
    checking.go_on(now + timedelta(seconds=3))
    assert checking.state().broken_at == 1
    assert checking.state().asked_at is None


def test_of_two_workers_at_the_same_slice_one_counts(
    now: datetime, monkeypatch
) -> None:
    add(5, now)
    checking.go_on(now, most=2)
    look = services.look

    def slowly(*arguments):
        monkeypatch.setattr(services, "look", look)
        checking.go_on(now, most=2)
        return look(*arguments)

    monkeypatch.setattr(services, "look", slowly)
    assert not checking.go_on(now, most=2)
    assert checking.state().position == 4


def test_records_added_while_it_walks_are_no_break(now: datetime) -> None:
    add(4, now)
    checking.go_on(now, most=3)
    add(2, now)
    assert not checking.go_on(now, most=3)
    assert checking.state().count == 6
    add(1, now)
    assert services.verify() is None


def test_a_break_stays_until_a_check_finds_none(now: datetime) -> None:
    add(3, now)
    Record.objects.filter(sequence=2).update(actor="mallory")
    checking.go_on(now)
    state = checking.state()
    assert (state.broken_at, state.reason) == (2, "record 2 was changed")
    with pytest.raises(CommandError, match=state.reason):
        call_command("audit", "verify")
    Record.objects.filter(sequence=2).update(actor="system")
    checking.go_on(now + timedelta(hours=1))
    assert checking.state().broken_at is None


def test_a_chain_cut_short_with_a_new_head_is_noticed(now: datetime) -> None:
    add(3, now)
    checking.go_on(now)
    Record.objects.filter(sequence=3).delete()
    second = Record.objects.get(sequence=2)
    Head.objects.update(sequence=2, digest=second.digest)
    broken = services.verify()
    assert broken is not None
    assert broken.reason == "the records after 2 are missing"


def test_a_chain_written_anew_is_noticed(now: datetime) -> None:
    add(3, now)
    checking.go_on(now)
    rewrite(now, 4, head=4)
    broken = services.verify()
    assert broken is not None
    assert broken.reason == "the records up to 3 were written anew"


def test_an_emptied_chain_is_noticed(now: datetime) -> None:
    add(2, now)
    checking.go_on(now)
    Record.objects.all().delete()
    Head.objects.all().delete()
    assert services.verify().reason == "the records after 0 are missing"


def test_a_record_behind_the_head_is_noticed(now: datetime) -> None:
    add(2, now)
    Head.objects.all().delete()
    assert services.verify().reason == "the head does not name record 2"


def test_a_changed_head_is_noticed(now: datetime) -> None:
    add(2, now)
    Head.objects.update(digest="f" * 64)
    assert services.verify().reason == "the head was changed"


def test_the_text_of_a_record_has_its_digest(now: datetime) -> None:
    row = services.record("test.done", now=now, subject="ä", details={"b": 1, "a": [2]})
    row.refresh_from_db()
    assert hashlib.sha256(services.content(row).encode()).hexdigest() == row.digest
    assert json.loads(services.content(row)) == services.members(row)


def test_a_worker_checks_when_it_is_asked(now: datetime) -> None:
    add(2, now)
    tasks.check()
    assert Check.objects.get().count == 2
