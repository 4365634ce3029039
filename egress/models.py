"""What the one door out remembers: how each host answers, and every try."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from egress import backoff


def over(field: str, now: datetime) -> models.Q:
    """Return the condition that a time to wait for has come.

    One that lies further ahead than anything ever waits was written by a clock that
    was wrong then; it holds nothing up once the clock is right.
    """
    too_far = models.Q(**{f"{field}__gt": now + backoff.TOO_FAR})
    return models.Q(**{f"{field}__lte": now}) | too_far


class Gate(models.Model):
    """Whether one host may be called now; shared by all workers.

    Open while ``failures`` is 0. Closed until ``closed_until`` otherwise; after that
    one call at a time, the probe, finds out whether the host answers again.
    """

    host = models.CharField(max_length=260, primary_key=True)
    failures = models.PositiveIntegerField(default=0)
    closed_until = models.DateTimeField(null=True)
    cause = models.CharField(max_length=40, blank=True)
    sentence = models.CharField(max_length=300, blank=True)
    probe = models.UUIDField(null=True)
    probe_until = models.DateTimeField(null=True)


class Pause(models.Model):
    """One destination refused our credentials: nothing goes there until it is lifted."""

    destination = models.CharField(max_length=40, primary_key=True)
    paused_at = models.DateTimeField()
    status = models.PositiveIntegerField()


class Attempt(models.Model):
    """One try to deliver one item, written before the first byte leaves.

    ``outcome`` is empty while the try runs. ``reached`` is False only when it is
    certain that no byte of the item left this host. ``skew`` is by how many seconds
    this host's clock was ahead of the date of the answer; None without one.
    """

    class Outcome(models.TextChoices):
        """How a try ended."""

        ACCEPTED = "accepted", "Accepted"
        REFUSED = "refused", "Refused"
        FAILED = "failed", "Failed"
        UNKNOWN = "unknown", "Outcome unknown"
        NOT_SENT = "not_sent", "Not sent"

    kind = models.CharField(max_length=20)
    item = models.CharField(max_length=64)
    destination = models.CharField(max_length=40)
    host = models.CharField(max_length=260)
    key = models.CharField(max_length=64)
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField()
    choice = models.PositiveBigIntegerField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=12, choices=Outcome.choices, blank=True)
    reached = models.BooleanField(default=True)
    status = models.PositiveIntegerField(null=True)
    cause = models.CharField(max_length=40, blank=True)
    sentence = models.CharField(max_length=300, blank=True)
    skew = models.IntegerField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["kind", "item", "started_at"]),
            models.Index(fields=["started_at"]),
        ]


class CheckRun(models.Model):
    """One time somebody asked whether the vendor's addresses are reached.

    ``results`` holds one object per target, with its five steps as far as they are.
    """

    asked_at = models.DateTimeField()
    asked_by = models.CharField(max_length=150)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    way = models.CharField(max_length=300)
    results = models.JSONField(default=list)
