"""Licenses as they were applied, what they entitle to, and the choice to connect."""

from __future__ import annotations

import uuid

from django.db import models

from common.models import Decision


class License(models.Model):
    """One license somebody applied: its checked claims, and its text sealed."""

    class Kind(models.TextChoices):
        """How the license is written."""

        JWT = "JWT", "JSON Web Token"
        SMIME = "SMIME", "S/MIME"

    class Ended(models.TextChoices):
        """Why a license is no longer the current one."""

        REPLACED = "replaced", "Replaced"
        TERMINATED = "terminated", "Terminated"

    current = models.BooleanField(null=True, unique=True, default=True)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    subscription_id = models.CharField(max_length=200, blank=True)
    token_id = models.CharField(max_length=200, blank=True)
    order_type = models.CharField(max_length=200, blank=True)
    issued_at = models.DateTimeField(null=True)
    not_before = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    sealed = models.BinaryField()
    digest = models.CharField(max_length=64)
    applied_at = models.DateTimeField()
    applied_by = models.CharField(max_length=150)
    via = models.CharField(max_length=16)
    checked_at = models.DateTimeField(null=True)  # when its signature was verified
    check_error = models.CharField(max_length=300, blank=True)  # why it still waits
    confirmed_at = models.DateTimeField(null=True)  # by a PUT of the API
    acknowledged_at = models.DateTimeField(null=True)  # of its first report by hand
    announced = models.CharField(max_length=40, blank=True)  # the phase last announced
    ended_at = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=150, blank=True)
    ended_reason = models.CharField(max_length=12, choices=Ended.choices, blank=True)
    entitlements_at = models.DateTimeField(null=True)
    entitlements_error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-pk"]


class Entitlement(models.Model):
    """What one license allows of one feature."""

    license = models.ForeignKey(
        License, on_delete=models.CASCADE, related_name="entitlements"
    )
    feature = models.CharField(max_length=100)
    limit = models.BigIntegerField(default=0)
    unlimited = models.BooleanField(default=False)
    unit = models.CharField(max_length=60, blank=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["license", "feature"], name="one_entitlement_a_feature"
            )
        ]


class TerminateNoticeQuerySet(models.QuerySet["TerminateNotice"]):
    """Notices by how they stand."""

    def open(self) -> TerminateNoticeQuerySet:
        """Those the vendor has neither taken nor refused, with their licenses."""
        return self.filter(accepted_at=None, ended_at=None).select_related("license")


class TerminateNotice(models.Model):
    """The notice to the vendor, which somebody selected, that a license ended."""

    license = models.OneToOneField(
        License, on_delete=models.CASCADE, related_name="notice"
    )
    key = models.UUIDField(default=uuid.uuid4)  # the same for each try
    selected_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)  # refused, or given up
    error = models.CharField(max_length=300, blank=True)

    objects = TerminateNoticeQuerySet.as_manager()


class FetchedKeys(models.Model):
    """The last good key set from ``url``, and how the last try went (one row, pk 1)."""

    url = models.CharField(max_length=500, blank=True)
    content = models.TextField(blank=True)
    fetched_at = models.DateTimeField(null=True)
    tried_at = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(null=True)  # a license named an unknown key
    error = models.CharField(max_length=300, blank=True)


class ConnectionChoice(Decision):
    """One answer to *Enable Continuous Connection*."""
