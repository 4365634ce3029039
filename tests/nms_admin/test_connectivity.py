"""Settings > Connectivity: asked by a person, run by a worker, shown to everybody."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from threading import Barrier, Thread

import pytest
import time_machine
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from audit.models import Record
from egress import checks, destinations, firewall, gate, tasks
from egress.errors import TransientError
from egress.models import Attempt, CheckRun, Gate
from nms_admin import setup_code, side_checks
from sandbox.faults import parse_rules
from sandbox.server import Sandbox
from tests.conftest import PASSWORD
from tests.outbound import connections

PAGE = "/ui/settings/connectivity"


@pytest.fixture
def vendor(tmp_path: Path, settings) -> Iterator[Sandbox]:
    """The test receiver, and settings that lead to it."""
    with Sandbox(tmp_path / "sandbox") as box:
        base = f"http://localhost:{box.vendor.port}"
        settings.NMS_F5_API_URL = f"{base}/ee/v1"
        settings.NMS_F5_SECURE_API_URL = f"{base}/ee"
        settings.NMS_TELEMETRY_URL = f"{base}/ee/v1/telemetry"
        settings.NMS_ENTITLEMENTS_URL = f"{base}/ee/v1/entitlements"
        settings.NMS_JWKS_URL = f"{base}/ee/v1/keys/jwks"
        settings.NMS_TERMINATE_URL = f"{base}/ee/v1/licenses/terminate"
        yield box


def text(response) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def work() -> int:
    """Do what the sweep of a worker does."""
    return checks.run_waiting(timezone.now)


def test_results_older_than_the_failures_of_deliveries_say_so(
    vera, signed_in, vendor, now, settings
) -> None:
    asked = {"asked_by": "otto", "way": "direct, no proxy"}
    CheckRun.objects.create(asked_at=now, finished_at=now, **asked)
    host = destinations.find("telemetry").host
    Gate.objects.create(host=host, failures=1, closed_until=now)
    Attempt.objects.create(
        kind="batch",
        item="1",
        destination="telemetry",
        host=host,
        size=0,
        choice=0,
        started_at=now + timedelta(minutes=7),
        outcome="failed",
    )
    said = "Deliveries have failed since 23 Nov 2026, 12:07 UTC These results are older"
    assert said in text(signed_in(vera).get(PAGE))
    later = now + timedelta(minutes=8)
    CheckRun.objects.create(asked_at=later, finished_at=later, **asked)
    assert "These results are older" not in text(signed_in(vera).get(PAGE))


def test_before_anybody_asked_nothing_is_contacted(otto, signed_in, vendor) -> None:
    with connections() as seen:
        page = text(signed_in(otto).get(PAGE))
        assert work() == 0
    assert "Nothing is contacted before somebody selects Run checks." in page
    assert seen == []


@pytest.mark.django_db(transaction=True)
def test_run_checks_is_asked_in_the_page_and_run_by_a_worker(
    otto, signed_in, vendor
) -> None:
    client = signed_in(otto)
    with connections() as seen:
        assert client.post(f"{PAGE}/run")["Location"] == PAGE
    assert seen == []
    assert "Waiting" in text(client.get(PAGE))
    assert work() == 1
    page = text(client.get(PAGE))
    assert page.count("Reachable") == 2
    assert "404 as expected" in page
    assert "by otto · direct, no proxy" in page
    assert "product-s.apis.f5.com:443 Checked in live mode" in page
    assert [one.method for one in vendor.store.arrivals()] == ["HEAD", "HEAD"]


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(60)
def test_checks_run_once_however_many_workers_take_them(otto, signed_in, vendor):
    signed_in(otto).post(f"{PAGE}/run")
    number = CheckRun.objects.get().pk
    barrier, ran = Barrier(3), []

    def take() -> None:
        barrier.wait()
        ran.append(tasks.check(number))
        connection.close()

    threads = [Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(ran) == [False, False, True]
    assert work() == 0
    assert len(vendor.store.arrivals()) == 2


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_checks_run_beside_a_task_that_waits_for_an_answer(otto, signed_in, vendor):
    side_checks.watch()
    side_checks.task_begins()
    try:
        signed_in(otto).post(f"{PAGE}/run")
        end = time.monotonic() + 20
        while time.monotonic() < end and not CheckRun.objects.get().finished_at:
            time.sleep(0.1)
    finally:
        side_checks.task_ends()
    assert checks.state(CheckRun.objects.get(), timezone.now()) == "finished"
    assert work() == 0
    assert [one.method for one in vendor.store.arrivals()] == ["HEAD", "HEAD"]


def test_checks_beside_a_task_say_rarely_that_there_is_no_database(
    monkeypatch, caplog
) -> None:
    def away(_clock: object) -> None:
        raise OperationalError("timeout expired")

    monkeypatch.setattr(checks, "run_waiting", away)
    for _ in range(20):
        side_checks._run()
    assert [one.msg["times"] for one in caplog.records] == [1, 2, 4, 8, 16]


def test_checks_that_wait_longer_say_what_for(otto, signed_in, vendor) -> None:
    client = signed_in(otto)
    client.post(f"{PAGE}/run")
    assert "The checks wait" not in text(client.get(PAGE))
    with time_machine.travel(timezone.now() + timedelta(seconds=2)):
        page = text(client.get(PAGE))
    assert "The checks wait for the process integrations" in page
    assert "manage.py doctor" in page


def test_asking_twice_asks_once(otto, signed_in, vendor) -> None:
    client = signed_in(otto)
    client.post(f"{PAGE}/run")
    client.post(f"{PAGE}/run")
    assert CheckRun.objects.count() == 1
    actions = Record.objects.filter(action="connectivity.checked")
    assert [(one.actor, one.via) for one in actions] == [("otto", "settings")]


@pytest.mark.django_db(transaction=True)
def test_a_failure_says_what_happened_and_what_to_do(ada, signed_in, vendor, settings):
    settings.NMS_F5_SECURE_API_URL = "https://no-such-host.invalid/ee"
    client = signed_in(ada)
    client.post(f"{PAGE}/run")
    work()
    page = text(client.get(PAGE))
    assert "1 of 2 addresses failed" in page
    assert "The name no-such-host.invalid cannot be resolved." in page
    assert "Not reached" in page
    assert page.count("Not run") >= 4


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("mode", "pill"),
    [("html", "Reached, wrong answer"), ("reset", "Reached, no answer")],
)
def test_an_address_that_is_reached_and_fails_later_says_so(
    otto, signed_in, vendor, mode, pill
) -> None:
    vendor.faults.set(parse_rules([{"path": "/", "mode": mode}]))
    client = signed_in(otto)
    client.post(f"{PAGE}/run")
    work()
    page = text(client.get(PAGE))
    assert page.count(pill) == 2
    assert "Not reached" not in page


@pytest.mark.django_db(transaction=True)
def test_the_results_are_a_ticket_with_source_version_and_request(
    ada, signed_in, vendor, settings
) -> None:
    settings.NMS_F5_SECURE_API_URL = "http://127.0.0.1:1/ee"
    client = signed_in(ada)
    client.post(f"{PAGE}/run")
    work()
    shown = client.get(PAGE).content.decode()
    ticket = unescape(
        re.search(r'<pre id="results-text".*?>(.*?)</pre>', shown, re.S)[1]
    )
    assert f"admin {settings.VERSION}, connectivity checks" in ticket
    assert f"Source: {socket.gethostname()} 127.0.0.1" in ticket
    assert (
        "Ask: is TCP from 127.0.0.1 to 127.0.0.1:1 allowed, and not inspected?"
        in ticket
    )


@pytest.mark.django_db(transaction=True)
def test_the_page_follows_the_checks_and_then_stops_asking(otto, signed_in, vendor):
    client, htmx = signed_in(otto), {"HX-Request": "true"}
    shown = client.post(f"{PAGE}/run", headers=htmx).content.decode()
    address = re.search(r'hx-get="([^"]+)" hx-trigger="every 500ms"', shown)[1]
    assert client.get(address, headers=htmx).status_code == 204
    work()
    last = client.get(address, headers=htmx)
    assert last.status_code == 286
    assert "hx-get" not in last.content.decode()
    assert "The checks ended. All addresses are reached." in text(last)


def test_checks_nobody_took_within_five_minutes_are_never_run(otto, signed_in, vendor):
    client = signed_in(otto)
    client.post(f"{PAGE}/run")
    with time_machine.travel(timezone.now() + timedelta(minutes=5, seconds=1)):
        assert work() == 0
        page = text(client.get(PAGE))
    assert "The checks did not start" in page
    assert vendor.store.arrivals() == []


def test_a_worker_that_ended_is_named(otto, signed_in, vendor) -> None:
    client = signed_in(otto)
    client.post(f"{PAGE}/run")
    CheckRun.objects.update(started_at=timezone.now() - timedelta(minutes=3))
    assert "The checks broke off" in text(client.get(PAGE))


def test_disconnected_checks_are_off_until_somebody_wants_them_once(
    otto, signed_in, vendor, settings
) -> None:
    settings.NMS_OPERATION_MODE = "disconnected"
    client = signed_in(otto)
    page = text(client.get(PAGE))
    assert "Checks are off in disconnected mode" in page
    assert "Run once anyway" in page
    client.post(f"{PAGE}/run")
    assert CheckRun.objects.count() == 0
    client.post(f"{PAGE}/run", {"anyway": "1"})
    assert CheckRun.objects.count() == 1


def test_a_viewer_reads_the_results_and_cannot_run_them(vera, signed_in) -> None:
    page = text(signed_in(vera).get(PAGE))
    assert "Only an operator can run the checks" in page
    assert "Run checks" not in page.replace("selects Run checks", "")


def test_the_newest_twenty_runs_are_kept(otto, signed_in, vendor) -> None:
    client = signed_in(otto)
    for _ in range(22):
        client.post(f"{PAGE}/run")
        CheckRun.objects.update(started_at=timezone.now(), finished_at=timezone.now())
    assert CheckRun.objects.count() == 20


@pytest.mark.parametrize("kind", list(firewall.KINDS))
def test_each_firewall_has_its_tab_and_its_rules(vera, signed_in, kind) -> None:
    page = signed_in(vera).get(PAGE, {"firewall": kind})
    shown = page.content.decode()
    assert re.search(rf'id="firewall-{kind}"[^>]* aria-current="true"', shown)
    assert (
        "159.60.126.0/25" in re.search(r"<pre id=\"firewall.*?</pre>", shown, re.S)[0]
    )


def test_an_unknown_tab_shows_the_first(vera, signed_in) -> None:
    shown = signed_in(vera).get(PAGE, {"firewall": "<x>"}).content.decode()
    assert "nft insert rule" in shown


def test_with_the_batch_channel_its_address_is_shown_and_allowed(
    vera, signed_in, settings
) -> None:
    before = signed_in(vera).get(PAGE).content.decode()
    assert "product.connect.nginx.com" not in before
    settings.NMS_USAGE_CHANNEL = "batch"
    page = signed_in(vera).get(PAGE).content.decode()
    assert "<code>product.connect.nginx.com</code>" in page
    rules = re.search(r"<pre id=\"firewall.*?</pre>", page, re.S)[0]
    for address in ("3.133.232.50", "3.135.72.139", "52.14.85.249"):
        assert f"<code>{address}/32</code>" in page
        assert address in rules


def test_the_page_says_what_must_be_open_and_what_is_in_force(
    vera, signed_in, settings
) -> None:
    settings.NMS_PROXY_URL = "http://ada:pr0xy-secret@proxy.example:3128"
    page = text(signed_in(vera).get(PAGE))
    for words in ("product.apis.f5.com", "product-s.apis.f5.com/ee", "159.60.126.0/25"):
        assert words in page
    assert settings.NMS_DPM_BIND in page
    assert settings.NMS_COLLECTOR_URL in page
    assert "http://•••@proxy.example:3128" in page
    assert "pr0xy-secret" not in page


def test_the_page_shows_what_real_deliveries_met(vera, signed_in, now) -> None:
    host = destinations.find("telemetry").host
    ticket = gate.enter(host, now)
    gate.failed(ticket, TransientError("status_503", "It answered 503."), now)
    page = text(signed_in(vera).get(PAGE))
    assert "Waits It answered 503. Tried again now" in page


def test_a_delivery_that_waits_for_an_answer_runs_and_is_not_open(
    vera, signed_in
) -> None:
    since = timezone.now() - timedelta(seconds=30)
    attempt("usage", since)
    page = text(signed_in(vera).get(PAGE))
    assert f"Running Since {since:%H:%M} UTC , no answer yet" in page
    Attempt.objects.update(started_at=since - timedelta(minutes=5))  # its worker died
    assert "no answer yet" not in text(signed_in(vera).get(PAGE))


def test_deliveries_that_wait_for_another_one_name_it(vera, signed_in, now) -> None:
    host = destinations.find("telemetry").host
    attempt("usage-status", now, Attempt.Outcome.FAILED)
    error = TransientError("status_503", "It answered 503.")
    gate.failed(gate.enter(host, now), error, now)
    others = len(destinations.configured()) - 1
    page = text(signed_in(vera).get(PAGE))
    assert page.count(f"The last call to {host} failed (usage reports).") == others
    assert page.count("It answered 503.") == 1
    page = text(signed_in(vera).get("/ui/settings/telemetry"))
    assert "The last try failed" not in page


def attempt(destination: str, at: datetime, outcome: str = "") -> None:
    """Write down a try to deliver something to the host of all destinations."""
    Attempt.objects.create(
        kind="report",
        item="1",
        destination=destination,
        host=destinations.find("telemetry").host,
        size=0,
        choice=0,
        started_at=at,
        outcome=outcome,
    )


@pytest.mark.django_db(transaction=True)
def test_the_set_up_runs_the_same_checks_only_when_selected(vendor) -> None:
    client = Client()
    answers = {"code": setup_code.new_code(timezone.now()), "username": "ada"}
    answers |= {"password": PASSWORD, "time_zone": "UTC", "email": ""}
    client.post("/setup/1", answers)
    client.post("/setup/2", {"connection": "on"})
    assert "or select Run checks" in text(client.get("/setup/3"))
    assert work() == 0
    assert vendor.store.arrivals() == []
    assert client.post(f"{PAGE}/run")["Location"] == "/setup/3"
    vendor.faults.set(parse_rules([{"path": "/", "mode": "html"}]))
    assert work() == 1
    page = text(client.get("/setup/3"))
    assert "2 of 2 addresses failed" in page
    assert "Continue anyway" in page
    assert client.get(PAGE)["Location"] == "/setup/"
    assert Record.objects.get(action="connectivity.checked").via == "wizard"


def test_a_stranger_cannot_run_checks_during_the_set_up(db, vendor) -> None:
    assert Client().post(f"{PAGE}/run")["Location"].startswith("/login")
    assert CheckRun.objects.count() == 0
