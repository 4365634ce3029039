"""Telling the vendor of a termination: only when selected, until it answers, shown."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from audit.models import Record
from common import setup
from common.models import Via
from licensing import services, tasks, terminate_notice
from licensing.models import TerminateNotice
from nms_admin import basic
from sandbox.faults import parse_rules
from sandbox.server import Sandbox
from tests import make
from tests.licensing.test_api import LICENSE, call
from tests.outbound import connections

pytestmark = pytest.mark.django_db
PAGE = "/ui/settings/license"
PATH = "/ee/v1/licenses/terminate"


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as started:
        yield started


@pytest.fixture
def vendor(box, settings):
    settings.NMS_TERMINATE_URL = f"http://localhost:{box.vendor.port}{PATH}"
    box.faults.set([])
    box.store.reset()
    return box


@pytest.fixture
def browser(signed_in, ada, now):
    with time_machine.travel(now, tick=False):
        yield signed_in(ada)


def fails(vendor: Sandbox, mode: str, **args: object) -> None:
    rule = {"path": PATH, "mode": mode, "times": None, "args": args}
    vendor.faults.set(parse_rules([rule]))


def arrivals(vendor: Sandbox) -> list[Any]:
    return list(vendor.store.arrivals(host="vendor", prefix=PATH))


def deliver(now, **later: float) -> int:
    return terminate_notice.deliver(lambda: now + timedelta(**later))


def terminate(now, *, tell: bool = True) -> None:
    services.terminate(
        confirmation=make.SUBSCRIPTION, by="ada", via=Via.SETTINGS, now=now, tell=tell
    )


def words(response: Any) -> str:
    return " ".join(re.sub("<[^>]+>", " ", response.content.decode()).split())


def test_what_somebody_selected_on_the_page_is_told(browser, vendor, now):
    make.license(now)
    assert 'name="tell" value="1">' in browser.get(PAGE).content.decode()
    browser.post(f"{PAGE}/terminate", {"confirm": make.SUBSCRIPTION, "tell": "1"})
    assert "is not told yet. It is within a minute." in words(
        browser.get(f"{PAGE}/history")
    )
    assert deliver(now) == 1
    (request,) = arrivals(vendor)
    assert json.loads(request.body) == {
        "documentType": "nms-termination",
        "documentVersion": "1",
        "subscriptionId": make.SUBSCRIPTION,
        "terminatedAt": "2026-11-23T12:00:00Z",
    }
    headers = {name.lower(): value for name, value in request.headers}
    assert headers["authorization"].startswith("Bearer eyJ")
    assert "was told 23 Nov 2026" in words(browser.get(f"{PAGE}/history"))
    assert Record.objects.get(action="license.terminated").details == {"tell": True}
    assert deliver(now, minutes=5) == 0


def test_nothing_is_told_unless_it_was_selected(browser, vendor, now):
    make.license(now)
    assert 'name="tell" value="1" checked' not in browser.get(PAGE).content.decode()
    browser.post(f"{PAGE}/terminate", {"confirm": make.SUBSCRIPTION})
    assert deliver(now) == 0
    assert arrivals(vendor) == []
    assert not TerminateNotice.objects.exists()


def test_it_goes_on_with_continuous_connection_off(finished, vendor, now):
    make.license(now)
    terminate(now)
    services.set_connection(on=False, by="ada", via=Via.SETTINGS, now=now)
    assert deliver(now) == 1


@pytest.mark.both_databases
def test_each_try_says_the_same_under_the_same_key(finished, vendor, now):
    make.license(now)
    terminate(now)
    fails(vendor, "status", status=503)
    assert deliver(now) == 0
    assert "It answered 503." in TerminateNotice.objects.get().error
    assert deliver(now, seconds=1) == 0, "the gate is closed"
    vendor.faults.set([])
    assert deliver(now, hours=2) == 1
    first, second = arrivals(vendor)
    assert first.body == second.body
    keys = [dict(one.headers)["Idempotency-Key"] for one in (first, second)]
    assert keys[0] == keys[1]


@pytest.mark.both_databases
def test_it_goes_on_beside_the_next_license(finished, vendor, now):
    make.license(now)
    terminate(now)
    make.license(now, sub="SBX-22222222")
    assert deliver(now) == 1
    (request,) = arrivals(vendor)
    assert json.loads(request.body)["subscriptionId"] == make.SUBSCRIPTION


@pytest.mark.parametrize("status", [400, 401, 403, 413, 422])
def test_a_refusal_ends_it_and_is_shown(browser, vendor, now, status):
    make.license(now)
    terminate(now)
    fails(vendor, "status", status=status)
    assert deliver(now) == 0
    vendor.faults.set([])
    assert deliver(now, days=1) == 0
    assert len(arrivals(vendor)) == 1
    shown = words(browser.get(f"{PAGE}/history"))
    assert "was not told." in shown
    assert f"({status})" in shown


@pytest.mark.parametrize("mode", ["html", "array", "reset"])
def test_what_is_no_acceptance_is_tried_again(finished, vendor, now, mode):
    make.license(now)
    terminate(now)
    fails(vendor, mode)
    assert deliver(now) == 0
    assert TerminateNotice.objects.open().get().error
    vendor.faults.set([])
    assert deliver(now, hours=2) == 1


def test_after_30_days_without_an_answer_it_ends(finished, vendor, now):
    make.license(now)
    terminate(now)
    fails(vendor, "reset")
    assert deliver(now) == 0
    assert deliver(now, days=31) == 0
    assert "did not answer in 30 days" in TerminateNotice.objects.get().error
    assert not TerminateNotice.objects.open().exists()


def test_without_an_address_the_page_says_why_and_nothing_is_sent(
    browser, settings, now
):
    settings.NMS_TERMINATE_URL = ""
    make.license(now)
    shown = browser.get(f"{PAGE}/terminate").content.decode()
    assert "F5 has not published how to tell it" in shown
    assert 'name="tell"' not in shown
    with connections() as seen:
        browser.post(f"{PAGE}/terminate", {"confirm": make.SUBSCRIPTION, "tell": "1"})
        deliver(now)
    assert seen == []
    assert services.current() is None
    assert not TerminateNotice.objects.exists()


def test_a_disconnected_server_tells_nobody(browser, vendor, now):
    make.license(now)
    terminate(now)
    row = setup.current()
    row.operation_mode = "disconnected"
    row.save()
    with connections() as seen:
        assert deliver(now) == 0
    assert seen == []
    make.license(now)
    assert "disconnected, so F5 is not told" in words(browser.get(f"{PAGE}/terminate"))


def test_a_license_nobody_verified_is_not_shown_to_the_vendor(browser, vendor, now):
    content = make.token(now).encode()
    services.apply_license(content=content, by="ada", via=Via.SETTINGS, now=now)
    assert "never verified, so F5 is not told" in words(
        browser.get(f"{PAGE}/terminate")
    )


def test_the_sweep_tells(finished, vendor, now):
    make.license(now)
    terminate(now)
    with time_machine.travel(now, tick=False):
        tasks.sweep()
    assert len(arrivals(vendor)) == 1


def test_the_api_tells_when_it_is_asked_to(finished, ada, vendor, settings, now):
    basic._verified.clear()
    with time_machine.travel(now, tick=False):
        make.license(now)
        assert call("DELETE", f"{LICENSE}?notify=perhaps").status_code == 400
        assert call("DELETE", f"{LICENSE}?notify=true").status_code == 202
        assert TerminateNotice.objects.open().count() == 1
        make.license(now, sub="SBX-22222222")
        settings.NMS_TERMINATE_URL = ""
        refused = call("DELETE", f"{LICENSE}?notify=true")
        assert refused.status_code == 409
        assert "not published" in refused.json()["message"]
        assert services.current() is not None
        assert call("DELETE", LICENSE).status_code == 202
    assert TerminateNotice.objects.count() == 1
