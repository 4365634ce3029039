"""An hour of the timetable: silent when everything is off, else only to the vendor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from django.test import Client

from analytics import services as analytics
from common import setup
from common.models import Via
from licensing import services as licensing
from licensing.models import License
from nms_admin.celery import app
from nms_admin.models import User
from sandbox.server import Sandbox
from tests import make
from tests.outbound import connections

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PAGES = (
    "/ui/",
    "/ui/settings/license",
    "/ui/settings/telemetry",
    "/ui/settings/connectivity",
    "/privacy",
)


@pytest.fixture
def vendor(tmp_path: Path, settings) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "sandbox") as started:
        base = f"http://localhost:{started.vendor.port}/ee/v1"
        settings.NMS_F5_API_URL = base
        settings.NMS_TELEMETRY_URL = f"{base}/telemetry"
        settings.NMS_ENTITLEMENTS_URL = f"{base}/entitlements"
        settings.NMS_JWKS_URL = f"{base}/keys/jwks"
        settings.NMS_COLLECTOR_URL = f"http://localhost:{started.collector.port}"
        yield started


@pytest.fixture(autouse=True)
def _tasks() -> None:
    app.loader.import_default_modules()


@pytest.fixture
def an_hour(ada: User, vendor: Sandbox) -> Callable[..., list[tuple[str, int]]]:
    def run(client: Client) -> list[tuple[str, int]]:
        with time_machine.travel(START, tick=False) as clock, connections() as seen:
            for second in range(0, 3600, 15):
                clock.move_to(START + timedelta(seconds=second))
                for entry in app.conf.beat_schedule.values():
                    if second % int(entry["schedule"]) == 0:
                        app.tasks[entry["task"]].apply(throw=True)
                if second % 600 == 0:
                    for page in PAGES:
                        assert client.get(page).status_code == 200
        return seen

    return run


def finish_set_up() -> None:
    row = setup.current()
    row.claimed_at = row.finished_at = START - timedelta(days=1)
    row.save()


@pytest.mark.django_db(transaction=True)
def test_with_everything_off_nothing_is_connected_to(
    an_hour, vendor: Sandbox, ada: User, signed_in
) -> None:
    finish_set_up()
    with time_machine.travel(START, tick=False):
        make.license(START)
        License.objects.update(entitlements_at=START)  # its activation has ended
        licensing.set_connection(on=False, by="ada", via=Via.SETTINGS, now=START)
        analytics.set_choice(collect=False, by="ada", via=Via.SETTINGS, now=START)
        client = signed_in(ada)
    assert an_hour(client) == []
    assert vendor.store.stats()["requests_vendor"] == 0


@pytest.mark.django_db(transaction=True)
def test_with_everything_on_only_the_vendor_is_connected_to(
    an_hour, vendor: Sandbox, ada: User, signed_in
) -> None:
    finish_set_up()
    with time_machine.travel(START, tick=False):
        make.license(START)
        client = signed_in(ada)
    seen = an_hour(client)
    assert {port for _, port in seen} == {vendor.vendor.port}
    assert vendor.store.stats()["records_unique"]


@pytest.mark.django_db(transaction=True)
def test_an_unfinished_set_up_sends_nothing(
    an_hour, vendor: Sandbox, ada: User
) -> None:
    with time_machine.travel(START, tick=False):
        make.license(START)
    with connections() as seen:
        for entry in app.conf.beat_schedule.values():
            app.tasks[entry["task"]].apply(throw=True)
    assert seen == []
    assert vendor.store.stats()["requests_vendor"] == 0
