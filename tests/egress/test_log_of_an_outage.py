"""A day without the vendor is a few lines of log: the first failure, then sums of them."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import pytest

from common import repeats
from egress import gate
from egress.errors import TransientError
from egress.models import Attempt, Gate
from telemetry import delivery
from tests.telemetry.conftest import (  # noqa: F401  (fixtures)
    Clock,
    clock,
    licensed,
    receiver,
    record,
)

pytestmark = pytest.mark.django_db
HOST = "vendor.example:443"


def outage(clock: Clock, hours: float) -> int:  # noqa: F811
    """Ask for a delivery whenever the gate lets one through; return how many failed."""
    end = clock.now + timedelta(hours=hours)
    while clock.now < end:
        delivery.deliver(clock)
        gates = Gate.objects.values_list("closed_until", flat=True)
        clock.now = max(*filter(None, gates), clock.now) + timedelta(seconds=15)
    return Attempt.objects.exclude(outcome="accepted").count()


def said(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    found = [one.msg for one in caplog.records if isinstance(one.msg, dict)]
    return [one for one in found if str(one["event"]).startswith("host.")]


def test_a_day_of_outage_is_few_lines_and_its_end_is_one(
    licensed,  # noqa: F811
    receiver,  # noqa: F811
    clock: Clock,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    receiver.fails("status", status=503)
    record(1, clock.now)
    tries = outage(clock, 24)
    assert 30 <= tries <= 40
    lines = len(caplog.records)
    assert lines <= 200
    assert [one["in_a_row"] for one in said(caplog)] == [1, 2, 4, 8, 16, 32]
    assert said(caplog)[0]["cause"] == "status_503"
    receiver.recovers()
    clock.forward(hours=2)
    assert delivery.deliver(clock) == 1
    assert said(caplog)[-1]["event"] == "host.answers_again"
    assert said(caplog)[-1]["failed"] == tries


def test_another_cause_is_said_at_once(now: datetime, caplog) -> None:
    for cause in ("refused", "refused", "refused", "dns", "dns"):
        now += timedelta(days=1)
        ticket = gate.enter(HOST, now)
        assert ticket
        gate.failed(ticket, TransientError(cause, f"It is {cause}."), now)
    lines = [(one["cause"], one["in_a_row"]) for one in said(caplog)]
    assert lines == [("refused", 1), ("refused", 2), ("dns", 4)]


def test_failures_of_this_process_are_summed_up_until_they_are_over() -> None:
    repeats.over("test")
    numbers = [repeats.again("test") for _ in range(1440)]
    assert [one for one in numbers if one] == [2**n for n in range(11)]
    assert repeats.over("test") == 1440
    assert repeats.again("test") == 1
    repeats.over("test")
