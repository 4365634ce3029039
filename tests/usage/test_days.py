from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest

from tests.usage.conftest import used
from usage import days, services
from usage.models import CountedDay, Period

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def span(now):
    today = now.astimezone(UTC).date()
    return today - 6 * DAY, today


def arrived(now):
    """Let everything so far have arrived two days ago."""
    Period.objects.update(received_at=now - 2 * DAY)


def test_days_written_down_say_what_counting_says(now):
    first, today = span(now)
    for back, instances in ((1, 3), (2, 5), (4, 2)):
        used(today - back * DAY, instances)
    arrived(now)
    before = days.between(first, today)
    assert days.write_down(now) == 3
    assert days.between(first, today) == before
    assert days.totals(before) == services.totals(first, today)


def test_what_is_written_down_is_not_counted_again(now):
    first, today = span(now)
    used(today - DAY, 3)
    arrived(now)
    days.write_down(now)
    Period.objects.all().delete()
    assert days.between(first, today)[today - DAY].counts["NGINX_INSTANCES"] == 3
    assert days.write_down(now + DAY / 2) == 0


def test_what_arrives_late_counts_at_once_and_is_written_down_next(now):
    first, today = span(now)
    used(today - 3 * DAY, 1)
    arrived(now)
    days.write_down(now)
    used(today - 3 * DAY, 4, at=now + timedelta(minutes=5))
    late = days.between(first, today)[today - 3 * DAY]
    assert (
        late.counts["NGINX_INSTANCES"]
        == services.totals(first, today)[today - 3 * DAY, "NGINX_INSTANCES"]
    )
    assert late.counts["NGINX_INSTANCES"] > 1
    assert days.write_down(now + timedelta(minutes=30)) == 1
    assert CountedDay.objects.get().counts == late.counts


def test_today_is_never_written_down(now):
    _, today = span(now)
    used(today, 2, hours=1, at=datetime.combine(today, time(1), tzinfo=UTC))
    days.write_down(now)
    assert not CountedDay.objects.exists()
    assert days.between(today, today)[today].counts["NGINX_INSTANCES"] == 2
