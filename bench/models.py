"""The tables of the capture and of the intake case."""

from __future__ import annotations

from django.db import models


class Business(models.Model):
    """One row of somebody's business."""

    a = models.IntegerField()
    b = models.CharField(max_length=20)


class Raw(models.Model):
    """One message as the bare INSERT keeps it; unique like ours."""

    uuid = models.CharField(max_length=36)
    since = models.BigIntegerField()
    until = models.BigIntegerField()
    requests = models.BigIntegerField()
    bytes = models.BigIntegerField()

    class Meta:
        unique_together = [("uuid", "since", "until")]
