"""Every table says how long it keeps what it holds, and what is past that goes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.apps import apps
from django.conf import settings
from django.db import models

from analytics.models import Blocked
from common import pruning
from dataplanes.models import Refusals
from nms_admin import celery, lockout, retention
from nms_admin.models import Message, Session, Snooze
from telemetry import processes
from telemetry.models import ProcessRun

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
DAY = timedelta(days=1)


def test_every_model_says_how_long_its_rows_stay() -> None:
    every = apps.get_models(include_auto_created=True)
    ours = {one._meta.label for one in every if one._meta.app_label != "bench"}
    assert ours == set(retention.TABLES)


def test_the_documentation_shows_the_same_table() -> None:
    page = (settings.BASE_DIR / "docs" / "operations.md").read_text()
    assert retention.table() in page


def test_a_field_that_time_counts_from_is_a_day_or_a_moment() -> None:
    for label, kept in retention.TABLES.items():
        if kept.field:
            field = apps.get_model(label)._meta.get_field(kept.field)
            assert isinstance(field, models.DateField), label


def test_the_timetable_prunes_every_hour() -> None:
    entry = celery.app.conf.beat_schedule["prune-rest"]
    assert (entry["task"], entry["schedule"]) == (celery.prune.name, 3600)


@pytest.fixture
def old_and_new(ada, now, settings) -> None:
    """Of each kind one row that is kept on its last day, and one that is older."""
    last = now - settings.NMS_RETENTION_DAYS * DAY
    for at in (last, last - DAY):
        Blocked.objects.create(day=at.date(), directive="img-src")
        Refusals.objects.create(day=at.date(), reason="token")
        run = processes.started("dpm", at)
        processes.stopped(run.pk, at)
        for log in (AccessLog, AccessFailureLog):
            row = log.objects.create(username="ada")
            log.objects.filter(pk=row.pk).update(attempt_time=at)
    for number, at in enumerate((now, now - timedelta(seconds=1))):
        Snooze.objects.create(user=ada, stage=str(number), until=at)
        Message.objects.create(
            queue="celery", tag=str(number), payload="", visible_at=at, expires_at=at
        )
        Session.objects.create(
            session_key=str(number),
            session_data="",
            seen_at=now,
            expire_date=at + timedelta(milliseconds=500),
        )


def test_what_is_past_its_time_goes_and_the_last_day_stays(old_and_new, now) -> None:
    assert retention.prune(now) == 8
    kinds = (Blocked, Refusals, ProcessRun, AccessLog, AccessFailureLog)
    for kind in (*kinds, Snooze, Message, Session):
        assert kind.objects.count() == 1, kind
    assert retention.prune(now) == 0


def test_one_run_deletes_a_bounded_number_and_the_next_goes_on(
    old_and_new, now, monkeypatch
) -> None:
    monkeypatch.setattr(pruning, "MOST", 1)
    later = now + 2 * DAY
    assert retention.prune(later) == 8
    assert retention.prune(later) == 8
    assert retention.prune(later) == 0


def test_a_task_without_an_end_is_kept(now) -> None:
    Message.objects.create(queue="celery", tag="1", payload="", visible_at=now)
    retention.prune(now + 4000 * DAY)
    assert Message.objects.count() == 1


def test_a_lock_that_ended_counts_anew_though_others_wait_to_be_deleted(
    now, monkeypatch
) -> None:
    for name in ("otto", "vera", "ada"):
        for _ in range(4):
            assert lockout.claim(name, "192.0.2.1", now=now)
    monkeypatch.setattr(pruning, "MOST", 1)
    later = now + lockout.WAIT
    assert lockout.claim("ada", "192.0.2.1", now=later)
    rows = AccessAttempt.objects.order_by("attempt_time")
    counts = list(rows.values_list("failures_since_start", flat=True))
    assert counts == [4, 1]
