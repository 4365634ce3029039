"""The choice for all users, what was shown to whom, and what browsers blocked."""

from __future__ import annotations

from django.db import models

from common.models import Decision


class Choice(Decision):
    """One decision about interaction data of all users; its key counts up by one.

    The key is given, never drawn from a sequence: two who decide at once want the
    same one, and the database refuses the second.
    """

    notice = models.CharField(max_length=64)  # digest of the dictionary decided on
    accepted = models.JSONField(default=list)  # "point.field" names
    version = models.CharField(max_length=32, blank=True)  # whose notice was seen


class NoticeShown(models.Model):
    """The first time one notice was rendered to an administrator."""

    notice = models.CharField(max_length=64)
    version = models.CharField(max_length=32)
    fields = models.JSONField(default=list)
    shown_at = models.DateTimeField()
    shown_to = models.CharField(max_length=150)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["notice", "version"], name="one_first_showing"
            )
        ]


class Acknowledgement(models.Model):
    """An administrator has read the notice of one product version."""

    version = models.CharField(max_length=32, unique=True)
    acknowledged_at = models.DateTimeField()
    acknowledged_by = models.CharField(max_length=150)


class Blocked(models.Model):
    """How often browsers reported one directive of our policy on one day."""

    day = models.DateField()
    directive = models.CharField(max_length=32)
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["day", "directive"], name="one_count_a_day")
        ]
