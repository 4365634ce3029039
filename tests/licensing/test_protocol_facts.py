"""The facts about public clients that decide the license API, one test each.

Numbers as in the list of ten that this product was designed from. Those about reports
(5 to 9) stand in ``test_protocol_facts_of_reports``.
"""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from licensing import services
from licensing.states import Facts, state_at
from nms_admin import basic
from tests import make
from tests.licensing.test_api import BASE, LICENSE, call, disconnect, document, instance

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("finished", "ada")]
DAY = timedelta(days=1)
# As the published script takes the version: text, not JSON.
VERSION = re.compile(r'"nim":"([0-9]+\.[0-9]+\.[0-9]+)"')
FEATURES = (
    "NGINX_NAP_DOS",
    "IM_INSTANCES",
    "TM_INSTANCES",
    "DATA_PER_HOUR_GB",
    "NGINX_INSTANCES",
    "NGINX_NAP",
    "SUCCESSFUL_API_CALLS_MILLIONS",
    "IC_PODS",
    "IC_K8S_NODES",
)


def scripted(content: str) -> dict[str, Any]:
    """Return the document as the published script writes it, features and all."""
    features = [{"limit": 0, "name": name, "valueType": ""} for name in FEATURES]
    return {
        "desiredState": {"content": content, "features": features, "type": "JWT"},
        "metadata": {"name": "license"},
    }


@pytest.fixture(autouse=True)
def _noon(now):
    basic._verified.clear()
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def token(now) -> str:
    make.keys_file()
    return make.token(now)


def word() -> str:
    shown = instance(call("GET"))["status"]
    assert call("GET", f"{LICENSE}/status").json() == {"licenseStatus": shown}
    return str(shown)


def licensed() -> bool:
    return bool(call("GET", f"{BASE}/modules/licensed").json()["licensed"])


def test_fact_1_the_upload_answers_202_and_json_long_before_ten_seconds(token):
    began = time.perf_counter()
    posted = call("POST", f"{LICENSE}?telemetry=true", scripted(token))
    assert time.perf_counter() - began < 2
    assert posted.status_code == 202
    assert posted.json()["currentStatus"]["modeOfOperation"] == "CONNECTED"


@pytest.mark.parametrize("version", ["2.18.0", "2.19.4", "2.20.0", "2.22.1"])
def test_fact_2_the_version_is_found_by_text_on_one_line(settings, version):
    settings.NMS_API_VERSION = version
    body = call("GET", f"{BASE}/modules/versions").content.decode()
    assert "\n" not in body
    assert VERSION.search(body).group(1) == version


@pytest.mark.parametrize("version", ["2.18.0", "2.19.4", "2.20.0"])
def test_fact_3_the_put_of_the_older_flow_answers_200_with_and_without_a_post(
    settings, token, version
):
    settings.NMS_API_VERSION = version
    assert call("PUT", f"{LICENSE}?telemetry=true", scripted(token)).status_code == 200
    assert call("PUT", f"{LICENSE}?telemetry=true", scripted(token)).status_code == 200


def test_fact_4_nothing_under_api_has_a_space_after_a_colon(token):
    call("POST", LICENSE, scripted(token))
    for path in (LICENSE, f"{LICENSE}/status", f"{BASE}/report/device_mode"):
        answer = call("GET", path)
        compact = json.dumps(answer.json(), separators=(",", ":"), ensure_ascii=False)
        assert answer.content.decode() == compact


def test_fact_10_a_license_without_exp_ends_by_f5_sat(now):
    found = make.license(now, days=20, exp=None)
    assert services.state(now).ends_on == (now + 20 * DAY).date()
    assert found.ends_at == now + 20 * DAY


# The words of each flow, in their order


def test_connected_none_activated_valid(token):
    assert (word(), licensed()) == ("NONE", False)
    call("POST", f"{LICENSE}?telemetry=true", scripted(token))
    assert word() == "ACTIVATED"
    call("PUT", f"{LICENSE}?telemetry=true", document("", type="JWT"))
    assert (word(), licensed()) == ("VALID", True)


def test_disconnected_the_acknowledgement_alone_makes_it_licensed(token, now):
    """A client waits for *false* after CONFIG_REPORT_READY, without an end."""
    disconnect()
    assert (word(), licensed()) == ("NONE", False)
    call("POST", f"{LICENSE}?telemetry=true", scripted(token))
    assert (word(), licensed()) == ("INITIALIZE_ACTIVATION_COMPLETE", False)
    call("PUT", f"{LICENSE}?telemetry=true", document("", type="JWT"))
    assert (word(), licensed()) == ("CONFIG_REPORT_READY", False)
    services.report_acknowledged(now)
    assert (word(), licensed()) == ("VALID", True)


def test_the_acknowledgement_holds_for_the_renewed_license_too(token, now):
    disconnect()
    call("POST", LICENSE, scripted(token))
    services.report_acknowledged(now)
    call("PUT", LICENSE, scripted(make.token(now, days=700)))
    assert (word(), licensed()) == ("VALID", True)
    call("PUT", LICENSE, scripted(make.token(now, sub="SBX-22222222")))
    assert (word(), licensed()) == ("CONFIG_REPORT_READY", False)


def test_an_acknowledgement_does_not_stand_in_for_a_signature(now):
    disconnect()
    call("POST", LICENSE, scripted(make.token(now)))
    services.report_acknowledged(now)
    assert licensed()
    assert services.state(now).provisional
    assert services.delivery_terms(now).hold == "provisional"


def test_an_acknowledgement_without_a_license_changes_nothing(now):
    services.report_acknowledged(now)
    assert (word(), licensed()) == ("NONE", False)


@pytest.mark.parametrize("mode", ["connected", "disconnected"])
@pytest.mark.parametrize(
    ("days_ago", "expected", "usable"),
    [(0, "VALID", True), (100, "GRACE", True), (181, "ENFORCED", False)],
)
def test_the_words_after_the_end_are_grace_and_enforced(
    now, mode, days_ago, expected, usable
):
    if mode == "disconnected":
        disconnect()
    make.license(now - timedelta(days=days_ago), days=90)
    services.report_acknowledged(now)
    assert (word(), licensed()) == (expected, usable)


def test_a_license_that_starts_later_is_invalid_and_one_without_keys_waits(now, folder):
    make.license(now, iat=int(now.timestamp()) + 90_000)
    assert (word(), licensed()) == ("INVALID", False)
    call("DELETE")
    assert word() == "NONE"
    (folder / "jwks.json").unlink()
    call("POST", LICENSE, scripted(make.token(now)))
    assert (word(), licensed()) == ("INITIALIZE_ACTIVATION_COMPLETE", False)


def test_every_phase_has_its_word(now):
    def said(**changes: Any) -> str:
        usual = {"order_type": "paid", "applied_at": now, "checked": True}
        facts = Facts(**(usual | {"not_before": None, "ends_at": None} | changes))
        return state_at(facts, now).activation

    assert said() == "VALID"
    assert said(ends_at=now - DAY) == "GRACE"
    assert said(ends_at=now - 91 * DAY) == "ENFORCED"
    assert said(not_before=now + DAY) == "INVALID"
    assert said(checked=False) == "INITIALIZE_ACTIVATION_COMPLETE"
