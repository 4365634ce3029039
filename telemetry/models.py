"""The outbox: events that wait, sealed batches, and what remains of them."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import connection, models

from egress.models import over


class Installation(models.Model):
    """This installation (one row, pk 1); locked while events are sealed or discarded."""

    installed_at = models.DateTimeField(null=True)
    next_batch = models.UUIDField(default=uuid.uuid4)  # so that a preview is exact
    sealed = models.PositiveBigIntegerField(default=0)  # how many batches ever


class ProcessRun(models.Model):
    """One run of a named process on one host; names stay local."""

    name = models.CharField(max_length=40)
    host = models.CharField(max_length=255)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    worked_at = models.DateTimeField(null=True)  # when it last did what it is for
    stopped_at = models.DateTimeField(null=True)
    unclean = models.BooleanField(default=False)


class Events(models.QuerySet["Event"]):
    """Events that wait."""

    def insert_if(self, condition: str, data_point: str, occurred_at: datetime) -> bool:
        """Insert one where a condition of SQL holds; say whether it did.

        One statement: to ask first takes as long again, and leaves a gap.
        """
        event = Event(data_point=data_point, occurred_at=occurred_at)
        fields = [one for one in Event._meta.concrete_fields if not one.primary_key]
        columns = ", ".join(
            connection.ops.quote_name(str(one.column)) for one in fields
        )
        values = [
            one.get_db_prep_save(one.pre_save(event, True), connection)
            for one in fields
        ]
        marks = ", ".join(["%s"] * len(fields))
        table = connection.ops.quote_name(Event._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} ({columns}) SELECT {marks} WHERE {condition}",
                values,
            )
            return bool(cursor.rowcount)


class Event(models.Model):
    """One fact that waits to be sealed; sealing moves it into a batch."""

    uid = models.UUIDField(default=uuid.uuid4)
    data_point = models.CharField(max_length=40)
    occurred_at = models.DateTimeField()

    objects = Events.as_manager()


class Batches(models.QuerySet["Batch"]):
    """Batches by how far they are."""

    def unsettled(self) -> Batches:
        """Those that may still be sent."""
        return self.filter(
            acknowledged_at=None, dead_at=None, discarded_at=None, split_at=None
        )

    def due(self, now: datetime) -> Batches:
        """Unsettled ones whose time has come and that no living worker holds."""
        free = models.Q(lease=None) | over("leased_until", now)
        return self.unsettled().filter(free, over("due_at", now))


class Batch(models.Model):
    """Events that travel together, as the exact bytes that are sent; never changed.

    Unsettled while none of ``acknowledged_at``, ``dead_at``, ``discarded_at`` and
    ``split_at`` is set.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    subscription_id = models.CharField(max_length=200)
    license = models.ForeignKey(
        "licensing.License",
        null=True,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    body = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    event_count = models.PositiveIntegerField()
    counts = models.JSONField()  # [[data point, day, number], …] in order
    points = models.CharField(max_length=200)  # " login process_start ", to filter by
    oldest_at = models.DateTimeField()
    newest_at = models.DateTimeField()
    sealed_at = models.DateTimeField()
    due_at = models.DateTimeField()
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    crashes = models.PositiveIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)  # when its subscription ended
    acknowledged_at = models.DateTimeField(null=True)
    receipt = models.CharField(max_length=200, blank=True)
    receipt_body = models.BinaryField(default=bytes)
    dead_at = models.DateTimeField(null=True)
    dead_reason = models.CharField(max_length=300, blank=True)
    discarded_at = models.DateTimeField(null=True)
    discarded_reason = models.CharField(max_length=40, blank=True)
    split_at = models.DateTimeField(null=True)

    objects = Batches.as_manager()

    class Meta:
        indexes = [
            models.Index(
                fields=["due_at"],
                name="batch_unsettled",
                condition=models.Q(
                    acknowledged_at=None,
                    dead_at=None,
                    discarded_at=None,
                    split_at=None,
                ),
            ),
            models.Index(
                fields=["dead_at"],
                name="batch_refused",
                condition=models.Q(dead_at__isnull=False, discarded_at=None),
            ),
            models.Index(fields=["sealed_at", "id"]),
            models.Index(fields=["receipt"]),
        ]


class DailyCount(models.Model):
    """How many events of one data point and day ended in one way."""

    class Outcome(models.TextChoices):
        """How events end."""

        ACCEPTED = "accepted", "Accepted"
        REFUSED = "refused", "Refused"
        DISCARDED = "discarded", "Discarded"

    day = models.DateField()
    data_point = models.CharField(max_length=40)
    outcome = models.CharField(max_length=12, choices=Outcome.choices)
    reason = models.CharField(max_length=40, blank=True)
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["day", "data_point", "outcome", "reason"],
                name="one_count_per_day_point_outcome_and_reason",
            )
        ]
