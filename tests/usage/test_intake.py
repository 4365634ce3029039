"""NGINX reports its use: what is taken, from whom, and what is turned away."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import time_machine
from django.db import connection
from django.test import Client

from telemetry.models import Event
from tests import make
from usage import intake, services, tasks
from usage.models import Period, Rejections, Reporter

pytestmark = pytest.mark.django_db
UUID = "c6d5a2f0-6f0e-4b0e-9b44-0d9a4c8a5c11"
STRANGER = {"REMOTE_ADDR": "203.0.113.9"}
ADDRESS = "/api/nginx-usage"


@pytest.fixture(autouse=True)
def _noon(now, finished):
    intake._refused.clear()
    with time_machine.travel(now, tick=False):
        yield


def document(now, **changes) -> dict[str, object]:
    """What NGINX Plus sends of the last hour; None removes a member."""
    end = int(now.timestamp())
    found = {
        "version": "nginx-plus-r33",
        "uuid": UUID,
        "nap": "active",
        "http": {
            "client": {"received": 1000, "sent": 2000, "requests": 30},
            "upstream": {"received": 7, "sent": 7},
        },
        "stream": {"client": {"received": 300, "sent": 400}},
        "workers": 4,
        "uptime": 7200,
        "reloads": 1,
        "start_time": end - 3600,
        "end_time": end,
        **changes,
    }
    return {name: value for name, value in found.items() if value is not None}


def post(body, token: str = "", **extra):
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return Client().post(ADDRESS, text, "application/json", headers=headers, **extra)


def rejections() -> dict[str, int]:
    return dict(Rejections.objects.values_list("reason", "count"))


def test_a_report_is_stored_with_its_counts(now):
    answer = post(document(now))
    assert (answer.status_code, answer.content) == (
        200,
        b'{"message":"Stored.","code":200}',
    )
    period = Period.objects.get()
    assert (period.requests, period.bytes, period.waf) == (30, 3700, True)
    assert (period.since, period.until) == (
        int(now.timestamp()) - 3600,
        int(now.timestamp()),
    )
    reporter = Reporter.objects.get()
    assert (reporter.uuid, reporter.version) == (UUID, "nginx-plus-r33")
    assert reporter.first_seen_at == reporter.last_seen_at == now


def test_the_same_report_again_changes_nothing(now):
    post(document(now))
    with time_machine.travel(now + timedelta(minutes=1), tick=False):
        answer = post(document(now, http={"client": {"requests": 99}}))
    assert answer.status_code == 200
    assert Period.objects.get().requests == 30
    assert Reporter.objects.get().last_seen_at == now


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_the_same_report_sent_eight_times_at_once_is_stored_once(now):
    at_once = Barrier(8)

    def send(_: int) -> int:
        at_once.wait(10)
        try:
            return post(document(now)).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(send, range(8))) == {200}
    assert (Period.objects.count(), Reporter.objects.count()) == (1, 1)


def test_a_report_makes_an_instance_in_use_and_no_event(now):
    make.license(now)
    events = Event.objects.count()
    post(document(now))
    assert services.in_use(now)["NGINX_INSTANCES"].count == 1
    assert services.in_use(now)["NGINX_NAP"].count == 1
    assert Event.objects.count() == events


def test_an_nginx_without_stream_or_traffic_is_taken(now):
    assert post(document(now, http=None, stream=None, nap=None)).status_code == 200
    assert Period.objects.get().bytes == 0


def test_a_stranger_is_turned_away_and_counted(now):
    answer = post(document(now), **STRANGER)
    assert answer.status_code == 401
    assert answer.json()["code"] == 401
    assert "check: no_license" in str(answer.json()["details"])
    assert not Reporter.objects.exists()
    assert rejections() == {"no_license": 1}


def test_a_stranger_with_our_license_is_welcome(now):
    make.license(now)
    assert post(document(now), token=make.token(now), **STRANGER).status_code == 200


def test_a_newer_license_of_our_subscription_is_welcome(now):
    make.license(now)
    renewed = make.token(now, 700)
    assert post(document(now), token=renewed, **STRANGER).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"sub": "SBX-00000001"}, id="another subscription"),
        pytest.param({"key": make.private_key("somebody")}, id="another signature"),
        pytest.param({"header": {"kid": "v9"}}, id="an unknown key"),
        pytest.param({"iss": "Somebody"}, id="another issuer"),
    ],
)
def test_any_other_license_is_turned_away(now, changes):
    make.license(now)
    answer = post(document(now), token=make.token(now, **changes), **STRANGER)
    assert answer.status_code == 401
    assert rejections() == {"wrong_license": 1}


def test_without_a_license_here_no_token_is_ours(now):
    make.keys_file()
    answer = post(document(now), token=make.token(now), **STRANGER)
    assert answer.status_code == 401


def test_the_license_is_in_no_log(now, caplog, capsys):
    make.license(now)
    token = make.token(now, sub="SBX-00000001")
    post(document(now), token=token, **STRANGER)
    assert token not in caplog.text + capsys.readouterr().out


def test_an_address_can_be_allowed(now, settings):
    settings.NMS_INTAKE_ALLOW = ["203.0.113.0/24"]
    assert post(document(now), **STRANGER).status_code == 200
    assert post(document(now), REMOTE_ADDR="127.0.0.1").status_code == 401


def test_behind_a_proxy_that_is_not_trusted_no_address_counts(now, settings):
    forwarded = {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}
    assert post(document(now), **forwarded).status_code == 401
    settings.NMS_TRUSTED_PROXIES = ["127.0.0.1"]
    settings.NMS_INTAKE_ALLOW = ["198.51.100.7"]
    forwarded = {"HTTP_X_FORWARDED_FOR": "127.0.0.1, 198.51.100.7"}
    assert post(document(now), **forwarded).status_code == 200


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"uuid": None}, "uuid"),
        ({"uuid": ""}, "uuid"),
        ({"uuid": "x" * 37}, "uuid"),
        ({"uuid": "a;b"}, "uuid"),
        ({"uuid": 7}, "uuid"),
        ({"version": "v" * 41}, "text"),
        ({"version": "a\x00b"}, "text"),
        ({"hostname": "\ud800"}, "text"),
        ({"nap": "perhaps"}, "nap"),
        ({"http": {"client": {"requests": -1}}}, "number"),
        ({"http": {"client": {"requests": 1.5}}}, "number"),
        ({"http": {"client": {"requests": True}}}, "number"),
        ({"http": {"client": {"sent": 1 << 62}}}, "number"),
        (
            {"http": {"client": {"sent": (1 << 62) - 1, "received": (1 << 62) - 1}}},
            "number",
        ),
        ({"http": []}, "not_json"),
        ({"stream": {"client": "many"}}, "not_json"),
        ({"start_time": "today"}, "number"),
    ],
)
def test_bad_values_are_turned_away_with_what_was_expected(now, changes, code):
    answer = post(document(now, **changes))
    assert answer.status_code == 400
    details = [one["description"] for one in answer.json()["details"]]
    assert details[0] == f"check: {code}"
    assert [one.partition(":")[0] for one in details] == ["check", "expected", "found"]
    assert not Reporter.objects.exists()
    assert rejections() == {code: 1}


@pytest.mark.parametrize(
    ("start", "end", "status"),
    [
        (-3600, 0, 200),
        (-1, 0, 200),
        (-3600, 300, 200),
        (-3600, 301, 400),
        (0, 0, 400),
        (0, -3600, 400),
        (-400 * 86_400, 0, 200),
        (-400 * 86_400 - 1, 0, 400),
        (-400 * 86_400 - 3600, -400 * 86_400, 400),
    ],
)
def test_a_period_lies_in_the_past_and_within_retention(now, start, end, status):
    moment = int(now.timestamp())
    body = document(now, start_time=moment + start, end_time=moment + end)
    assert post(body).status_code == status


@pytest.mark.parametrize("body", ["", "{", "[]", "7", "[" * 60_000, b"\xff\xfe"])
def test_what_is_no_json_object_is_turned_away(body):
    assert post(body).status_code == 400
    assert rejections() == {"not_json": 1}


def test_a_large_body_is_turned_away(now):
    assert post(document(now, more="x" * 65_536)).status_code == 413


def test_who_is_refused_all_the_time_is_asked_to_wait(now):
    for _ in range(intake.MOST_REFUSALS):
        assert post(document(now), **STRANGER).status_code == 401
    answer = post(document(now), **STRANGER)
    assert (answer.status_code, answer["Retry-After"]) == (429, "60")
    assert rejections() == {"no_license": intake.MOST_REFUSALS}
    assert post(document(now)).status_code == 200
    with time_machine.travel(now + timedelta(minutes=1), tick=False):
        assert post(document(now), **STRANGER).status_code == 401


def test_there_is_room_for_ten_thousand_instances(now, monkeypatch):
    monkeypatch.setattr(intake, "MOST_REPORTERS", 1)
    assert post(document(now)).status_code == 200
    assert post(document(now, uuid="another")).status_code == 429
    later = document(now, start_time=int(now.timestamp()) - 60)
    assert post(later).status_code == 200


def header(value: str, **extra):
    return Client().get(ADDRESS, headers={"Nginx-Usage": value}, **extra)


def test_a_health_check_says_that_an_instance_is_there_this_hour(now):
    line = (
        "Version=1.25.5;Hostname=web-1;uuid=0123456789abcdef0123456789abcdef;nap=active"
    )
    assert header(line).status_code == 200
    assert header(line).status_code == 200
    period, reporter = Period.objects.get(), Reporter.objects.get()
    assert (period.until - period.since, period.requests, period.waf) == (3600, 0, True)
    assert (reporter.hostname, reporter.version) == ("web-1", "1.25.5")


def test_a_health_check_counts_by_address_only(now):
    make.license(now)
    line = {"Nginx-Usage": "uuid=a1", "Authorization": f"Bearer {make.token(now)}"}
    assert Client().get(ADDRESS, headers=line, **STRANGER).status_code == 401


@pytest.mark.parametrize("value", ["", "Version=1", "uuid=" + "a" * 40, "u" * 1025])
def test_a_health_check_without_its_header_is_turned_away(value):
    assert header(value).status_code == 400


def test_before_set_up_is_finished_nothing_is_taken(now, db):
    from common.models import Setup

    Setup.objects.update(finished_at=None)
    answer = post(document(now))
    assert (answer.status_code, answer.json()["code"]) == (503, 503)


def test_what_is_older_than_retention_is_deleted_and_reporters_stay(now):
    post(document(now))
    assert tasks.prune() == 0
    with time_machine.travel(now + timedelta(days=401), tick=False):
        assert tasks.prune() == 1
    assert (Period.objects.count(), Reporter.objects.count()) == (0, 1)
