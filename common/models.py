"""Rows several apps ask for: the abstract decision, and how set-up stands."""

from __future__ import annotations

from django.db import models


class Via(models.TextChoices):
    """Through what somebody decided."""

    WIZARD = "wizard", "the set-up"
    NOTICE = "notice", "the privacy notice"
    USER_MENU = "user_menu", "the user menu"
    SETTINGS = "settings", "Settings"
    API = "api", "the API"
    COMMAND = "command", "a command"
    SYSTEM = "system", "the system"


class Decision(models.Model):
    """A yes or no for the whole installation; rows are only added, the newest holds."""

    value = models.BooleanField()
    decided_at = models.DateTimeField()
    decided_by = models.CharField(max_length=150)
    via = models.CharField(max_length=16, choices=Via.choices)
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        abstract = True
        ordering = ["-pk"]
        get_latest_by = "pk"


class Setup(models.Model):
    """How far set-up is (one row, pk 1), and the operation mode answered in it."""

    claimed_at = models.DateTimeField(null=True)
    privacy_at = models.DateTimeField(null=True)
    connectivity_at = models.DateTimeField(null=True)
    license_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    operation_mode = models.CharField(max_length=12, default="connected")
    mode_changed_at = models.DateTimeField(null=True)
    code_digest = models.CharField(max_length=64, blank=True)
    code_made_at = models.DateTimeField(null=True)
