"""The main job as docs/deploy.md sets it up; `make deploy-test` runs this file alone.

https by NGINX, PostgreSQL, Redis, two web processes and two workers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, expect
from requests.adapters import HTTPAdapter

from tests.browser import chromium, listen
from tests.conftest import PASSWORD
from tests.e2e.console import Console, free_ports, new_database, wait_for
from tests.e2e.test_https import nginx
from tests.e2e.test_main_job import (
    add_user,
    open_page,
    set_password,
    sign_in,
    telemetry_arrivals,
    walk_wizard,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
AWAY = "127.0.0.5"  # a client that is not where NGINX is


class Deployment(Console):
    """A console behind NGINX; ``base`` is what people type, ``plain`` the http port."""

    def __init__(self, folder: Path, database: str) -> None:
        port, self.plain = free_ports(2)
        super().__init__(
            folder,
            tls=True,
            NMS_TLS_CERT="",
            NMS_TLS_KEY="",
            NMS_PUBLIC_URL=f"https://localhost:{port}",
            NMS_TRUSTED_PROXIES="127.0.0.1",
            NMS_DATABASE_URL=database,
            NMS_BROKER_URL=os.environ["NMS_TEST_REDIS_URL"],
            NMS_WEB_PROCESSES="2",
            NMS_WORKERS="2",
        )
        self.base, self.https = f"https://localhost:{port}", port


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Deployment]:
    """A fresh installation, before its set-up."""
    if not shutil.which("nginx"):
        pytest.skip("NGINX was not found: install it (Debian: nginx-light).")
    if "NMS_TEST_REDIS_URL" not in os.environ:
        pytest.skip("No PostgreSQL, no Redis: start it with scripts/with_servers.py.")
    with new_database("deployment") as database:
        console = Deployment(tmp_path / "data", database)
        with nginx(tmp_path, console, console.https, console.plain):
            console.start()
            yield console
            console.stop()


@pytest.fixture
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def visitor(browser: Browser) -> BrowserContext:
    """Somebody whose browser does not know the authority of this test."""
    return browser.new_context(ignore_https_errors=True)


class From(HTTPAdapter):
    """Calls that come from another address of this machine."""

    def init_poolmanager(self, *words: Any, **options: Any) -> None:
        super().init_poolmanager(*words, **options, source_address=(AWAY, 0))


def client(console: Deployment) -> requests.Session:
    found = requests.Session()
    found.trust_env, found.verify = False, str(console.ca)
    found.mount("https://", From())
    return found


RUNS = """
import json
from telemetry.models import ProcessRun
print(json.dumps([[one.name, one.stopped_at is None, one.unclean]
                  for one in ProcessRun.objects.order_by("name")]))
"""


def runs(console: Console) -> list[list[Any]]:
    """Return name, whether it runs, and whether it was lost, of each counted start."""
    said = console.manage("shell", "--no-imports", "--verbosity", "0", "-c", RUNS)
    found: list[list[Any]] = json.loads(said.splitlines()[-1])
    return found


def children(console: Console, name: str) -> list[int]:
    """Return the processes that the named process forked."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode()
            mine = f"NMS_DATA_DIR={console.folder}" in (entry / "environ").read_text()
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if mine and name in words and "supervisor" not in words:
            found.append((int(entry.name), parent))
    ours = {number for number, _ in found}
    return [number for number, parent in found if parent in ours]


def test_the_main_job_as_it_is_deployed(
    console: Deployment, browser: Browser, tmp_path: Path
) -> None:
    license_file = tmp_path / "sandbox.jwt"
    license_file.write_text(console.manage("sandbox_license"))
    page = open_page(visitor(browser), console, "/")
    heard = listen(page)
    walk_wizard(page, console, license_file)
    _a_second_user_signs_in(page, browser, console)
    _it_is_https_alone(page, console)
    _clients_have_their_own_addresses(page, console)
    backup = tmp_path / "console.backup"
    console.manage("backup", "--output", str(backup))
    _an_opt_out_holds_at_once(page, console)
    assert heard == []
    _two_of_each_are_counted_once(console)

    assert console.stop() < 10
    assert {tuple(run[1:]) for run in runs(console)} == {(False, False)}
    console.manage("restore", str(backup), "--replace")
    console.start()
    page = sign_in(visitor(browser), console, "vera")
    page.goto(f"{console.base}/ui/settings/web-analytics")
    expect(page.get_by_text("database restored").first).to_be_visible()
    answer = page.goto(f"{console.base}/ui/")
    assert console.collector not in answer.headers["content-security-policy"]


def _a_second_user_signs_in(page: Page, browser: Browser, console: Console) -> None:
    """Recorded, delivered, and shown with its receipt."""
    link = add_user(page, console, "vera")
    other = visitor(browser)
    set_password(other, link)
    sign_in(other, console, "vera")
    wait_for(lambda: _logins(console) >= 2, 30, "the sign-in is at the sandbox")
    stats = console.sandbox.stats()
    assert stats["records_duplicated"] == stats["batches_mutated"] == 0
    batch = json.loads(telemetry_arrivals(console)[-1]["body"])["telemetryId"]
    address = f"{console.base}/ui/settings/telemetry/batches/{batch}"
    wait_for(lambda: _receipt(page, address), 10, "the receipt is shown")
    wait_for(lambda: console.sandbox.arrivals("collector"), 15, "interaction data")


def _receipt(page: Page, address: str) -> bool:
    page.goto(address)
    return page.get_by_label("Receipt as received").is_visible()


def _logins(console: Console) -> int:
    bodies = [json.loads(one["body"]) for one in telemetry_arrivals(console)]
    points = [
        record["dataPoint"] for one in bodies for record in one["telemetryRecords"]
    ]
    return points.count("login")


def _it_is_https_alone(page: Page, console: Deployment) -> None:
    answer = page.goto(f"{console.base}/ui/")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    cookies = {one["name"]: one for one in page.context.cookies()}
    assert set(cookies) == {"__Host-nms-session", "__Host-nms-csrf"}
    assert all(one["secure"] and one["httpOnly"] for one in cookies.values())
    plain = f"http://localhost:{console.plain}/ui/help?a=1"
    moved = requests.get(plain, allow_redirects=False, timeout=10)
    assert moved.status_code == 301
    assert moved.headers["Location"] == "https://localhost/ui/help?a=1"


def _clients_have_their_own_addresses(page: Page, console: Deployment) -> None:
    """Whatever a client says of itself, NGINX tells where it calls from."""
    away, address = client(console), f"{console.base}/login"
    form = away.get(address, timeout=10).text
    field = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)[1]
    typed = {"username": "vera", "password": PASSWORD, "csrfmiddlewaretoken": field}
    headers = {"Referer": address, "X-Forwarded-For": "203.0.113.9"}
    answer = away.post(address, typed, headers=headers, timeout=10)
    assert answer.url == f"{console.base}/ui/"
    page.goto(f"{console.base}/ui/audit")
    expect(page.get_by_text(AWAY).first).to_be_visible()
    assert "203.0.113.9" not in page.content()


def _an_opt_out_holds_at_once(page: Page, console: Console) -> None:
    page.goto(f"{console.base}/ui/")
    page.get_by_role("link", name="Opt out for all users").click()
    said = page.get_by_text("Interaction data is now off for all users")
    expect(said).to_be_visible()
    for _ in range(6):  # whichever process answers
        answer = page.goto(f"{console.base}/ui/")
        assert console.collector not in answer.headers["content-security-policy"]


def _renewed(console: Console, name: str, both: list[int]) -> bool:
    found = children(console, name)
    return len(found) == 2 and found != both


def _two_of_each_are_counted_once(console: Console) -> None:
    """Two web processes and two workers; losing one of each is no start and no stop."""
    names = ["core", "dpm", "integrations", "scheduler"]
    assert [run[0] for run in runs(console)] == names
    for name in ("gunicorn", "celery"):
        both = children(console, name)
        assert len(both) == 2, (name, both)
        os.kill(both[0], signal.SIGKILL)
        renewed = partial(_renewed, console, name, both)
        wait_for(renewed, 20, f"{name} has another process")
    assert runs(console) == [[name, True, False] for name in names]
