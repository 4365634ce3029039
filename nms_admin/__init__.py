"""The composition root: settings, pages of several apps, processes."""

from __future__ import annotations

from nms_admin.celery import app as celery_app  # so that every process knows the broker

__all__ = ["celery_app"]
