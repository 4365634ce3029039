"""Every packet that leaves a console, counted outside of it at the end of its cable."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from sandbox.app import BULK
from sandbox.tokens import load_key
from tests import make, networks
from tests.browser import chromium
from tests.conftest import PASSWORD
from tests.e2e.console import ROOT, wait_for
from tests.e2e.outside import (
    AGENTS,
    CHECKED,
    COLLECTOR,
    ENTITLEMENTS,
    KEYS,
    PORT,
    TELEMETRY,
    USAGE,
    Cable,
    Housed,
    Outside,
    Person,
)
from tests.e2e.test_whole_feature_set import AGENT, plus_report

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
HOURS, HOUR = 24, 3_660  # a minute more, so that what is due every hour is due
PAGES = (
    "/ui/",
    "/ui/settings/license",
    "/ui/settings/telemetry",
    "/ui/settings/web-analytics",
    "/ui/settings/connectivity",
    "/ui/nginx-usage",
    "/ui/data-planes",
    "/ui/audit",
    "/ui/health",
    "/ui/help",
    "/ui/docs",
    "/privacy",
)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    if reason := networks.missing():
        pytest.skip(reason)
    with Outside(tmp_path) as found:
        yield found


def license_file(outside: Outside) -> Path:
    jku = {"jku": f"https://{KEYS}/ee/v1/keys/jwks"}
    key, subject = load_key(outside.box.data), "A-S00198432"
    token = make.token(datetime.now(UTC), key=key, header=jku, sub=subject)
    file = outside.folder / "license.jwt"
    file.write_text(token)
    return file


def provision(console: Housed, *, connection: str) -> None:
    password = console.folder / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD)
    words = ["--username", "ada", "--password-file", str(password)]
    words += ["--license", str(license_file(console.outside))]
    words += ["--continuous-connection", connection, "--interaction-data", "off"]
    console.manage("provision", *words)


@contextmanager
def browser_at(cable: Cable, folder: Path) -> Iterator[Browser]:
    """Start a browser on a host of its own."""
    wrapper = folder / "chromium-there"
    found = os.environ.get("CHROMIUM", "chromium")
    wrapper.write_text(f'#!/bin/sh\nexec {" ".join(cable.host.words)} {found} "$@"\n')
    wrapper.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHROMIUM", str(wrapper))
        with chromium() as browser:
            yield browser


def browse(browser: Browser, console: Housed) -> None:
    """Sign in and look at every page."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.set_default_timeout(10_000)
    sign_in(page, console)
    for path in PAGES:
        page.goto(f"{console.base}{path}")
    context.close()


def sign_in(page: Page, console: Housed) -> None:
    page.goto(f"{console.base}/login")
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Overview").wait_for()


@contextmanager
def agent(console: Housed, token: str) -> Iterator[None]:
    """Let an agent outside register, and stay."""
    words = [*console.outside.words, sys.executable, "-m", "tests.dataplanes.agent"]
    words += [console.agents, AGENT, token, str(console.outside.ca)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"registered True\n"
        yield
        process.kill()


def agent_token(person: Person) -> str:
    page = person.send("/ui/data-planes/tokens/issue", name="fleet")
    return page.partition('id="agent-token"')[2].partition(">")[2].partition("<")[0]


def report_usage(person: Person) -> None:
    hour = person.console.now().replace(minute=0, second=0, microsecond=0)
    token = (person.console.outside.folder / "license.jwt").read_text()
    said = json.dumps(plus_report(hour - timedelta(hours=1), hour))
    header = {"Authorization": f"Bearer {token}"}
    person.ask("POST", "/api/nginx-usage", data=said, headers=header)


def worked_since(console: Housed, moment: datetime) -> bool:
    """Return whether a worker did since then what is due, and nothing waits for it."""
    asked = (
        "SELECT (SELECT max(worked_at) FROM telemetry_processrun),"
        " (SELECT ended_at FROM audit_check), (SELECT count(*) FROM nms_admin_message)"
    )
    file = console.folder / "nms-admin.sqlite3"
    with closing(sqlite3.connect(file, timeout=20)) as database:
        worked, checked, waiting = database.execute(asked).fetchone()
    text = f"{moment:%Y-%m-%d %H:%M:%S}"
    return (worked or "") >= text and (checked or "") >= text and waiting == 0


def an_hour_passes(consoles: list[Housed]) -> None:
    """Put the clocks forward; wait until all that was due was done."""
    for console in consoles:
        console.forward(HOUR)
    moments = [console.now() for console in consoles]
    for console, moment in zip(consoles, moments, strict=True):
        wait_for(partial(worked_since, console, moment), 30, "the hour's work is done")


def test_for_a_day_with_everything_off_no_packet_leaves(
    outside: Outside, tmp_path: Path
) -> None:
    with (
        outside.cable("off") as one,
        outside.cable("apart") as two,
        outside.cable("desk") as desk,
        browser_at(desk, tmp_path) as browser,
    ):
        keys = {"NMS_JWKS_FILE": str(outside.box.jwks_file)}
        off = Housed(outside, one, **keys)
        apart = Housed(outside, two, NMS_OPERATION_MODE="disconnected", **keys)
        with running(off, apart):
            assert one.went_out() == two.went_out() == {}, "before the set-up"
            provision(off, connection="off")
            provision(apart, connection="on")
            soon(off, lambda: activated(off), "the license is activated")
            assert set(one.went_out()) == {"DNS", ENTITLEMENTS}
            a_day([off, apart], browser)
        assert one.went_out() == {}
        assert two.went_out() == {}
        assert COLLECTOR not in desk.went_out()
        assert one.answers[PORT] > 100 < two.answers[PORT], "people were answered"
        assert one.answers[AGENTS] > 10, "agents were answered"


@contextmanager
def running(*consoles: Housed) -> Iterator[None]:
    """Run consoles, each with a second scheduler that looks at the clock at once."""
    schedulers: list[subprocess.Popen[bytes]] = []
    with ThreadPoolExecutor() as pool:
        try:
            list(pool.map(Housed.start, consoles))
            schedulers += [console.second_scheduler() for console in consoles]
            yield
        finally:
            for scheduler in schedulers:
                scheduler.terminate()
                scheduler.wait(20)
            list(pool.map(Housed.stop, consoles))


def activated(console: Housed) -> bool:
    file = console.folder / "nms-admin.sqlite3"
    with closing(sqlite3.connect(file, timeout=20)) as database:
        found = database.execute("SELECT entitlements_at FROM licensing_license")
        return bool(found.fetchone()[0])


def a_day(consoles: list[Housed], browser: Browser) -> None:
    """Let people, agents and NGINX use the consoles, and one of them start again."""
    people = [Person(console) for console in consoles]
    for hour in range(1, HOURS + 1):
        an_hour_passes(consoles)
        for person in people:
            person.sign_in()
            person.ask("GET", PAGES[hour % len(PAGES)])
            person.api("GET", "license")
            report_usage(person)
        if hour == HOURS // 2:
            consoles[0].stop()
            consoles[0].start()
            browse(browser, consoles[0])
            people[0].sign_in()
            with agent(consoles[0], agent_token(people[0])):
                pass


def test_what_is_on_goes_to_its_own_place_and_nowhere_else(
    outside: Outside, tmp_path: Path
) -> None:
    with (
        outside.cable("console") as cable,
        outside.cable("desk") as desk,
        browser_at(desk, tmp_path) as browser,
    ):
        console = Housed(outside, cable)
        with running(console):
            each_flow(console, browser, desk)


def each_flow(console: Housed, browser: Browser, desk: Cable) -> None:
    """Let one thing happen after the other; all else stays off."""
    cable, person = console.cable, Person(console)
    provision(console, connection="off")
    soon(console, lambda: activated(console), "the license is activated")
    assert set(cable.went_out()) == {"DNS", KEYS, ENTITLEMENTS}

    person.sign_in()
    with agent(console, agent_token(person)):
        time.sleep(1)
    assert cable.went_out() == {}, "an agent only comes in"
    assert cable.answers[AGENTS] > 0

    report_usage(person)
    person.api("POST", "report/send")
    soon(console, lambda: uploaded(console), "the usage report")
    assert set(cable.went_out()) == {"DNS", USAGE}

    console.manage("doctor", check=False)
    vendors = {KEYS, CHECKED, TELEMETRY, ENTITLEMENTS}  # the settings name them
    assert set(cable.went_out()) == {"DNS", *vendors}

    on = {"metadata": {"name": "license"}, "desiredState": {"content": "", "type": ""}}
    person.api("PUT", "license?telemetry=true", json=on)
    person.sign_in()
    soon(console, lambda: told(console), "telemetry")
    person.api("PUT", "license?telemetry=false", json=on)
    assert set(cable.went_out()) == {"DNS", TELEMETRY}

    assert COLLECTOR not in desk.went_out()
    person.api("PUT", "analytics", json={"interactionData": True})
    browse(browser, console)
    wait_for(lambda: outside_got(console, "collector"), 10, "interaction data")
    assert desk.went_out()[COLLECTOR] > 0
    assert cable.went_out() == {}, "the console itself does not contact the collector"


def soon(console: Housed, condition: Callable[[], bool], what: str) -> None:
    """Let 15 seconds after 15 seconds pass until it is so, and all is quiet again."""
    for _ in range(30):
        if condition():
            break
        console.forward(15)
        time.sleep(1)
    assert condition(), what
    time.sleep(1)


def outside_got(console: Housed, host: str, path: str = "") -> list[object]:
    return list(console.outside.box.store.arrivals(host=host, prefix=path))


def uploaded(console: Housed) -> bool:
    return len(outside_got(console, "vendor", BULK)) >= 3  # upload, status, download


def told(console: Housed) -> bool:
    return bool(outside_got(console, "vendor", "/ee/v1/telemetry"))
