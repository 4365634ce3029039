"""Before the license, under it, off and on again: as an administrator sees it."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import pytest
import time_machine
from django.test import Client

from common.models import Via
from licensing import services as licensing
from telemetry import catalog, delivery, services
from telemetry.models import Event
from tests import make
from tests.conftest import PASSWORD
from tests.telemetry.conftest import Clock, record

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
LICENSE = "/ui/settings/license"
TELEMETRY = "/ui/settings/telemetry"
SWITCH = f"{LICENSE}/continuous-connection"
API = "/api/platform/v1/license"


class WallClock(Clock):
    """Moves the time of the whole process."""

    def __init__(self, now: datetime, traveller: time_machine.Traveller) -> None:
        super().__init__(now)
        self.traveller = traveller

    def forward(self, **length: float) -> datetime:
        self.traveller.move_to(super().forward(**length))
        return self.now


@pytest.fixture
def clock(now):
    """A clock that pages and API see too."""
    with time_machine.travel(now, tick=False) as traveller:
        yield WallClock(now, traveller)


@pytest.fixture
def page(signed_in, ada):
    def open_page(path: str, **posted: str) -> str:
        before = list(Event.objects.values_list("pk", flat=True))
        client = signed_in(ada)
        Event.objects.exclude(pk__in=before).delete()  # that she looks is not the story
        send = client.post if posted else client.get
        answer = send(path, posted or None, follow=True)
        assert answer.status_code == 200
        return " ".join(answer.content.decode().split())

    return open_page


def api(method: str, query: str = "", name: str = "ada") -> dict[str, Any]:
    pair = base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()
    answer = Client().generic(
        method,
        f"{API}{query}",
        '{"desiredState":{"content":""}}' if method == "PUT" else "",
        content_type="application/json",
        headers={"Authorization": f"Basic {pair}"},
    )
    assert answer.status_code == 200
    status = json.loads(answer.content)["currentStatus"]
    return {"on": status["state"]["currentInstance"]["telemetry"], **status["events"]}


def test_what_happened_shortly_before_the_license_goes_out_with_it(
    finished, receiver, clock, page
) -> None:
    services.installed(clock.now)
    record(2, clock.forward(hours=10))
    assert "Held until a license is added" in page(TELEMETRY)
    assert "3 events since" in page(TELEMETRY)
    make.license(clock.forward(hours=15))
    assert delivery.deliver(clock) == 2
    (sent,) = receiver.arrivals
    points = [one["dataPoint"] for one in json.loads(sent.body)["telemetryRecords"]]
    assert points == ["login", "login"]
    assert json.loads(sent.body)["subscriptionId"] == make.SUBSCRIPTION
    shown = page(TELEMETRY)
    assert "Discarded so far: 1 (waited too long)." in shown
    assert api("GET", name="ada")["discarded"] == 1


def test_off_and_on_again_on_the_page(licensed, receiver, clock, page) -> None:
    record(3, clock.now)
    assert "3 events, since" in page(LICENSE)

    asked = page(SWITCH, enabled="0")
    assert "3 waiting events are deleted and not sent" in asked
    assert "Turn off and delete 3" in asked
    assert services.waiting(clock.now).total == 3

    off = page(SWITCH, enabled="0", confirmed="1")
    assert "3 waiting events were deleted." in off
    assert "Continuous Connection is off" in off
    assert "Turned off by <strong>ada</strong> on" in off
    assert not services.record(catalog.LOGIN, now=clock.forward(minutes=1))
    assert delivery.deliver(clock) == 0
    shown = page(TELEMETRY)
    assert "Telemetry is off" in shown
    assert "Discarded so far: 3 (turned off)." in shown

    assert "Continuous Connection is now on." in page(SWITCH, enabled="1")
    record(1, clock.forward(minutes=1))
    assert delivery.deliver(clock) == 1
    (sent,) = receiver.arrivals
    assert len(json.loads(sent.body)["telemetryRecords"]) == 1
    assert "Telemetry is off" not in page(TELEMETRY)


def test_off_and_on_again_by_the_api(licensed, receiver, clock, ada, vera) -> None:
    record(3, clock.now)
    before = api("GET", name="vera")  # that she came is an event itself
    assert before == {"on": True, "waiting": 4, "discarded": 0}

    off = api("PUT", "?telemetry=false")
    assert off == {"on": False, "waiting": 0, "discarded": 5}
    assert delivery.deliver(clock) == 0
    assert api("GET") == off

    on = api("PUT", "?telemetry=true")
    assert on == {"on": True, "waiting": 0, "discarded": 5}
    record(1, clock.forward(seconds=1))
    assert api("GET")["waiting"] == 1
    assert delivery.deliver(clock) == 1
    assert len(receiver.arrivals) == 1


def test_what_was_recorded_in_the_instant_of_turning_off_never_goes_out(
    licensed, receiver, clock
) -> None:
    """A sign-in reads "on", the switch empties the outbox, the sign-in commits."""
    before = clock.now
    switch = {"by": "ada", "via": Via.SETTINGS}
    licensing.set_connection(on=False, now=clock.forward(seconds=1), **switch)
    licensing.set_connection(on=True, now=clock.forward(seconds=1), **switch)
    record(1, clock.forward(seconds=1))
    Event.objects.create(data_point="login", occurred_at=before)
    assert services.preview(clock.now).body.count(b'"id"') == 1
    assert delivery.seal(clock.now).event_count == 1
    assert delivery.seal(clock.now) is None
    assert Event.objects.count() == 0
    assert delivery.deliver(clock) == 1
    (sent,) = receiver.arrivals
    assert len(json.loads(sent.body)["telemetryRecords"]) == 1
