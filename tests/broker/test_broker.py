"""The queue in the product's own database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from queue import Empty
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from kombu import Connection, Queue
from kombu.simple import SimpleQueue

from nms_admin.broker import MOST_DELIVERIES
from nms_admin.models import Message

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
OPTIONS = {"visibility_timeout": 600, "polling_interval": 0.01}


@pytest.fixture
def kombu() -> Iterator[Connection]:
    with Connection("djangodb://", transport_options=OPTIONS) as broker:
        yield broker


def queue(broker: Connection) -> SimpleQueue:
    return broker.SimpleQueue(Queue("work", routing_key="work"))


def taken(waiting: SimpleQueue) -> Any:
    try:
        return waiting.get(block=True, timeout=0.05)
    except (TimeoutError, waiting.Empty):
        return None


def come_back() -> None:
    Message.objects.update(visible_at=timezone.now() - timedelta(seconds=1))


def test_a_message_is_taken_once_and_gone_when_it_is_acknowledged(kombu) -> None:
    work = queue(kombu)
    work.put({"n": 1})
    message = taken(work)
    assert message.payload == {"n": 1}
    assert taken(work) is None
    message.ack()
    assert Message.objects.count() == 0


def test_a_message_comes_back_when_its_worker_died(kombu) -> None:
    queue(kombu).put("x")
    assert taken(queue(kombu)).payload == "x"
    assert taken(queue(kombu)) is None
    come_back()
    assert taken(queue(kombu)).payload == "x"


def test_messages_come_in_their_order(kombu) -> None:
    work = queue(kombu)
    for number in range(5):
        work.put(number)
    assert [taken(work).payload for _ in range(5)] == [0, 1, 2, 3, 4]


def test_a_message_that_ends_every_worker_is_given_up(kombu) -> None:
    queue(kombu).put("poison")
    queue(kombu).put("good")
    for _ in range(MOST_DELIVERIES):
        assert taken(queue(kombu)).payload == "poison"
        first = Message.objects.order_by("pk").values_list("pk", flat=True)[0]
        Message.objects.filter(pk=first).update(visible_at=timezone.now())
    assert taken(queue(kombu)).payload == "good"
    assert Message.objects.count() == 1


def test_a_stopped_worker_gives_back_what_it_did_not_do(kombu) -> None:
    queue(kombu).put("x")
    with Connection("djangodb://", transport_options=OPTIONS) as other:
        assert taken(queue(other)).payload == "x"
    assert Message.objects.get().deliveries == 0
    assert taken(queue(kombu)).payload == "x"


def test_a_rejected_message_is_gone_or_comes_back(kombu) -> None:
    work = queue(kombu)
    work.put("x")
    taken(work).requeue()
    taken(work).reject()
    assert Message.objects.count() == 0


def test_publishing_joins_the_transaction_of_the_caller(kombu) -> None:
    with transaction.atomic():
        queue(kombu).put("never")
        transaction.set_rollback(True)
    assert Message.objects.count() == 0


def test_what_expired_is_cleared_by_the_next_message(kombu) -> None:
    past = (timezone.now() - timedelta(seconds=1)).isoformat()
    queue(kombu).put("stale", headers={"expires": past})
    queue(kombu).put("fresh")
    assert [taken(queue(kombu)).payload] == ["fresh"]
    assert Message.objects.count() == 1


def test_sizes_are_told_and_a_queue_can_be_emptied(kombu) -> None:
    work = queue(kombu)
    work.put("x")
    assert len(work) == 1
    work.clear()
    assert len(work) == 0


@pytest.mark.django_db(transaction=True)
def test_four_workers_and_four_publishers_share_nothing_and_lose_nothing() -> None:
    done: list[int] = []
    failures: list[Exception] = []
    end = time.monotonic() + 60

    def publish(first: int) -> None:
        try:
            with Connection("djangodb://", transport_options=OPTIONS) as broker:
                for number in range(first, first + 25):
                    queue(broker).put(number)
        except Exception as error:  # noqa: BLE001  (shown by the test)
            failures.append(error)
        finally:
            connection.close()

    def consume() -> None:
        try:
            with Connection("djangodb://", transport_options=OPTIONS) as broker:
                work = queue(broker)
                while len(done) < 100 and time.monotonic() < end:
                    if message := taken(work):
                        done.append(message.payload)
                        message.ack()
        except Exception as error:  # noqa: BLE001  (shown by the test)
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=publish, args=[n * 25]) for n in range(4)]
    threads += [threading.Thread(target=consume) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(70)
    assert failures == []
    assert sorted(done) == list(range(100))
    assert Message.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_poll_survives_a_lost_connection(kombu) -> None:
    work = queue(kombu)
    work.put("x")
    if connection.vendor == "postgresql":
        end_this_session()
    else:
        hide_the_table_for_a_moment(work)
    found = [message for _ in range(3) if (message := taken(work))]
    assert [message.payload for message in found] == ["x"]


def hide_the_table_for_a_moment(work: SimpleQueue) -> None:
    """Let polls fail as they do while SQLite is locked or restored."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE nms_admin_message RENAME TO hidden")
    assert taken(work) is None
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE hidden RENAME TO nms_admin_message")


def end_this_session() -> None:
    """Have another session end ours, as a restarted server does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]

    def end() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        connection.close()

    thread = threading.Thread(target=end)
    thread.start()
    thread.join(10)


def test_an_idle_poll_is_one_select(kombu, django_assert_num_queries) -> None:
    channel: Any = queue(kombu).consumer.channel
    with django_assert_num_queries(1) as captured, pytest.raises(Empty):
        channel._get("work")
    assert captured[0]["sql"].startswith("SELECT")
