"""The business row that every capture goes along with."""

from __future__ import annotations

from django.db import models


class Business(models.Model):
    """One row of somebody's business."""

    a = models.IntegerField()
    b = models.CharField(max_length=20)

    class Meta:
        app_label = "project"
