"""Each answer is dated by who gave it, and so says whether the clock here is right."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from egress import destinations, gate, services
from egress.errors import TransientError
from egress.models import Attempt
from nms_admin import health
from sandbox.faults import parse_rules
from sandbox.server import Sandbox

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
AHEAD = timedelta(hours=3)


@pytest.fixture
def box(tmp_path: Path, settings):
    with Sandbox(tmp_path) as opened:
        settings.NMS_JWKS_URL = f"http://localhost:{opened.vendor.port}/ee/v1/keys/jwks"
        yield opened


def call(off: timedelta) -> None:
    """Ask for the keys while the clock here is off by so much."""
    destination = destinations.find("keys")
    ticket = gate.enter(destination.host, timezone.now() + off)
    services.ask(
        services.Item("keys", "keys", "", b"", 0),
        destination,
        ticket,
        headers={},
        allowed=lambda: True,
        accept=lambda answer: answer,
        clock=lambda: timezone.now() + off,
    )


def clock_row() -> health.Row:
    found = health.rows(timezone.now())
    return next(one for one in found if one.name == "Clock")


@pytest.mark.parametrize(
    ("off", "said"), [(AHEAD, "3 hours ahead of"), (-AHEAD, "3 hours behind")]
)
def test_a_clock_that_differs_from_the_last_answer_is_said(box, off, said) -> None:
    call(off)
    Attempt.objects.update(started_at=timezone.now())  # not behind what was written
    found = clock_row()
    assert (found.kind, found.label) == ("warn", "Differs")
    assert found.sentence == f"It is {said} the clock of localhost:{box.vendor.port}."
    assert "NTP" in found.todo
    call(timedelta())
    assert clock_row().kind == "ok"


def test_a_failure_that_is_dated_says_it_too(box) -> None:
    box.faults.set(parse_rules([{"path": "/", "mode": "status"}]))
    with pytest.raises(TransientError):
        call(AHEAD)
    assert abs(Attempt.objects.get().skew - 3 * 3600) <= 2


def test_without_an_answer_nothing_is_said_of_the_clock(box) -> None:
    box.faults.set(parse_rules([{"path": "/", "mode": "reset"}]))
    with pytest.raises(TransientError):
        call(AHEAD)
    assert Attempt.objects.get().skew is None


@pytest.mark.parametrize("date", ["Mon, 01 Jan 0001 00:00:00 GMT", "yesterday", ""])
def test_a_date_that_nobody_can_mean_breaks_nothing(box, monkeypatch, date) -> None:
    monkeypatch.setattr("sandbox.wire.time.strftime", lambda *_: date)
    call(timedelta())
    assert Attempt.objects.get().outcome == "accepted"
