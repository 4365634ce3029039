from __future__ import annotations

import base64
import json

import pytest
from django.test import Client

from analytics import services
from analytics.models import Choice
from common.models import Via
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
ADDRESS = "/api/platform/v1/analytics"


def basic(name: str) -> dict[str, str]:
    pair = base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def put(name: str, body: object):
    return Client().put(
        ADDRESS, json.dumps(body), content_type="application/json", headers=basic(name)
    )


def test_an_administrator_decides_and_everybody_reads_it(ada, vera, finished):
    answer = put("ada", {"interactionData": False})
    assert answer.status_code == 200
    assert Choice.objects.get().via == Via.API
    read = Client().get(ADDRESS, headers=basic("vera")).json()
    assert read["interactionData"] is False
    assert (read["decidedBy"], read["mode"], read["locked"]) == (
        "ada",
        "opt-out",
        False,
    )


def test_nobody_has_decided_at_first(vera, finished, settings):
    assert (
        Client().get(ADDRESS, headers=basic("vera")).json()["interactionData"] is True
    )
    settings.NMS_ANALYTICS_MODE = "opt-in"
    assert (
        Client().get(ADDRESS, headers=basic("vera")).json()["interactionData"] is None
    )


@pytest.mark.parametrize("name", ["otto", "vera"])
def test_others_may_not_decide(otto, vera, finished, name):
    assert put(name, {"interactionData": False}).status_code == 403
    assert Client().put(ADDRESS, "{}").status_code == 401
    assert not Choice.objects.exists()


@pytest.mark.parametrize(
    "body", [{}, [], {"interactionData": "maybe"}, {"interactionData": True, "more": 1}]
)
def test_another_shape_is_refused(ada, finished, body):
    assert 400 <= put("ada", body).status_code < 500
    assert not Choice.objects.exists()


def test_do_not_track_refuses_on(ada, finished, settings):
    settings.DO_NOT_TRACK = True
    assert put("ada", {"interactionData": True}).status_code == 409
    assert services.is_on() is False
