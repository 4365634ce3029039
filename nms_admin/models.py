"""The user, and the queue table of the built-in broker."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models

from common.roles import Role


class User(AbstractUser):
    """A person or API client that signs in; the role says what it may do."""

    role = models.CharField(max_length=16, choices=Role.choices, default=Role.VIEWER)
    theme = models.CharField(max_length=8, default="system")
    time_zone = models.CharField(max_length=64, default="UTC")
    session_epoch = models.PositiveIntegerField(default=0)
    interaction_data_objected_at = models.DateTimeField(null=True, blank=True)


class Message(models.Model):
    """One task waiting in the built-in broker; deleted when it is acknowledged."""

    queue = models.CharField(max_length=200)
    tag = models.CharField(max_length=64, unique=True)
    payload = models.TextField()
    visible_at = models.DateTimeField()
    deliveries = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["queue", "visible_at"])]
