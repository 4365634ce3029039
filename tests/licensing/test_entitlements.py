"""What a license entitles to: asked when somebody added it, then daily, and shown."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import time_machine

from audit.models import Record
from common import setup
from common.models import Via
from egress.models import Attempt
from licensing import entitlements, services, tasks
from licensing.models import License
from nms_admin.celery import app
from sandbox.faults import parse_rules
from sandbox.server import Sandbox
from tests import make
from tests.outbound import connections

pytestmark = pytest.mark.django_db
PATH = "/ee/v1/entitlements"
CHANGED = "license.entitlements_changed"


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as started:
        yield started


@pytest.fixture
def vendor(box, settings):
    settings.NMS_ENTITLEMENTS_URL = f"http://localhost:{box.vendor.port}{PATH}"
    box.faults.set([])
    box.store.reset()
    return box


def arrivals(vendor: Sandbox) -> list[object]:
    return list(vendor.store.arrivals(host="vendor", prefix=PATH))


def fails(vendor: Sandbox, mode: str, **args: object) -> None:
    rule = {"path": PATH, "mode": mode, "times": None, "args": args}
    vendor.faults.set(parse_rules([rule]))


def fetch(now, **later: float) -> bool:
    found = services.current()
    assert found is not None
    return entitlements.fetch(found.pk, lambda: now + timedelta(**later))


def test_what_the_vendor_answers_is_stored(finished, vendor, now):
    found = make.license(now)
    assert fetch(now)
    found.refresh_from_db()
    assert found.entitlements_at == now
    rows = {row.feature: row for row in found.entitlements.all()}
    assert len(rows) == 9
    assert rows["NGINX_INSTANCES"].limit > 0
    assert any(row.unlimited for row in rows.values())


def test_the_license_travels_in_the_header_only(finished, vendor, now):
    make.license(now)
    fetch(now)
    (request,) = vendor.store.arrivals(host="vendor", prefix=PATH)
    assert (request.method, request.body) == ("GET", b"")
    headers = {name.lower(): value for name, value in request.headers}
    assert headers["authorization"].startswith("Bearer eyJ")
    assert "eyJ" not in request.path


def test_each_try_is_in_the_ledger_and_in_the_chain(finished, vendor, now):
    make.license(now)
    fetch(now)
    attempt = Attempt.objects.get(kind="entitlements")
    assert (attempt.outcome, attempt.status) == (Attempt.Outcome.ACCEPTED, 200)
    assert Record.objects.filter(subject=f"entitlements {attempt.item}").count() == 1


def test_it_goes_on_with_continuous_connection_off(finished, vendor, now):
    make.license(now)
    services.set_connection(on=False, by="ada", via=Via.SETTINGS, now=now)
    assert fetch(now)


def test_once_fetched_nothing_more_is_asked(finished, vendor, now):
    make.license(now)
    fetch(now)
    assert not fetch(now, minutes=5)
    with time_machine.travel(now + timedelta(minutes=5), tick=False):
        tasks.sweep()
    assert len(arrivals(vendor)) == 1


def test_nothing_is_asked_before_set_up_is_finished(db, vendor, now):
    make.license(now)
    with connections() as seen:
        assert not fetch(now)
    assert seen == []


def test_nothing_is_asked_in_disconnected_mode(finished, vendor, now):
    row = setup.current()
    row.operation_mode = "disconnected"
    row.save()
    make.license(now)
    with connections() as seen:
        assert not fetch(now)
    assert seen == []


def test_nothing_is_asked_without_an_address(finished, settings, now):
    settings.NMS_ENTITLEMENTS_URL = ""
    make.license(now)
    with connections() as seen:
        assert not fetch(now)
    assert seen == []


def test_nothing_is_asked_for_a_license_that_waits_for_keys(finished, vendor, now):
    content = make.token(now).encode()
    services.apply_license(content=content, by="ada", via=Via.SETTINGS, now=now)
    assert not fetch(now)
    assert arrivals(vendor) == []


def test_nothing_is_asked_for_a_license_that_ended(finished, vendor, now):
    found = make.license(now)
    services.terminate(
        confirmation=make.SUBSCRIPTION, by="ada", via=Via.SETTINGS, now=now
    )
    assert not entitlements.fetch(found.pk, lambda: now)
    assert arrivals(vendor) == []


def test_a_failure_stands_on_the_license_and_is_tried_again(finished, vendor, now):
    found = make.license(now)
    fails(vendor, "status", status=503)
    assert not fetch(now)
    found.refresh_from_db()
    assert "503" in found.entitlements_error
    assert not fetch(now), "the gate is closed"
    assert len(arrivals(vendor)) == 1
    vendor.faults.set([])
    assert fetch(now, minutes=2)
    found.refresh_from_db()
    assert (found.entitlements_error, found.entitlements.count()) == ("", 9)


@pytest.mark.parametrize("mode", ["html", "empty", "array", "gzip_bomb", "truncated"])
def test_what_is_no_list_of_entitlements_is_not_taken(finished, vendor, now, mode):
    found = make.license(now)
    fails(vendor, mode)
    assert not fetch(now)
    found.refresh_from_db()
    assert found.entitlements_error
    assert found.entitlements_at is None
    assert not found.entitlements.exists()


@pytest.mark.parametrize("status", [400, 401, 403, 409, 422])
def test_after_a_refusal_nothing_is_asked_by_itself(finished, vendor, now, status):
    found = make.license(now)
    fails(vendor, "status", status=status)
    assert not fetch(now)
    assert entitlements.stopped(found)
    vendor.faults.set([])
    assert not fetch(now, hours=30)
    assert len(arrivals(vendor)) == 1


def test_somebody_may_ask_again_after_a_refusal(finished, vendor, now):
    found = make.license(now)
    fails(vendor, "status", status=401)
    fetch(now)
    vendor.faults.set([])
    entitlements.try_again(now)
    assert not entitlements.stopped(found)
    assert fetch(now, seconds=1)


def test_another_license_is_asked_for_at_once_after_a_refusal(finished, vendor, now):
    make.license(now)
    fails(vendor, "status", status=401)
    fetch(now)
    vendor.faults.set([])
    make.license(now + timedelta(minutes=1), sub="SBX-22222222")
    assert fetch(now, minutes=1)


def test_the_sweep_goes_on_with_an_activation(finished, vendor, now):
    make.license(now)
    app.tasks["licensing.tasks.sweep"].apply(throw=True)
    assert services.current().entitlements.count() == 9


def test_the_task_knows_the_license_by_its_number_only(finished, vendor, now):
    found = make.license(now)
    assert app.tasks["licensing.tasks.activate"].apply(args=[found.pk]).get() is True
    assert app.tasks["licensing.tasks.activate"].apply(args=[found.pk + 1]).get() is (
        False
    )


def answers(vendor: Sandbox, rows: list[dict[str, object]], renewed: object) -> None:
    body = {"entitlements": rows, "renewedLicense": renewed}
    fails(vendor, "status", status=200, body=json.dumps(body))


def connect(now, *, on: bool) -> None:
    services.set_connection(on=on, by="ada", via=Via.SETTINGS, now=now)


def test_with_continuous_connection_on_it_is_asked_again_a_day_later(
    finished, vendor, now
):
    make.license(now)
    connect(now, on=True)
    fetch(now)
    assert not fetch(now, hours=23)
    assert fetch(now, hours=24)
    assert not Record.objects.filter(action=CHANGED).exists()
    assert fetch(now, hours=1), "the clock ran back behind the last answer"


def test_with_continuous_connection_off_it_is_not_asked_again(finished, vendor, now):
    make.license(now)
    connect(now, on=False)
    fetch(now)
    assert not fetch(now, days=3)
    assert len(arrivals(vendor)) == 1


def test_an_amendment_is_taken_and_the_audit_log_says_what_changed(
    finished, vendor, now
):
    found = make.license(now)
    connect(now, on=True)
    rows: list[dict[str, object]] = [{"name": "NGINX_INSTANCES", "limit": 60}]
    answers(vendor, rows, None)
    fetch(now)
    rows[0]["limit"] = 80
    answers(vendor, [*rows, {"name": "NGINX_NAP", "unlimited": True}], None)
    fetch(now, days=1)
    assert found.entitlements.get(feature="NGINX_INSTANCES").limit == 80
    record = Record.objects.get(action=CHANGED)
    assert record.subject == make.SUBSCRIPTION
    assert record.details == {
        "NGINX_INSTANCES": "60 to 80",
        "NGINX_NAP": "none to not limited",
    }


def test_a_failed_refresh_leaves_what_was_known(finished, vendor, now):
    found = make.license(now)
    connect(now, on=True)
    fetch(now)
    fails(vendor, "html")
    assert not fetch(now, days=1)
    assert found.entitlements.count() == 9
    vendor.faults.set([])
    assert fetch(now, days=1, hours=2)


def test_a_refused_refresh_is_on_the_page_and_can_be_tried_again(
    client, ada, finished, vendor, now
):
    make.license(now)
    connect(now, on=True)
    fetch(now)
    fails(vendor, "status", status=401)
    assert not fetch(now, days=1)
    with time_machine.travel(now + timedelta(days=1), tick=False):
        client.force_login(ada)
        page = client.get("/ui/settings/license").content.decode()
    assert "Its entitlements are not asked for again by themselves" in page
    vendor.faults.set([])
    with time_machine.travel(now + timedelta(days=1, minutes=1)):
        client.post("/ui/settings/license/activation/again")
    assert fetch(now, days=1, minutes=2)


def test_a_refused_refresh_is_no_news_once_the_connection_is_off(
    client, ada, finished, vendor, now
):
    make.license(now)
    connect(now, on=True)
    fetch(now)
    fails(vendor, "status", status=401)
    assert not fetch(now, days=1)
    later = now + timedelta(days=1, minutes=1)
    connect(later, on=False)
    with time_machine.travel(later, tick=False):
        client.force_login(ada)
        page = client.get("/ui/settings/license").content.decode()
        said = client.post("/ui/settings/license/activation/again", follow=True)
    assert "not asked for again by themselves" not in page
    assert "within a minute" not in said.content.decode()


def test_a_renewed_license_in_the_answer_takes_effect(finished, vendor, now):
    old = make.license(now, days=20)
    connect(now, on=True)
    fetch(now)
    later = now + timedelta(days=1)
    renewed = make.token(later + timedelta(hours=12), 365)
    answers(vendor, [{"name": "NGINX_INSTANCES", "limit": 60}], renewed)
    assert fetch(now, days=1)
    found = services.current()
    assert found.pk > old.pk
    assert services.state(later).days_left > 300
    assert [one.limit for one in found.entitlements.all()] == [60]
    assert found.via == Via.SYSTEM
    assert Record.objects.filter(action="license.replaced").count() == 1
    old.refresh_from_db()
    assert old.ended_reason == "replaced"
    assert not fetch(now, days=1, minutes=5), "nothing is asked anew"


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "SBX-22222222"},
        {"iat": 1_500_000_000},
        {"f5_sat": 1_800_000_000},
        {"key": make.private_key("stranger")},
        {"aud": "urn:f5:other"},
    ],
    ids=["other subscription", "older", "ends earlier", "not signed", "audience"],
)
def test_what_is_no_renewal_changes_nothing(finished, vendor, now, changes):
    old = make.license(now, days=300)
    answers(vendor, [], make.token(now + timedelta(hours=12), 365, **changes))
    assert fetch(now)
    assert services.current() == old
    assert License.objects.count() == 1
