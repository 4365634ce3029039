"""Data planes as their agents told of them, and the tokens agents come with."""

from __future__ import annotations

from django.db import models

LISTED = models.Q(removed_at=None)


class DataPlane(models.Model):
    """One host whose NGINX Agent registered here; none of it leaves this server.

    A removed one stays as a tombstone, so that it is registered only once.
    """

    system_uid = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=255, blank=True)
    hostname = models.CharField(max_length=255, blank=True)
    os = models.CharField(max_length=100, blank=True)
    agent_version = models.CharField(max_length=40, blank=True)
    nginx_version = models.CharField(max_length=100, blank=True)
    plus = models.BooleanField(default=False)
    instances = models.PositiveIntegerField(default=0)  # NGINX on this data plane
    registered_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["-seen_at", "-id"], name="listed_data_planes", condition=LISTED
            ),
            models.Index(
                fields=["-seen_at", "-id"],
                name="removed_data_planes",
                condition=~LISTED,
            ),
        ]


class AgentToken(models.Model):
    """A token agents come with, as its SHA-256; the token itself is shown once."""

    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    issued_at = models.DateTimeField()
    issued_by = models.CharField(max_length=150)
    used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["name"],
                name="one_token_in_force_per_name",
                condition=models.Q(revoked_at=None),
            )
        ]


class Refusals(models.Model):
    """How many connections of agents were refused on one UTC day, by reason."""

    class Reason(models.TextChoices):
        """Why an agent is not let in."""

        TOKEN = "token", "the token is not one of this server's"
        NO_ID = "no_id", "the agent has no system ID"
        UNREADABLE = "unreadable", "the message could not be read"

    day = models.DateField()
    reason = models.CharField(max_length=12, choices=Reason.choices)
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["day", "reason"], name="one_count_of_refusals_per_day"
            )
        ]
