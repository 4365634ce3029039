"""From what was used to an acknowledgement, on good days and on bad ones."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from common.models import Via
from usage import delivery, document, reports
from usage.models import Report

from .conftest import inside, used

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
YESTERDAY = timedelta(days=1)


def send(clock, **more) -> reports.Outcome:
    return reports.send(by="otto", via=Via.SETTINGS, now=clock.now, **more)


def test_a_report_is_uploaded_checked_and_acknowledged(licensed, vendor, clock) -> None:
    used(clock.now.date() - YESTERDAY, 3)
    assert send(clock).done == "built"
    delivery.deliver(clock)
    report = Report.objects.get()
    assert report.accepted_at == clock.now
    assert report.acknowledgement_checked
    assert len(report.receipt) == 36
    (archive,) = vendor.archives
    assert hashlib.sha256(archive).hexdigest() == report.file_sha256
    manifest = document.read(archive).manifest
    assert hashlib.sha256(manifest).hexdigest() == report.digest
    said, records = inside(archive)
    assert said["reportId"] == str(report.pk)
    assert {"count": 3, "day": "2026-11-22", "feature": "NGINX_INSTANCES"} in records
