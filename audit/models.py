"""The append-only chain of decisions and of what was sent."""

from __future__ import annotations

from django.db import models


class Record(models.Model):
    """One fact that must not be changed later; its digest covers the one before."""

    sequence = models.PositiveBigIntegerField(unique=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=64)
    subject = models.CharField(max_length=200, blank=True)
    via = models.CharField(max_length=16)
    address = models.CharField(max_length=45, blank=True)
    details = models.JSONField(default=dict)
    previous = models.CharField(max_length=64)
    digest = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ["-sequence"]
        indexes = [
            models.Index(fields=["at", "sequence"], name="audit_by_time"),
            models.Index(fields=["actor", "at", "sequence"], name="audit_by_actor"),
            models.Index(fields=["action", "at", "sequence"], name="audit_by_action"),
        ]


class Head(models.Model):
    """Where the chain ends (one row, pk 1); locked while a record is added."""

    sequence = models.PositiveBigIntegerField(default=0)
    digest = models.CharField(max_length=64, default="0" * 64)


class Check(models.Model):
    """How far the walk through the chain is, and how the last one ended (pk 1)."""

    asked_at = models.DateTimeField(null=True)
    began_at = models.DateTimeField(null=True)
    position = models.PositiveBigIntegerField(default=0)
    position_digest = models.CharField(max_length=64, default="0" * 64)
    ended_at = models.DateTimeField(null=True)
    count = models.PositiveBigIntegerField(default=0)
    digest = models.CharField(max_length=64, default="0" * 64)
    broken_at = models.PositiveBigIntegerField(null=True)
    reason = models.CharField(max_length=200, blank=True)
