"""The scheduler goes by the clock, and the clock may be wrong."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from nms_admin.celery import app
from nms_admin.models import Message
from nms_admin.timetable import Scheduler

pytestmark = pytest.mark.django_db
YEAR = timedelta(days=400)


def asked(scheduler: Scheduler) -> set[str]:
    """Let the scheduler look at the clock once for each task; say what it asked for."""
    Message.objects.all().delete()
    for _ in scheduler.schedule:
        scheduler.tick()
    found = Message.objects.values_list("payload", flat=True)
    return {
        name
        for name, entry in app.conf.beat_schedule.items()
        if any(f'"{entry["task"]}"' in payload for payload in found)
    }


@pytest.mark.parametrize("started_again", [False, True])
def test_a_clock_that_was_a_year_ahead_stops_nothing(
    tmp_path: Path, now: datetime, started_again: bool
) -> None:
    def start() -> Scheduler:
        return Scheduler(app, schedule_filename=str(tmp_path / "state"))

    with time_machine.travel(now + YEAR, tick=False) as clock:
        scheduler = start()
        clock.shift(timedelta(hours=2))
        assert asked(scheduler) == set(app.conf.beat_schedule)
        clock.move_to(now)
        if started_again:
            scheduler.close()
            scheduler = start()
        assert asked(scheduler) == set()
        clock.shift(timedelta(seconds=15))
        assert {"deliver", "licenses", "usage"} < asked(scheduler)
        clock.shift(timedelta(hours=1))
        assert asked(scheduler) == set(app.conf.beat_schedule)
        scheduler.close()


def test_a_clock_that_is_set_a_year_ahead_asks_once(
    tmp_path: Path, now: datetime
) -> None:
    with time_machine.travel(now, tick=False) as clock:
        scheduler = Scheduler(app, schedule_filename=str(tmp_path / "state"))
        clock.shift(YEAR)
        assert asked(scheduler) == set(app.conf.beat_schedule)
        assert asked(scheduler) == set()
        scheduler.close()
