"""The business table of the capture case."""

from __future__ import annotations

from django.db import models


class Business(models.Model):
    """One row of somebody's business."""

    a = models.IntegerField()
    b = models.CharField(max_length=20)
