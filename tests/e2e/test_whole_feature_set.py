"""Every line of the documented feature set, by browser and curl, over TLS."""

from __future__ import annotations

import hashlib
import io
import json
import re
import sqlite3
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from sandbox.app import BULK
from tests.browser import chromium
from tests.conftest import PASSWORD
from tests.dataplanes.agent import FakeAgent
from tests.e2e.console import Console, wait_for
from tests.licensing.test_reading import ENCODING, smime

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
SUBSCRIPTION = "SBX-00198432"
ADMIN = "marked-user-4f1d"
HOSTNAME = "marked-host-4f1d.example.net"
VERSION = "marked-version-4f1d"
CLUSTER = "9e2f1c4a-1111-4222-8333-444455556666"
AGENT = "0d4f3b52-6f0e-3b0e-9b44-0d9a4c8a5c11"


class Curl:
    """curl as an administrator's account uses it; bodies and statuses as they came."""

    def __init__(self, console: Console, ca: Path) -> None:
        self.console, self.ca = console, ca

    def __call__(
        self, method: str, path: str, body: object = None, *, user: str = ADMIN
    ) -> tuple[int, str]:
        words = ["curl", "-sS", "--cacert", str(self.ca), "-X", method]
        words += ["-w", "\n%{http_code}", self.console.base + path]
        if user:
            words += ["-u", f"{user}:{PASSWORD}"]
        if body is not None:
            text = body if isinstance(body, str) else json.dumps(body)
            words += ["-H", "Content-Type: application/json", "-d", text]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        text, _, status = said.rpartition("\n")
        return int(status), text

    def json(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        """Return the answer's body, which must be one line of JSON, and 2xx."""
        status, text = self(method, path, body, **more)
        assert 200 <= status < 300, (status, text)
        assert "\n" not in text
        return json.loads(text)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    """A fresh installation that speaks https by itself (line 12)."""
    console = Console(tmp_path / "data", tls=True, NMS_LOG_LEVEL="DEBUG")
    console.start()
    yield console
    console.stop()


def test_the_whole_feature_set(
    console: Console, browser: Browser, tmp_path: Path
) -> None:
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.set_default_timeout(10_000)
    curl = Curl(console, console.ca)
    token = console.manage("sandbox_license", "--subscription", SUBSCRIPTION).strip()

    set_up_without_a_license(page, console)
    an_old_event_and_young_ones_are_held(page, console, curl)
    the_license(page, console, curl, token, tmp_path)
    held_events_went_out_and_old_ones_did_not(page, console)
    the_data_points_are_on_the_page(page, console, curl)
    data_planes(page, console)
    product_usage(page, console, curl, token)
    the_usage_report(page, console, curl)
    off_and_on_again(page, console, curl)
    connectivity(page, console)
    interaction_data(page, console, browser)
    help_and_privacy(page, console)
    only_the_subscription_left(console)
    context.close()


def set_up_without_a_license(page: Page, console: Console) -> None:
    """Lines 10 and 12: the notice at provisioning; a browser over https."""
    page.goto(f"{console.base}/")
    page.get_by_label("Setup code").fill(console.setup_code())
    page.get_by_label("User name").fill(ADMIN)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Save and continue").click()
    expect(page.get_by_role("link", name="Opt out for all users")).to_be_visible()
    expect(page.get_by_role("link", name="F5 Privacy Notice").first).to_have_attribute(
        "href", "https://www.f5.com/company/policies/privacy-notice"
    )
    page.get_by_role("button", name="Save and continue").click()
    page.get_by_role("button", name="Save and continue").click()
    page.get_by_role("button", name="Skip for now").click()
    page.get_by_role("button", name="Open the console").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    cookies = {one["name"]: one for one in page.context.cookies()}
    assert cookies["__Host-nms-session"]["secure"]


def an_old_event_and_young_ones_are_held(
    page: Page, console: Console, curl: Curl
) -> None:
    """Line 7, first half; one event is made to look 25 hours old."""
    assert curl.json("GET", "/api/platform/v1/userinfo")["username"] == ADMIN
    page.goto(f"{console.base}/ui/settings/telemetry")
    expect(page.get_by_text("Held until a license is added")).to_be_visible()
    with sqlite3.connect(console.folder / "nms-admin.sqlite3", timeout=20) as database:
        old = datetime.now(UTC) - timedelta(hours=25)
        database.execute(
            "UPDATE telemetry_event SET occurred_at = ? WHERE data_point = "
            "'installation'",
            [f"{old:%Y-%m-%d %H:%M:%S}"],
        )
    assert console.sandbox.arrivals("vendor") == []


def the_license(
    page: Page, console: Console, curl: Curl, token: str, folder: Path
) -> None:
    """Lines 1 and 2: S/MIME is recognised, a broken JWT refused, a good one taken."""
    page.goto(f"{console.base}/ui/settings/license")
    page.get_by_role("link", name="Get Started").click()
    (folder / "broken.jwt").write_text(token[:-20] + "A" * 20)
    page.locator("input[type=file]").set_input_files(folder / "broken.jwt")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("signature").first).to_be_visible()
    (folder / "old.lic").write_bytes(smime(ENCODING.DER))
    page.locator("input[type=file]").set_input_files(folder / "old.lic")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Signature not checked")).to_be_visible()
    status, said = curl("POST", "/api/platform/v1/license", wanted(token))
    assert (status, "already registered" in said) == (409, True)
    status, _ = curl("PUT", "/api/platform/v1/license?telemetry=true", wanted(token))
    assert status == 200
    page.goto(f"{console.base}/ui/settings/license")
    expect(page.get_by_text(SUBSCRIPTION).first).to_be_visible()
    license_now = curl.json("GET", "/api/platform/v1/license")
    assert token not in json.dumps(license_now)
    assert license_now["currentStatus"]["subscription"]["id"] == SUBSCRIPTION
    assert curl.json("GET", "/api/platform/v1/modules/licensed") == {"licensed": True}


def wanted(token: str) -> dict[str, Any]:
    state = {"content": token, "type": "JWT"}
    return {"metadata": {"name": "license"}, "desiredState": state}


def held_events_went_out_and_old_ones_did_not(page: Page, console: Console) -> None:
    """Line 7, second half."""
    wait_for(lambda: sent_points(console), 40, "held events are at the sandbox")
    assert "process_start" in sent_points(console)
    assert "installation" not in sent_points(console)
    page.goto(f"{console.base}/ui/settings/telemetry")
    expect(page.get_by_text("waited too long").first).to_be_visible()


def the_data_points_are_on_the_page(page: Page, console: Console, curl: Curl) -> None:
    """Line 3: each with trigger and purpose; an API client's sign-in counts."""
    page.goto(f"{console.base}/ui/settings/telemetry")
    for label in ("Installation", "Login", "Adding Data Plane(s)", "Product Usage"):
        expect(page.get_by_text(label, exact=True).first).to_be_visible()
    before = sent_points(console).count("login")
    assert before >= 2, "the administrator and the API client"


def sent_points(console: Console) -> list[str]:
    """Return the data points of everything the sandbox got, in order."""
    return [
        record["dataPoint"]
        for one in console.sandbox.arrivals("vendor", "/ee/v1/telemetry")
        for record in json.loads(one["body"])["telemetryRecords"]
    ]


def data_planes(page: Page, console: Console) -> None:
    """Line 4: a token, an agent over TLS, one event, also after removal."""
    page.goto(f"{console.base}/ui/data-planes")
    page.get_by_role("link", name="Issue a token").first.click()
    page.get_by_label("Name", exact=True).fill("fleet one")
    page.get_by_role("button", name="Issue token").click()
    token = page.locator("#agent-token").inner_text().strip()
    agent = register(console, token)
    page.goto(f"{console.base}/ui/data-planes")
    expect(page.locator("#data-planes tbody").get_by_text("Reporting")).to_be_visible()
    wait_for(lambda: "data_plane_added" in sent_points(console), 40, "the event")
    agent.stop()
    page.get_by_role("link", name=re.compile("^Remove")).first.click()
    page.get_by_role("button", name=re.compile("^Remove")).first.click()
    agent = register(console, token)
    page.goto(f"{console.base}/ui/data-planes")
    expect(page.locator("#data-planes tbody").get_by_text("Reporting")).to_be_visible()
    agent.stop()
    assert sent_points(console).count("data_plane_added") == 1


def register(console: Console, token: str) -> FakeAgent:
    agent = FakeAgent(
        console.agents, AGENT, token, root_certificates=console.ca.read_bytes()
    )
    agent.start()
    assert agent.registered(20)
    return agent


def product_usage(page: Page, console: Console, curl: Curl, token: str) -> None:
    """Line 5: NGINX Plus and a cluster report; once each; bars and plot."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    said = plus_report(hour - timedelta(hours=1), hour)
    for _ in range(2):
        assert post_usage(console, token, said) in (200, 204)
    assert post_usage(console, token, said | {"end_time": 0}) == 400
    pods = {"pod_count": 7, "waf_count": 2, "dos_count": 1}
    cluster = {
        "metadata": {"displayName": HOSTNAME, "uid": CLUSTER},
        "pod_details": {"current_pod_counts": pods},
        "node_count": 3,
    }
    status, _ = curl("PUT", f"/api/platform/v1/k8s-usage/{CLUSTER}", cluster)
    assert status == 200
    page.goto(f"{console.base}/ui/nginx-usage")
    expect(page.get_by_text(HOSTNAME).first).to_be_visible()
    expect(
        page.get_by_role("img", name=re.compile("NGINX instances")).first
    ).to_be_visible()
    page.goto(f"{console.base}/ui/settings/license")
    bar = page.get_by_role("img", name=re.compile("pods: 7 of|NGINX instances: 1 of"))
    expect(bar.first).to_be_visible()


def plus_report(start: datetime, end: datetime) -> dict[str, Any]:
    flow = {"received": 1000, "sent": 5000}
    return {
        "version": VERSION,
        "uuid": "5a3b9c1e0d2f4a6b8c7d9e0f1a2b3c4d",
        "nap": "active",
        "http": {"client": flow | {"requests": 17}, "upstream": flow},
        "stream": {"client": flow, "upstream": flow},
        "workers": 2,
        "uptime": 3600,
        "reloads": 1,
        "start_time": int(start.timestamp()),
        "end_time": int(end.timestamp()),
    }


def post_usage(console: Console, token: str, report: dict[str, Any]) -> int:
    words = ["curl", "-sS", "--cacert", str(console.ca), "-o", "/dev/null"]
    words += ["-w", "%{http_code}", "-H", f"Authorization: Bearer {token}"]
    words += ["-d", json.dumps(report), f"{console.base}/api/nginx-usage"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return int(done.stdout)


def the_usage_report(page: Page, console: Console, curl: Curl) -> None:
    """Line 6: one click, one report, accepted; the digests are those of its bytes."""
    page.goto(f"{console.base}/ui/settings/license")
    page.get_by_role("button", name="Send Usage to F5").click()
    expect(page.get_by_text("accepted the usage report").first).to_be_visible(
        timeout=40_000
    )
    uploads = [
        one
        for one in console.sandbox.arrivals("vendor", BULK)
        if one["method"] == "POST"
    ]
    assert len(uploads) == 1
    archive = file_part(uploads[0])
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        manifest = opened.read("manifest.json")
    number = json.loads(manifest)["reportId"]
    page.goto(f"{console.base}/ui/settings/license/reports/{number}")
    for content in (archive, manifest):
        digest = hashlib.sha256(content).hexdigest()
        expect(page.get_by_text(digest).first).to_be_visible()
    answer = curl.json("POST", "/api/platform/v1/report/send")
    assert answer["reportId"] == number, "nothing new: the same report"


def file_part(upload: dict[str, Any]) -> bytes:
    """Return the content of the one file of a multipart upload."""
    head, _, rest = upload["body"].partition(b"\r\n\r\n")
    boundary = head.split(b"\r\n")[0]
    return bytes(rest.partition(b"\r\n" + boundary)[0])


def off_and_on_again(page: Page, console: Console, curl: Curl) -> None:
    """Line 8: off by the API, on by the page; what waits is deleted and counted."""
    fault = {"path": "/ee/v1/telemetry", "mode": "status", "args": {"status": 503}}
    console.sandbox.fault(fault)
    add_operator(page, console)
    assert curl.json("GET", "/api/platform/v1/userinfo", user="otto")["role"]
    license_path = "/api/platform/v1/license"
    waits = curl.json("GET", license_path)["currentStatus"]["events"]
    assert waits["waiting"] == 1
    page.goto(f"{console.base}/ui/settings/license")
    expect(page.get_by_text("1 event, since")).to_be_visible()
    off = curl.json("PUT", f"{license_path}?telemetry=false", wanted(""))
    assert off["currentStatus"]["state"]["currentInstance"]["telemetry"] is False
    assert off["currentStatus"]["events"] == {
        "waiting": 0,
        "discarded": waits["discarded"] + 1,
    }
    page.reload()
    expect(page.get_by_text("Continuous Connection is off").first).to_be_visible()
    page.goto(f"{console.base}/ui/settings/telemetry")
    expect(page.get_by_text("turned off").first).to_be_visible()
    console.sandbox.fault()
    page.goto(f"{console.base}/ui/settings/license")
    page.get_by_role("switch", name="Enable Continuous Connection").click()
    expect(page.get_by_text("Continuous Connection is now on.")).to_be_visible()
    on = curl.json("GET", license_path)["currentStatus"]["state"]["currentInstance"]
    assert on["telemetry"] is True


def add_operator(page: Page, console: Console) -> None:
    """Add otto, who sets his password by the one-time link, in another browser."""
    page.goto(f"{console.base}/ui/settings/users/add")
    page.get_by_label("User name").fill("otto")
    page.get_by_role("radio", name="Operator").check()
    page.get_by_role("button", name="Add user").click()
    link = page.get_by_label("One-time link").inner_text()
    browser = page.context.browser
    assert browser is not None
    other = browser.new_context(ignore_https_errors=True).new_page()
    other.goto(link)
    other.locator("input[type=password]").fill(PASSWORD)
    other.get_by_role("button", name="Set password").click()
    expect(other.get_by_text("Your password is set")).to_be_visible()
    other.context.close()


def connectivity(page: Page, console: Console) -> None:
    """Line 9: addresses, rules, live checks, and the same from the command."""
    page.goto(f"{console.base}/ui/settings/connectivity")
    for word in ("159.60.126.0/25", "product.apis.f5.com", "product-s.apis.f5.com/ee"):
        expect(page.get_by_text(word).first).to_be_visible()
    page.get_by_role("button", name="Run checks").click()
    expect(page.get_by_text("Reachable").first).to_be_visible(timeout=30_000)
    rules = page.locator("pre").filter(has_text="159.60.126.0/25")
    for tab in ("iptables", "firewalld", "AWS", "nftables"):
        page.get_by_role("link", name=tab).click()
        expect(rules.first).to_be_visible()
    said = json.loads(console.manage("doctor", "--json"))
    assert said["targets"], said


def interaction_data(page: Page, console: Console, browser: Browser) -> None:
    """Line 10: from the browser to the collector, until one opts out for all."""
    wait_for(lambda: console.sandbox.arrivals("collector"), 10, "interaction data")
    page.goto(f"{console.base}/ui/")
    page.get_by_role("button", name=f"User menu, {ADMIN}").click()
    switch = page.get_by_role("switch", name="Collect interaction data (all users)")
    expect(switch).to_have_attribute("aria-checked", "true")
    switch.click()
    expect(
        page.get_by_text("Interaction data is now off for all users")
    ).to_be_visible()
    answer = page.goto(f"{console.base}/ui/")
    assert answer is not None
    assert console.collector not in answer.headers["content-security-policy"]
    assert console.collector not in answer.text()


def help_and_privacy(page: Page, console: Console) -> None:
    """Lines 10 and 11: both are there for everyone."""
    page.get_by_role("link", name="Privacy choices").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Privacy choices")
    page.goto(f"{console.base}/ui/help")
    for topic in ("What is captured", "Firewall", "Web analytics", "Opt out"):
        expect(
            page.get_by_role("heading", name=re.compile(topic)).first
        ).to_be_visible()


def only_the_subscription_left(console: Console) -> None:
    """Line 2: every document names the subscription, none names anything else."""
    marks = [HOSTNAME, VERSION, CLUSTER, AGENT, ADMIN, "otto", "fleet one"]
    for one in console.sandbox.arrivals("vendor", "/ee/v1/telemetry"):
        assert json.loads(one["body"])["subscriptionId"] == SUBSCRIPTION
        assert [mark for mark in marks if mark.encode() in one["body"]] == []
