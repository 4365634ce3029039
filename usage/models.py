"""What NGINX told of its use, and the reports made of it."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime

from django.db import models

from common.models import Via
from egress.models import over


class Reporter(models.Model):
    """One NGINX that reports its use, named by the uuid it made for itself."""

    uuid = models.CharField(max_length=36, unique=True)  # lower case, as it was sent
    hostname = models.CharField(max_length=255, blank=True)  # stays on this server
    version = models.CharField(max_length=40, blank=True)
    waf = models.BooleanField(default=False)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["last_seen_at"])]


class Period(models.Model):
    """What one reporter said of one period; the same period again changes nothing.

    ``[since, until)`` in seconds since 1970 (UTC), as NGINX writes them: a month of a
    fleet is half a million rows, and whole numbers are read many times faster. The
    counts are those of the period: requests, and bytes to and from clients (HTTP and
    stream together).
    """

    reporter = models.ForeignKey(
        Reporter, on_delete=models.CASCADE, related_name="periods", db_index=False
    )
    since = models.BigIntegerField()
    until = models.BigIntegerField()
    received_at = models.DateTimeField()
    version = models.CharField(max_length=40, blank=True)
    waf = models.BooleanField(default=False)
    requests = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["reporter", "since", "until"],
                name="one_row_per_reporter_and_period",
            )
        ]
        indexes = [
            models.Index(fields=["until"]),
            models.Index(fields=["received_at"]),
        ]


class Cluster(models.Model):
    """One Kubernetes cluster that reports its Ingress Controller pods."""

    uid = models.CharField(max_length=64, unique=True)
    display_name = models.CharField(max_length=255, blank=True)  # stays here
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    pods = models.PositiveIntegerField(default=0)  # as last reported
    waf = models.PositiveIntegerField(default=0)
    dos = models.PositiveIntegerField(default=0)
    nodes = models.PositiveIntegerField(default=0)


class ClusterDay(models.Model):
    """The most one cluster reported on one UTC day."""

    cluster = models.ForeignKey(
        Cluster, on_delete=models.CASCADE, related_name="days", db_index=False
    )
    day = models.DateField()
    pods = models.PositiveIntegerField(default=0)
    waf = models.PositiveIntegerField(default=0)
    dos = models.PositiveIntegerField(default=0)
    nodes = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "day"], name="one_row_per_cluster_and_day"
            )
        ]
        indexes = [models.Index(fields=["day"])]


class Rejections(models.Model):
    """How many messages the intake turned away on one day, by reason."""

    day = models.DateField()
    reason = models.CharField(max_length=40)
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["day", "reason"], name="one_count_per_day_and_reason"
            )
        ]


class CountedDay(models.Model):
    """What was in use on one UTC day that has ended, as it was last counted."""

    day = models.DateField(primary_key=True)
    counts = models.JSONField()  # {feature: number}
    requests = models.BigIntegerField()
    bytes = models.BigIntegerField()


class Schedule(models.Model):
    """When the next daily report is made (one row, pk 1); locked while one is built.

    ``begins_on`` is the first day reported after a backup was restored; ``counted_at``
    is when ended days were last counted and written down.
    """

    next_at = models.DateTimeField(null=True)
    begins_on = models.DateField(null=True)
    counted_at = models.DateTimeField(null=True)


class Reports(models.QuerySet["Report"]):
    """Reports by how far they are."""

    def accepted(self) -> Reports:
        """Those the vendor accepted whole."""
        return self.exclude(accepted_at=None).filter(left_out=0)

    def open(self) -> Reports:
        """Those the vendor has neither accepted nor refused."""
        return self.filter(accepted_at=None, dead_at=None)

    def due(self, now: datetime) -> Reports:
        """Open ones whose time has come and that no living worker holds."""
        free = models.Q(lease=None) | over("leased_until", now)
        return self.open().filter(free, over("due_at", now))


class Report(models.Model):
    """One usage report; its bytes never change once it is built.

    ``digest`` is the SHA-256 of its manifest, ``file_sha256`` that of the whole ZIP.
    Days are UTC; both are None in a report without records. ``selected_at`` is when
    somebody asked for it: it then goes on also with Continuous Connection off.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    sequence = models.PositiveIntegerField(unique=True)
    subscription_id = models.CharField(max_length=200)
    license = models.ForeignKey(
        "licensing.License",
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
    )
    detail = models.CharField(max_length=10)  # totals or instances
    first_day = models.DateField(null=True)
    last_day = models.DateField(null=True)
    record_count = models.PositiveIntegerField(default=0)
    digest = models.CharField(max_length=64)
    previous_digest = models.CharField(max_length=64, blank=True)
    file_sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField()
    built_at = models.DateTimeField()
    built_by = models.CharField(max_length=150)
    via = models.CharField(max_length=16, choices=Via.choices)
    selected_at = models.DateTimeField(null=True)
    selected_by = models.CharField(max_length=150, blank=True)
    due_at = models.DateTimeField()
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    crashes = models.PositiveIntegerField(default=0)
    status_id = models.CharField(max_length=200, blank=True)  # of the upload
    download_id = models.CharField(max_length=200, blank=True)  # once it is checked
    uploaded_at = models.DateTimeField(null=True)
    percent = models.PositiveSmallIntegerField(default=0)  # of the vendor's check
    successful = models.PositiveSmallIntegerField(null=True)  # percent of it, as told
    accepted_at = models.DateTimeField(null=True)
    receipt = models.CharField(max_length=200, blank=True)
    acknowledgement = models.BinaryField(default=bytes)
    acknowledgement_checked = models.BooleanField(default=False)  # its signature holds
    acknowledged_by = models.CharField(max_length=150, blank=True)  # by hand
    left_out = models.PositiveIntegerField(default=0)  # files that were not accepted
    carried_at = models.DateTimeField(null=True)  # last given out to be carried
    carried_by = models.CharField(max_length=150, blank=True)
    dead_at = models.DateTimeField(null=True)
    dead_reason = models.CharField(max_length=300, blank=True)
    replaced = models.BooleanField(default=False)  # dead: a later one holds its usage

    objects = Reports.as_manager()

    class Meta:
        ordering = ["-sequence"]
        indexes = [
            models.Index(
                fields=["due_at"],
                name="report_open",
                condition=models.Q(accepted_at=None, dead_at=None),
            )
        ]

    def leave_out(self, names: Collection[str]) -> None:
        """Note which files were accepted; the days of the others are to be said again.

        Args:
            names: The files that were not accepted; a day counts only when every file
                that says something of it was.
        """
        for one in self.files.all():
            one.accepted = one.name not in names
            one.save(update_fields=["accepted"])
            if not one.accepted:
                days = (one.first_day, one.last_day)
                self.totals.filter(day__range=days).update(left_out=True)


class ReportFile(models.Model):
    """One file of records of a report; ``accepted`` is None until the vendor said so.

    Days are UTC. Reports of before 0.3.0 whose bytes are gone have none.
    """

    report = models.ForeignKey(
        Report, on_delete=models.CASCADE, related_name="files", db_index=False
    )
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField()
    first_day = models.DateField()
    last_day = models.DateField()
    record_count = models.PositiveIntegerField()
    accepted = models.BooleanField(null=True)
    receipt = models.CharField(max_length=200, blank=True)  # of a file sent by itself

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(
                fields=["report", "number"], name="one_file_per_report_and_number"
            )
        ]


class ReportPart(models.Model):
    """A piece of a report's ZIP, at most 1 MiB."""

    report = models.ForeignKey(
        Report, on_delete=models.CASCADE, related_name="parts", db_index=False
    )
    number = models.PositiveIntegerField()
    content = models.BinaryField()

    class Meta:
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(
                fields=["report", "number"], name="one_part_per_report_and_number"
            )
        ]


class Total(models.Model):
    """What one report said of one UTC day and entitlement feature.

    ``revises`` is the report that said something else of them before. ``left_out`` is
    whether the vendor did not accept the file it stands in: then it was not said.
    """

    report = models.ForeignKey(
        Report, on_delete=models.CASCADE, related_name="totals", db_index=False
    )
    day = models.DateField()
    feature = models.CharField(max_length=100)
    count = models.BigIntegerField()
    revises = models.ForeignKey(
        Report, null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    left_out = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["report", "day", "feature"],
                name="one_total_per_report_day_and_feature",
            )
        ]
        indexes = [models.Index(fields=["day", "feature"])]
