"""The built-in Celery broker: one table of the product's own database.

A message is leased, not taken: it comes back when its worker dies. Publishing joins
the caller's transaction, so a task exists exactly when the fact behind it does. For
more than one host use Redis or RabbitMQ (NMS_BROKER_URL).
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from queue import Empty
from typing import Any
from weakref import WeakSet

import structlog
from django.db import InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from kombu.transport import virtual

from common.pruning import delete_some

log = structlog.get_logger(__name__)
LOST = (OperationalError, InterfaceError)
MOST_DELIVERIES = 10
AWAKE_POLLS = 25
EPOCH = datetime.fromtimestamp(0, tz=timezone.get_fixed_timezone(0))

_guard = threading.RLock()
_open: WeakSet[BaseDatabaseWrapper] = WeakSet()


def _close_before_fork() -> None:
    """Close the consumer's connections: a child must not inherit an open SQLite file."""
    _guard.acquire()
    for wrapper in list(_open):
        if not wrapper.in_atomic_block:
            wrapper.inc_thread_sharing()
            with suppress(Exception):
                wrapper.close()
            wrapper.dec_thread_sharing()


def _renew_guard() -> None:
    global _guard  # noqa: PLW0603  (the parent's lock is held by nobody in the child)
    _guard = threading.RLock()


os.register_at_fork(
    before=_close_before_fork,
    after_in_parent=lambda: _guard.release(),  # noqa: PLW0108  (the one of now)
    after_in_child=_renew_guard,
)


@contextmanager
def _consuming() -> Iterator[None]:
    """Run a statement of a consumer; a lost connection is closed and comes anew."""
    connection = connections["default"]
    with _guard:
        _open.add(connection)
        try:
            yield
        except LOST:
            if not connection.in_atomic_block:
                connection.close()
            raise


class QoS(virtual.QoS):
    """Acknowledges and rejects in the table."""

    channel: Channel
    _quick_ack: Callable[[str], None]

    def ack(self, delivery_tag: str) -> None:
        """Delete a message: its task ran."""
        self.channel.finish(lambda: _messages().filter(tag=delivery_tag).delete())
        super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Delete a message, or make it visible again."""
        rows = _messages().filter(tag=delivery_tag)
        if requeue:
            self.channel.finish(lambda: rows.update(visible_at=EPOCH))
        else:
            self.channel.finish(rows.delete)
        self._quick_ack(delivery_tag)


class Channel(virtual.Channel):
    """Messages of all queues in one table, seen by whoever holds their lease."""

    QoS = QoS
    supports_fanout = False
    do_restore = True
    connection: Any
    _failing = ""
    _idle = 0

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        """Insert a message in the caller's transaction; clear what expired."""
        now = timezone.now()
        delete_some(_messages().filter(expires_at__lt=now))
        _messages().create(
            queue=queue,
            tag=message["properties"]["delivery_tag"],
            payload=json.dumps(message),
            visible_at=now,
            expires_at=_moment(message.get("headers", {}).get("expires")),
        )

    def _get(self, queue: str, *_: Any) -> dict[str, Any]:
        """Lease the next message; Empty when there is none or the database is away.

        An idle poll is one SELECT: it must not take SQLite's write lock. After five
        idle seconds only every third poll asks.
        """
        self._idle += 1
        if self._idle > AWAKE_POLLS and self._idle % 3:
            raise Empty
        now = timezone.now()
        options: dict[str, Any] = self.connection.client.transport_options
        lease = timedelta(seconds=options.get("visibility_timeout", 600))
        try:
            with _consuming():
                number = _next(queue, now)
                self._failing = ""
                mine = _messages().filter(pk=number, visible_at__lte=now)
                if number is None or not mine.update(
                    visible_at=now + lease, deliveries=F("deliveries") + 1
                ):
                    raise Empty
                found = _messages().get(pk=number)
                if found.deliveries > MOST_DELIVERIES:
                    found.delete()
                    log.error("message.given_up", queue=queue, tag=found.tag)
                    raise Empty
        except LOST as error:
            self._warn(error)
            raise Empty from error
        self._idle = 0
        message: dict[str, Any] = json.loads(found.payload)
        return message

    def finish(self, write: Callable[[], object]) -> None:
        """Write the end of a message; when that fails its lease ends by itself."""
        for left in (2, 1, 0):
            try:
                with _consuming():
                    write()
            except LOST as error:
                if not left:
                    self._warn(error)
            else:
                return

    def _restore(self, message: virtual.Message) -> None:
        """Make a message visible again; stopping a worker is not a failed delivery."""
        rows = _messages().filter(tag=message.delivery_tag, deliveries__gt=0)
        self.finish(
            lambda: rows.update(visible_at=EPOCH, deliveries=F("deliveries") - 1)
        )

    _restore_at_beginning = _restore

    def _size(self, queue: str) -> int:
        """Return how many messages a queue holds, leased ones included."""
        return int(_messages().filter(queue=queue).count())

    def _purge(self, queue: str) -> int:
        """Delete all messages of a queue and return how many there were."""
        return int(_messages().filter(queue=queue).delete()[0])

    def _has_queue(self, queue: str, **_: Any) -> bool:
        """Return True: a queue needs no declaration."""
        return bool(queue)

    def _warn(self, error: Exception) -> None:
        """Log a failure once, until the database is there again."""
        cause = type(error).__name__
        if cause != self._failing:
            self._failing = cause
            log.warning("broker.database_away", error=cause)


class Transport(virtual.Transport):
    """The transport behind ``djangodb://``."""

    Channel = Channel
    polling_interval = 0.2
    default_port = 0
    driver_type = driver_name = "djangodb"
    connection_errors = (*virtual.Transport.connection_errors, *LOST)

    def driver_version(self) -> str:
        """Return the database in use, for Celery's start message."""
        return str(connections["default"].vendor)


def _next(queue: str, now: datetime) -> int | None:
    """Return the first visible message of a queue.

    By hand, because it runs five times a second for ever: the ORM takes ten times as
    long to write this sentence as the database to answer it.
    """
    connection = connections["default"]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM nms_admin_message WHERE queue = %s AND visible_at <= %s"
            " ORDER BY id LIMIT 1",
            [queue, connection.ops.adapt_datetimefield_value(now)],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else None


def _messages() -> Any:
    from nms_admin.models import Message  # the transport is named in the settings

    return Message.objects


def _moment(text: object) -> datetime | None:
    return parse_datetime(text) if isinstance(text, str) else None
