"""A real Celery worker, killed while the vendor has the report already."""

from __future__ import annotations

import pytest

from sandbox.app import BULK, USAGE_BATCH
from sandbox.faults import parse_rules
from tests.telemetry.test_worker import (  # noqa: F401 - fixtures
    Installation,
    database,
    installation,
    until,
)

pytestmark = [pytest.mark.e2e, pytest.mark.both_databases]
SELECT = """
from django.utils import timezone
from datetime import timedelta
from tests.usage.conftest import used
from usage import reports, tasks
now = timezone.now()
used(now.date() - timedelta(days=1), 3)
reports.send(by="ada", via="command", now=now)
assert tasks.nudge()
"""
END_LEASES = """
from django.utils import timezone
from usage import tasks
from usage.models import Report
Report.objects.exclude(lease=None).update(leased_until=timezone.now())
assert tasks.nudge()
"""
ACCEPTED = "from usage.models import Report; print(Report.objects.get().receipt)"


@pytest.mark.parametrize(
    ("channel", "path", "counted"),
    [("bulk", BULK, "reports"), ("batch", USAGE_BATCH, "files")],
)
def test_a_worker_killed_after_the_upload_has_one_effect(
    installation: Installation,  # noqa: F811
    channel: str,
    path: str,
    counted: str,
) -> None:
    installation.environment["NMS_USAGE_CHANNEL"] = channel
    rule = {"path": path, "mode": "hang_after", "args": {"seconds": 60}}
    installation.box.faults.set(parse_rules([rule]))
    installation.run(SELECT)
    installation.start_worker()
    uploads = lambda: installation.box.store.arrivals(host="vendor", prefix=path)  # noqa: E731
    until(installation, 60, "the report arrives", uploads)
    installation.kill_worker()

    installation.fails("")
    installation.run(END_LEASES)  # instead of waiting for 100 seconds
    installation.start_worker()
    until(
        installation,
        60,
        "the acknowledgement is stored",
        lambda: "report.accepted" in installation.log.read_text(),
    )
    installation.stop_worker()

    first, again = [one for one in uploads() if one.method == "POST"]
    assert first.body == again.body
    assert dict(first.headers) == dict(again.headers)
    stats = installation.box.store.stats()
    assert [stats[f"{counted}_{how}"] for how in ("unique", "repeated")] == [1, 1]
    assert len(installation.run(ACCEPTED).strip()) == 36
