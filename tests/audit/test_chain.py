from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from audit import services
from audit.models import Head, Record

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def three(now: datetime) -> list[Record]:
    return [
        services.record(
            f"test.{number}",
            now=now + timedelta(seconds=number),
            actor="ada",
            subject="something",
            details={"number": number},
        )
        for number in (1, 2, 3)
    ]


def test_each_record_carries_the_digest_of_the_one_before(three: list[Record]) -> None:
    assert three[0].previous == "0" * 64
    assert [row.previous for row in three[1:]] == [row.digest for row in three[:2]]
    assert services.head() == (3, three[2].digest)
    assert services.verify() is None


def test_an_empty_chain_is_unbroken(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("audit", "verify")
    assert "unbroken, 0 records" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "mallory"},
        {"action": "test.9"},
        {"at": datetime.fromisoformat("2020-01-01T00:00:00+00:00")},
        {"details": {"number": 7}},
        {"address": "10.0.0.9"},
        {"digest": "f" * 64},
    ],
)
def test_an_edited_record_is_named(
    three: list[Record], change: dict[str, object]
) -> None:
    Record.objects.filter(pk=three[1].pk).update(**change)
    broken = services.verify()
    assert broken is not None
    assert broken.sequence == 2


def test_a_removed_record_is_named_and_the_command_fails(three: list[Record]) -> None:
    three[1].delete()
    with pytest.raises(CommandError, match="record 2 is missing"):
        call_command("audit", "verify")


def test_two_swapped_records_are_noticed(three: list[Record]) -> None:
    Record.objects.filter(pk=three[0].pk).update(sequence=99)
    Record.objects.filter(pk=three[1].pk).update(sequence=1)
    Record.objects.filter(pk=three[0].pk).update(sequence=2)
    assert services.verify() is not None


def test_a_cut_tail_is_noticed_by_the_head(three: list[Record]) -> None:
    three[2].delete()
    broken = services.verify()
    assert broken is not None
    assert broken.reason == "the records after 2 are missing"


def test_a_head_that_was_turned_back_is_noticed(three: list[Record]) -> None:
    Head.objects.update(sequence=2, digest=three[1].digest)
    assert services.verify() is not None


def test_a_record_of_a_rolled_back_decision_is_not_there(now: datetime) -> None:
    def decide() -> None:
        with transaction.atomic():
            services.record("test.undone", now=now)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        decide()
    assert services.head()[0] == 0
    assert services.verify() is None


def test_adders_at_the_same_time_make_one_chain(now: datetime) -> None:
    def add() -> None:
        try:
            for _ in range(10):
                services.record("test.race", now=now)
        finally:
            connection.close()

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert services.head()[0] == 40
    assert services.verify() is None
