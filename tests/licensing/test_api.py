"""``/api/platform/v1/license`` as public clients call it, and who is turned away."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.test import Client

from audit.models import Record
from common import setup
from common.models import Via
from licensing import services
from licensing.models import ConnectionChoice, License
from nms_admin import basic
from tests import make
from tests.conftest import PASSWORD
from tests.usage.conftest import used

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("finished", "ada")]
BASE = "/api/platform/v1"
LICENSE = f"{BASE}/license"


@pytest.fixture(autouse=True)
def _noon(now, monkeypatch):
    basic._verified.clear()
    with time_machine.travel(now, tick=False):
        yield


def call(method: str, path: str = LICENSE, body: object = None, **headers: str) -> Any:
    """Call as curl does: Basic credentials, no cookie, no CSRF token."""
    name = headers.pop("user", "ada")
    pair = base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()
    data = body if isinstance(body, str) else json.dumps(body) if body else ""
    kind = headers.pop("content_type", "application/json")
    headers.setdefault("authorization", f"Basic {pair}")
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    return client.generic(method, path, data, content_type=kind, headers=headers)


def document(content: str = "", **desired: object) -> dict[str, object]:
    return {
        "metadata": {"name": "license"},
        "desiredState": {"content": content, **desired},
    }


def instance(response: Any) -> dict[str, Any]:
    return dict(response.json()["currentStatus"]["state"]["currentInstance"])


def disconnect() -> None:
    row = setup.current()
    row.operation_mode = "disconnected"
    row.save()


@pytest.fixture
def token(now) -> str:
    make.keys_file()
    return make.token(now)


def test_before_any_license_the_word_is_none():
    answer = call("GET")
    assert answer.status_code == 200
    assert instance(answer)["status"] == "NONE"
    assert instance(answer)["features"][0]["id"]
    assert call("GET", f"{LICENSE}/status").json() == {"licenseStatus": "NONE"}
    assert call("GET", f"{BASE}/modules/licensed").json() == {"licensed": False}


def test_the_activation_of_a_connected_client_step_by_step(token):
    """OFF of 2024-11 waits for each of these words, without an end."""
    posted = call("POST", f"{LICENSE}?telemetry=true", document(token, type="JWT"))
    assert posted.status_code == 202
    assert posted.json()["currentStatus"]["modeOfOperation"] == "CONNECTED"
    seen = instance(call("GET"))
    assert (seen["status"], seen["telemetry"], seen["fileType"]) == (
        "ACTIVATED",
        True,
        "JWT",
    )
    put = call("PUT", f"{LICENSE}?telemetry=true", document("", type="JWT"))
    assert put.status_code == 200
    assert instance(call("GET"))["status"] == "VALID"
    assert call("GET", f"{BASE}/modules/licensed").json() == {"licensed": True}


def test_the_activation_of_a_disconnected_client_step_by_step(token):
    disconnect()
    posted = call("POST", f"{LICENSE}?telemetry=true", document(token, type="JWT"))
    assert posted.json()["currentStatus"]["modeOfOperation"] == "DISCONNECTED"
    assert instance(call("GET"))["status"] == "INITIALIZE_ACTIVATION_COMPLETE"
    call("PUT", f"{LICENSE}?telemetry=true", document("", type="JWT"))
    assert instance(call("GET"))["status"] == "CONFIG_REPORT_READY"
    assert call("GET", f"{BASE}/modules/licensed").json() == {"licensed": False}
    mode = call("GET", f"{BASE}/report/device_mode").json()
    assert mode == {"device_mode": "DISCONNECTED"}


def test_a_license_added_on_the_page_is_valid_at_once(now):
    make.license(now)
    assert instance(call("GET"))["status"] == "VALID"


def test_a_second_post_says_what_clients_search_for_and_sets_nothing(token, now):
    call("POST", LICENSE, document(token))
    records = Record.objects.count()
    again = call("POST", f"{LICENSE}?telemetry=false", document(token))
    assert Record.objects.count() == records
    assert again.status_code == 409
    assert "failed to register token. already registered" in again.json()["message"]
    assert again.json()["code"] == 409
    assert License.objects.count() == 1
    assert services.connection_on()


def test_a_post_replaces_a_license_that_is_not_active(token, now):
    make.license(now, iat=int(now.timestamp()) + 90_000, sub="SBX-11111111")
    assert call("POST", LICENSE, document(token)).status_code == 202
    assert services.current().subscription_id == make.SUBSCRIPTION


def test_a_put_adds_and_replaces(token, now):
    assert call("PUT", f"{LICENSE}?telemetry=true", document(token)).status_code == 200
    other = make.token(now, sub="SBX-22222222")
    assert call("PUT", LICENSE, document(other)).status_code == 200
    assert services.current().subscription_id == "SBX-22222222"
    assert instance(call("GET"))["status"] == "VALID"


def test_an_older_license_is_put_only_with_anyway(now):
    newer = make.license(now)
    older = document(make.token(now - timedelta(days=30), 380))
    refused = call("PUT", LICENSE, older)
    assert refused.status_code == 422
    assert "check: older" in json.dumps(refused.json()["details"])
    assert services.current() == newer
    assert call("PUT", f"{LICENSE}?anyway=perhaps", older).status_code == 400
    assert call("PUT", f"{LICENSE}?anyway=true", older).status_code == 200
    assert services.current().pk > newer.pk


@pytest.mark.parametrize("choice", ["true", "false"])
@pytest.mark.parametrize("body", [None, document()])
def test_a_put_without_a_license_sets_only_the_choice(choice, body):
    put = call("PUT", f"{LICENSE}?telemetry={choice}", body)
    assert put.status_code == 200
    assert services.connection_on() is (choice == "true")
    assert ConnectionChoice.objects.get().via == Via.API
    assert instance(put)["telemetry"] is (choice == "true")


def test_without_telemetry_the_choice_stays(token, now):
    services.set_connection(on=False, by="ada", via=Via.SETTINGS, now=now)
    call("POST", LICENSE, document(token))
    assert not services.connection_on()
    assert ConnectionChoice.objects.count() == 1


def test_do_not_track_wins_over_the_api_and_the_answer_says_so(token, settings):
    settings.DO_NOT_TRACK = True
    posted = call("POST", f"{LICENSE}?telemetry=true", document(token))
    put = call("PUT", f"{LICENSE}?telemetry=true", document())
    assert (posted.status_code, put.status_code) == (202, 200)
    assert instance(put)["telemetry"] is False


@pytest.mark.parametrize("value", ["yes", "1", "True", "on", "null"])
def test_another_choice_than_true_or_false_is_refused(token, value):
    answer = call("POST", f"{LICENSE}?telemetry={value}", document(token))
    assert answer.status_code == 400
    assert not License.objects.exists()


def test_two_choices_at_once_are_refused(token):
    query = "telemetry=true&telemetry=false"
    assert call("PUT", f"{LICENSE}?{query}", document()).status_code == 400
    assert not ConnectionChoice.objects.exists()


def test_a_put_with_nothing_in_it_says_what_to_send():
    answer = call("PUT")
    assert answer.status_code == 400
    assert "desiredState.content" in answer.content.decode()


def test_delete_terminates(token):
    call("POST", LICENSE, document(token))
    answer = call("DELETE")
    assert answer.status_code == 202
    assert instance(call("GET"))["status"] == "NONE"
    assert License.objects.get().ended_by == "ada"
    assert call("DELETE").status_code == 404


def test_a_refusal_names_the_check_and_what_was_expected(now):
    make.keys_file()
    other = make.token(now, aud="urn:f5:other")
    answer = call("POST", LICENSE, document(other))
    assert answer.status_code == 422
    body = answer.json()
    assert body["code"] == 422
    assert "another service" in body["message"]
    assert [one["description"] for one in body["details"]] == [
        "check: audience",
        "expected: urn:f5:teem",
        "found: urn:f5:other",
    ]
    assert not License.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        "null",
        '{"desiredState":[]}',
        '{"desiredState":{"content":7}}',
        '{"desiredState":{"content":"\\ud800"}}',
        "[" * 100_000,
    ],
)
def test_another_shape_is_refused_in_the_same_form(body):
    answer = call("POST", LICENSE, body)
    assert answer.status_code in (400, 422)
    assert {"message", "code"} <= answer.json().keys()
    assert not License.objects.exists()


def test_a_body_beyond_the_limit_is_refused():
    answer = call("POST", LICENSE, document("A" * 2_000_000))
    assert answer.status_code in (400, 413)
    assert answer.json()["code"] == answer.status_code


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_the_body_is_json_whatever_it_is_called(token, kind):
    answer = call("POST", LICENSE, document(token), content_type=kind)
    assert answer.status_code == 202


def test_the_members_may_come_in_any_order_and_with_others(token):
    features = [{"limit": 0, "name": "NGINX_NAP", "valueType": ""}]
    body = {
        "desiredState": {"features": features, "type": "JWT", "content": f"{token}\n"},
        "metadata": {"name": "license"},
    }
    assert call("POST", LICENSE, body).status_code == 202


def test_an_smime_license_with_line_breaks_is_recognised():
    der = bytes.fromhex("3082010006092a864886f70d010702a081f2") + b"\1" * 200
    wrapped = base64.encodebytes(der).decode()
    answer = call("PUT", LICENSE, document(wrapped))
    assert answer.status_code == 200
    assert instance(answer)["fileType"] == "SMIME"


def test_the_license_is_never_given_back(token):
    answers = [
        call("POST", LICENSE, document(token)),
        call("GET"),
        call("PUT", LICENSE, document(token)),
        call("DELETE"),
    ]
    for answer in answers:
        assert token not in answer.content.decode()
        assert token.split(".")[2] not in answer.content.decode()
    assert answers[1].json()["desiredState"]["content"] == "******"
    assert token not in json.dumps(list(Record.objects.values("details")), default=str)


def test_the_json_is_on_one_line_without_blanks():
    answer = call("GET", f"{BASE}/modules/versions")
    assert answer.content == b'{"nim":"2.20.0"}'
    assert b'": ' not in call("GET").content
    assert b"\n" not in call("GET").content


def test_entitlements_are_listed_and_each_has_an_id(token):
    call("POST", LICENSE, document(token))
    services.current().entitlements.create(feature="NGINX_INSTANCES", limit=60)
    status = call("GET").json()["currentStatus"]
    (feature,) = status["entitlement"]["features"]
    assert (feature["id"], feature["limit"]) == ("NGINX_INSTANCES", 60)
    shown = status["state"]["currentInstance"]["features"][0]
    assert shown["daysUntilExpiry"] == 365
    assert "used" not in shown


def test_what_is_in_use_stands_beside_each_feature_that_is_counted_here(token, now):
    call("POST", LICENSE, document(token))
    for name, limit, unlimited in (
        ("NGINX_INSTANCES", 60, False),
        ("NGINX_NAP", 0, False),
        ("IC_PODS", 0, True),
        ("SUCCESSFUL_API_CALLS_MILLIONS", 5, False),
    ):
        services.current().entitlements.create(
            feature=name, limit=limit, unlimited=unlimited, unit="INSTANCES"
        )
    used(now.date(), 3, hours=12)
    shown = {one["id"]: one for one in instance(call("GET"))["features"]}
    counted = ("used", "aggregateUsed", "remaining", "unitOfMeasure")
    assert [shown["NGINX_INSTANCES"][one] for one in counted] == [3, 3, 57, "INSTANCES"]
    assert [shown["NGINX_NAP"][one] for one in counted] == [0, 0, 0, "INSTANCES"]
    assert shown["IC_PODS"]["used"] == 0
    assert "remaining" not in shown["IC_PODS"], "there is no limit"
    not_counted_here = shown["SUCCESSFUL_API_CALLS_MILLIONS"]
    assert not set(counted) & set(not_counted_here)
    assert not_counted_here["daysUntilExpiry"] == 365


def test_more_use_than_the_limit_leaves_nothing_and_is_told_whole(token, now):
    call("POST", LICENSE, document(token))
    services.current().entitlements.create(feature="NGINX_INSTANCES", limit=2)
    used(now.date(), 3, hours=12)
    (shown,) = instance(call("GET"))["features"]
    assert (shown["used"], shown["remaining"]) == (3, 0)


def test_use_is_told_while_the_limits_are_not_known(token, now):
    call("POST", LICENSE, document(token))
    used(now.date(), 3, hours=12)
    (shown,) = instance(call("GET"))["features"]
    assert (shown["used"], shown["aggregateUsed"]) == (3, 3)
    assert "remaining" not in shown


def test_without_any_report_the_document_is_the_one_clients_know(token):
    """Byte for byte, but for the license's own number."""
    call("POST", LICENSE, document(token))
    services.current().entitlements.create(feature="NGINX_INSTANCES", limit=60)
    body = call("GET").content.decode()
    number = call("GET").json()["metadata"]["uid"]
    assert body.replace(number, "NUMBER") == (
        '{"metadata":{"name":"license","kind":"license","uid":"NUMBER",'
        '"createTime":"2026-11-23T12:00:00Z"},"desiredState":{"content":"******",'
        '"type":"JWT","features":[]},"currentStatus":{"modeOfOperation":"CONNECTED",'
        '"subscription":{"id":"SBX-00198432"},"entitlement":{"features":[{'
        '"name":"NGINX_INSTANCES","id":"NGINX_INSTANCES","type":"","limit":60,'
        '"unlimited":false,"unitOfMeasure":"","expiry":"2027-11-23",'
        '"gracePeriodDays":90}]},"state":{"currentInstance":{"id":"NUMBER",'
        '"type":"NGINX Management Suite","version":"2.20.0","status":"ACTIVATED",'
        '"fileType":"JWT","telemetry":true,"features":[{"id":"NGINX_INSTANCES",'
        '"name":"NGINX_INSTANCES","daysUntilExpiry":365}],"configState":{'
        '"selfConfigState":{"isConfigured":true,"isConfiguring":false,"isError":false,'
        '"isDeleting":false},"conditions":[]}}},"events":{"waiting":1,"discarded":0}}}'
    )


def test_userinfo_says_who_asks():
    answer = call("GET", f"{BASE}/userinfo")
    assert answer.json() == {"username": "ada", "role": "administrator"}


@pytest.mark.usefixtures("otto", "vera")
@pytest.mark.parametrize("user", ["otto", "vera"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_only_an_administrator_changes_the_license(token, user, method):
    answer = call(method, LICENSE, document(token), user=user)
    assert answer.status_code == 403
    assert answer.json()["code"] == 403
    assert not License.objects.exists()
    assert call("GET", user=user).status_code == 200


def test_a_session_cookie_is_nobody_here(signed_in, ada):
    answer = signed_in(ada).get(LICENSE)
    assert answer.status_code == 401
    assert answer.json()["code"] == 401


def test_the_header_a_gateway_would_add_is_not_believed():
    answer = call("GET", authorization="", nginx_management_suite_user="ada")
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "https://testserver.evil.example"},
        {"origin": "http://[broken"},
        {"sec-fetch-site": "cross-site"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_pages_of_other_sites_are_refused(token, method, headers):
    answer = call(method, LICENSE, document(token), **headers)
    assert answer.status_code == 403
    assert answer.json()["code"] == 403
    assert not License.objects.exists()


@pytest.mark.parametrize(
    "headers",
    [
        {
            "origin": "https://testserver:8443",
            "referer": "https://testserver/ui/settings/license",
        },
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
    ],
)
def test_our_own_pages_and_old_clients_are_not(token, headers):
    assert call("POST", LICENSE, document(token), **headers).status_code == 202


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{BASE}/nothing", 404),
        ("GET", "/api/nothing", 404),
        ("POST", "/api/nothing", 404),
        ("GET", f"{LICENSE}/", 404),
        ("PATCH", LICENSE, 405),
        ("GET", "/api/liveness/nothing", 404),
    ],
)
def test_what_is_not_there_is_said_in_json_without_a_redirect(method, path, status):
    answer = call(method, path)
    assert answer.status_code == status
    assert answer.json()["code"] == status
    assert answer["Content-Type"].startswith("application/json")


def test_every_answer_names_the_way_to_sign_in():
    for answer in (
        call("GET"),
        call("GET", authorization=""),
        call("GET", f"{BASE}/nothing"),
        call("GET", origin="https://evil.example"),
    ):
        assert answer["Nginx-Management-Suite-Auth"] == "Basic"


def test_a_browser_is_not_asked_to_keep_the_password():
    plain = call("GET", authorization="")
    browser = call("GET", authorization="", sec_fetch_site="same-origin")
    assert plain["WWW-Authenticate"].startswith("Basic")
    assert "WWW-Authenticate" not in browser


def test_before_set_up_is_finished_the_api_is_closed():
    row = setup.current()
    row.finished_at = None
    row.save()
    assert call("GET").status_code == 503
