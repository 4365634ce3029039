"""``/api/platform/v1/metrics``: what Prometheus reads is what the pages show."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.conf import settings
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from audit.models import Record
from common import setup
from common.models import Via
from egress.models import Attempt
from licensing import connection, services
from licensing.models import License
from licensing.states import PHASES
from nms_admin import basic
from telemetry import catalog, delivery, processes
from telemetry.services import record, worked
from tests import make
from tests.conftest import PASSWORD
from tests.usage.conftest import used
from usage import reports
from usage.models import Report

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("finished", "vera")]
METRICS = "/api/platform/v1/metrics"
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _noon(now, settings, tmp_path):
    settings.NMS_DATA_DIR = tmp_path
    settings.NMS_JWKS_FILE = str(tmp_path / "jwks.json")
    basic._verified.clear()
    with time_machine.travel(now, tick=False):
        yield


def read(user: str = "vera"):
    pair = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
    return Client().get(METRICS, headers={"authorization": f"Basic {pair}"})


def figures() -> dict[str, float]:
    """Return every sample as Prometheus' own parser reads it, by name and label."""
    answer = read()
    assert answer.status_code == 200
    return {
        " ".join([one.name, *one.labels.values()]): one.value
        for family in text_string_to_metric_families(answer.content.decode())
        for one in family.samples
    }


def phase(found: dict[str, float]) -> str:
    """Return the one phase that is 1; every other one is there, and 0."""
    each = {name: found[f"nms_license_phase {name}"] for name in PHASES}
    assert sorted(each.values()) == [0] * (len(PHASES) - 1) + [1]
    return max(each, key=each.__getitem__)


def midnight(day: str) -> float:
    """Return the moment a UTC day is over."""
    return (datetime.fromisoformat(day).replace(tzinfo=UTC) + DAY).timestamp()


def everything_happened(now: datetime) -> None:
    """A worker that worked, a try that ended, a batch that was accepted."""
    processes.started("integrations", now)
    worked("integrations", now)
    record(catalog.LOGIN, now=now)
    batch = delivery.seal(now)
    assert batch
    Attempt.objects.create(
        kind="batch",
        item=str(batch.pk),
        destination="telemetry",
        host="localhost:8001",
        size=0,
        choice=0,
        started_at=now,
        finished_at=now,
        outcome="accepted",
    )


def disconnect() -> None:
    row = setup.current()
    row.operation_mode = "disconnected"
    row.save()


def test_without_a_license_there_is_a_phase_and_no_date():
    found = figures()
    assert phase(found) == "none"
    assert found["nms_license_warn_stage"] == 0
    assert found["nms_license_provisional"] == 0
    assert found["nms_continuous_connection"] == 1
    assert not [
        name
        for name in found
        if "timestamp" in name or name.startswith("nms_entitlement")
    ]


def test_a_valid_license_names_the_end_of_its_last_day_and_of_grace(now):
    make.license(now, days=200)
    found = figures()
    state = services.state(now)
    assert phase(found) == state.phase == "valid"
    assert found["nms_license_end_timestamp_seconds"] == midnight("2027-06-11")
    assert found["nms_license_grace_end_timestamp_seconds"] == midnight("2027-09-09")
    assert str(state.ends_on) == "2027-06-11"
    assert found["nms_license_warn_stage"] == 0
    assert "nms_usage_report_due_timestamp_seconds" not in found, "none was accepted"


@pytest.mark.parametrize(("days", "stage"), [(61, 0), (60, 60), (30, 30), (7, 7)])
def test_the_stage_of_warning_is_that_of_the_notices(now, days, stage):
    make.license(now, days=days)
    assert figures()["nms_license_warn_stage"] == stage
    assert (services.state(now).warn_stage or 0) == stage


def test_a_trial_has_no_grace(now):
    make.license(now, f5_order_type="eval")
    found = figures()
    assert found["nms_license_end_timestamp_seconds"] == midnight("2026-12-23")
    assert "nms_license_grace_end_timestamp_seconds" not in found


def test_a_license_without_an_end_has_no_date(now):
    make.license(now, f5_sat=None)
    found = figures()
    assert phase(found) == "valid"
    assert "nms_license_end_timestamp_seconds" not in found


@pytest.mark.parametrize(("later", "word"), [(100, "grace"), (150, "expired")])
def test_in_grace_and_expired_the_dates_stay(now, later, word):
    make.license(now, days=50)
    with time_machine.travel(now + later * DAY, tick=False):
        found = figures()
    assert phase(found) == word
    assert found["nms_license_end_timestamp_seconds"] == midnight("2027-01-12")
    assert found["nms_license_grace_end_timestamp_seconds"] == midnight("2027-04-12")
    assert found["nms_license_warn_stage"] == 0


def test_a_license_that_waits_for_keys_says_so(now):
    without_keys(now)
    assert phase(figures()) == "waiting"


def test_a_first_disconnected_activation_is_provisional_and_due_in_90_days(now):
    disconnect()
    without_keys(now)
    found = figures()
    assert phase(found) == "valid"
    assert found["nms_license_provisional"] == 1
    due = found["nms_usage_report_due_timestamp_seconds"]
    assert due == midnight("2027-02-21")
    assert datetime.fromtimestamp(due - 1, UTC).date() == now.date() + 90 * DAY
    assert "nms_usage_report_last_accepted_timestamp_seconds" not in found


def test_an_accepted_report_names_when_and_the_next_by_180_days(now):
    make.license(now)
    reports.send(by="ada", via=Via.SETTINGS, now=now)
    Report.objects.update(accepted_at=now)
    found = figures()
    accepted = found["nms_usage_report_last_accepted_timestamp_seconds"]
    assert accepted == now.timestamp()
    assert found["nms_usage_report_due_timestamp_seconds"] == midnight("2027-05-22")


def test_limit_and_use_stand_by_feature_and_what_nobody_measured_is_left_out(now):
    found = make.license(now)
    found.entitlements.create(feature="NGINX_INSTANCES", limit=2)
    found.entitlements.create(feature="IC_PODS", unlimited=True)
    found.entitlements.create(feature="SUCCESSFUL_API_CALLS_MILLIONS", limit=5)
    assert "nms_entitlement_used NGINX_INSTANCES" not in figures()
    used(now.date(), 3, hours=12)
    seen = figures()
    assert seen["nms_entitlement_limit NGINX_INSTANCES"] == 2
    assert seen["nms_entitlement_used NGINX_INSTANCES"] == 3
    assert seen["nms_entitlement_used IC_PODS"] == 0
    assert "nms_entitlement_limit IC_PODS" not in seen, "it is unlimited"
    assert seen["nms_entitlement_limit SUCCESSFUL_API_CALLS_MILLIONS"] == 5
    assert "nms_entitlement_used SUCCESSFUL_API_CALLS_MILLIONS" not in seen


def test_a_strange_feature_name_is_one_label_and_no_second_line(now):
    name = 'x"} 1\\n\nnms_license_phase{phase="valid'
    make.license(now).entitlements.create(feature=name, limit=7)
    found = figures()
    assert found[f"nms_entitlement_limit {name}"] == 7
    assert phase(found) == "valid"


def test_the_choice_counts_at_the_next_reading(now):
    connection.set_choice(on=False, by="ada", via=Via.SETTINGS, now=now)
    assert figures()["nms_continuous_connection"] == 0
    connection.set_choice(on=True, by="ada", via=Via.SETTINGS, now=now)
    assert figures()["nms_continuous_connection"] == 1


def test_nobody_reads_it_without_an_account_and_no_cache_keeps_it():
    assert Client().get(METRICS).status_code == 401
    answer = read()
    assert answer["Cache-Control"] == "no-store"
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_it_tells_no_subscription_name_host_or_token(now, settings):
    found = make.license(now)
    found.entitlements.create(feature="NGINX_INSTANCES", limit=2)
    used(now.date(), 3, hours=12)
    reports.send(by="ada", via=Via.SETTINGS, now=now)
    text = read().content.decode()
    secrets = (
        found.subscription_id,
        found.token_id,
        found.digest,
        str(Report.objects.get().pk),
        "marked-",
        "vera",
        "localhost",
        "eyJ",
    )
    assert not [one for one in secrets if one and one in text]


def test_reading_it_calls_nobody_and_writes_nothing(now):
    make.license(now)
    used(now.date(), 3, hours=12)
    read()  # who asks was verified: that is an event like any sign-in
    before = Record.objects.count(), Report.objects.count()
    with CaptureQueriesContext(database) as asked:
        assert read().status_code == 200
    assert [one["sql"] for one in asked if not one["sql"].startswith("SELECT")] == []
    assert (Record.objects.count(), Report.objects.count()) == before
    assert not Attempt.objects.exists()


def test_two_readings_are_the_same_and_leave_nothing_in_the_process(now):
    make.license(now)
    assert read().content == read().content
    assert not [one.name for one in REGISTRY.collect() if one.name.startswith("nms_")]


def test_every_metric_is_documented_and_no_alert_names_another(now):
    found = make.license(now, days=20)
    found.entitlements.create(feature="NGINX_INSTANCES", limit=2)
    used(now.date(), 3, hours=12)
    reports.send(by="ada", via=Via.SETTINGS, now=now)
    Report.objects.update(accepted_at=now)
    everything_happened(now)
    given = {name.split()[0] for name in figures()}
    page = (settings.BASE_DIR / "docs" / "operations.md").read_text()
    assert given == set(re.findall(r"^\| `(nms_\w+)[{`]", page, re.M))
    rules = "".join(re.findall(r"```yaml\n(.*?)```", page, re.S))
    watched = set(re.findall(r"\bnms_\w+", rules))
    assert len(watched) == 5
    assert watched <= given


def without_keys(now) -> License:
    content = make.token(now).encode()
    return services.apply_license(content=content, by="ada", via=Via.SETTINGS, now=now)
