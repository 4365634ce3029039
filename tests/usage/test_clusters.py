"""Kubernetes clusters report their pods; the highest of a day counts."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import time_machine
from django.db import connection
from django.test import Client

from tests.conftest import PASSWORD
from usage import services
from usage.models import ClusterDay, Rejections

pytestmark = pytest.mark.django_db
UID = "d290f1ee-6c54-4b01-90e6-d701748f0851"
ADDRESS = "/api/platform/v1/k8s-usage"


@pytest.fixture(autouse=True)
def _noon(now, finished):
    with time_machine.travel(now, tick=False):
        yield


def body(pods=15, waf=5, dos=1, nodes=4, uid=UID, name="shop") -> str:
    counts = {"pod_count": pods, "waf_count": waf, "dos_count": dos}
    return json.dumps(
        {
            "metadata": {"displayName": name, "uid": uid},
            "node_count": nodes,
            "pod_details": {"current_pod_counts": counts},
        }
    )


def call(user, method: str, path: str = "", text: str = ""):
    pair = base64.b64encode(f"{user.username}:{PASSWORD}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}"}
    return Client().generic(
        method, f"{ADDRESS}{path}", text, "application/json", headers=headers
    )


def put(user, **counts):
    return call(user, "PUT", f"/{UID}", body(**counts))


def test_a_cluster_reports_and_is_read_back_in_the_documented_form(otto, vera):
    assert put(otto).status_code == 200
    assert put(otto, pods=9, waf=7, nodes=5).status_code == 200
    found = call(vera, "GET", f"/{UID}")
    assert found.json() == {
        "metadata": {
            "displayName": "shop",
            "uid": UID,
            "createTime": "2026-11-23T12:00:00Z",
            "updateTime": "2026-11-23T12:00:00Z",
            "monthReturned": "November",
        },
        "node_count": 5,
        "max_node_count": 5,
        "pod_details": {
            "current_pod_counts": {"pod_count": 9, "waf_count": 7, "dos_count": 1},
            "max_pod_counts": {
                "max_pod_count": 15,
                "max_waf_count": 7,
                "max_dos_count": 1,
            },
        },
    }
    assert call(vera, "GET").json() == {"count": 1, "items": [found.json()]}


def test_the_highest_of_a_day_counts(otto, now):
    put(otto, pods=3)
    put(otto, pods=20, waf=0, dos=0)
    put(otto, pods=8)
    day = now.date()
    assert services.totals(day, day) == {
        (day, "IC_PODS"): 20,
        (day, "NGINX_NAP"): 5,
        (day, "NGINX_NAP_DOS"): 1,
        (day, "IC_K8S_NODES"): 4,
    }


def test_the_next_month_begins_at_nothing(otto, vera, now):
    put(otto)
    with time_machine.travel(now + timedelta(days=20), tick=False):
        found = call(vera, "GET", f"/{UID}").json()
    assert found["metadata"]["monthReturned"] == "December"
    assert found["max_node_count"] == 0
    assert found["node_count"] == 4


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_reports_at_once_leave_the_highest(otto, now):
    assert put(otto, pods=1).status_code == 200  # signed in: five tries at most at once
    at_once = Barrier(6)

    def send(pods: int) -> int:
        at_once.wait(10)
        try:
            return put(otto, pods=pods).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(send, (4, 9, 2, 7, 1, 5))) == {200}
    assert ClusterDay.objects.get().pods == 9


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (body(uid="another"), "uid"),
        (body(pods=-1), "number"),
        (body(nodes=1_000_000), "number"),
        (body(name="x" * 256), "text"),
        ("{}", "uid"),
        ("", "not_json"),
    ],
)
def test_a_bad_report_is_turned_away_with_what_was_expected(otto, text, code):
    answer = call(otto, "PUT", f"/{UID}", text)
    assert answer.status_code == 400
    assert {"description": f"check: {code}"} in answer.json()["details"]
    assert not ClusterDay.objects.exists()
    assert Rejections.objects.get().reason == code


def test_a_cluster_nobody_knows_is_not_found(vera):
    assert call(vera, "GET", "/nobody").status_code == 404


def test_a_viewer_cannot_report(vera):
    assert put(vera).status_code == 403
