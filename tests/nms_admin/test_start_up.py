from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from analytics import services as analytics
from common import choices
from common.models import Via
from licensing import connection
from licensing.models import ConnectionChoice
from nms_admin import start_up
from telemetry import catalog, delivery
from telemetry import services as telemetry
from telemetry.models import Batch, DailyCount, Event
from tests import make

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def folder(settings, tmp_path: Path) -> Path:
    settings.NMS_DATA_DIR = tmp_path
    settings.NMS_JWKS_FILE = str(tmp_path / "jwks.json")
    return tmp_path


def test_a_data_folder_of_the_other_mode_is_refused(folder: Path, now) -> None:
    (folder / "mode").write_text("live\n")
    with pytest.raises(ImproperlyConfigured, match="was made in live mode"):
        start_up.prepare(now)


def test_a_start_without_a_restore_changes_nothing(now: datetime) -> None:
    connection.set_choice(on=True, by="ada", via=Via.SETTINGS, now=now)
    start_up.prepare(now)
    assert ConnectionChoice.objects.count() == 1


def test_a_restored_database_switches_nothing_on_and_sends_nothing_twice(
    finished: None, now: datetime
) -> None:
    make.license(now - timedelta(hours=1))
    connection.set_choice(on=True, by="ada", via=Via.SETTINGS, now=now)
    telemetry.record(catalog.LOGIN, now=now)
    backup = list(Event.objects.values())

    # After the backup: the event is sealed, and both choices are taken back.
    assert delivery.seal(now) is not None
    connection.set_choice(on=False, by="ada", via=Via.SETTINGS, now=now)
    analytics.set_choice(collect=False, by="ada", via=Via.SETTINGS, now=now)

    # The backup comes back.
    ConnectionChoice.objects.filter(value=False).delete()
    analytics.Choice.objects.all().delete()
    Batch.objects.all().delete()
    DailyCount.objects.all().delete()
    Event.objects.bulk_create(Event(**row) for row in backup)

    start_up.prepare(now + timedelta(hours=1))
    assert connection.is_on() is False
    assert analytics.is_on() is False
    assert not Event.objects.exists()
    gone = DailyCount.objects.get(outcome="discarded")
    assert "may have been sent" in gone.reason
    assert choices.load()[choices.CONNECTION][1] is False
