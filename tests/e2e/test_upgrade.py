"""From the releases before this one: all that waited arrives once, as it was sealed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.faults import parse_rules
from sandbox.server import Sandbox
from tests.conftest import PASSWORD
from tests.dataplanes.agent import FakeAgent
from tests.e2e.console import ROOT, Console, new_database, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
PATH = "/ee/v1/telemetry"
VERSION = r'^version = "([\d.]+)"'
SIGNED_OUT = ("0.2.0",)  # CHANGELOG.md: everybody signs in once more
AGENT = "7a1d3b52-6f0e-3b0e-9b44-0d9a4c8a5c11"


@dataclass(frozen=True)
class Release:
    """A commit that set another version than the one before it."""

    commit: str
    version: str


def git(*words: str) -> str:
    """Return what git says about this folder; nothing where it has no history."""
    command = ["git", "-C", str(ROOT), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout


def releases() -> list[Release]:
    """Return the two newest releases before what is checked out, the newest first."""
    changed = git("log", "--format=%H", "-G^version = ", "--", "pyproject.toml")
    here = git("rev-parse", "HEAD").strip()
    found = []
    for commit in [one for one in changed.split() if one != here][:2]:
        said = git("show", f"{commit}:pyproject.toml")
        found.append(Release(commit, re.search(VERSION, said, re.M)[1]))
    return found


CASES = list(zip(releases(), ("sqlite", "postgresql"), strict=False))


def _name(case: tuple[Release, str] | None) -> str:
    return f"{case[0].version}-{case[1]}" if case else "no history"


@pytest.fixture(params=CASES or [None], ids=_name)
def case(request: pytest.FixtureRequest) -> tuple[Release, str]:
    """A release and a database."""
    if request.param is None:
        why = "The release before this one is not in the history of git here."
        whole = git("rev-parse", "--is-shallow-repository").strip() == "false"
        pytest.fail(why) if whole else pytest.skip(why)
    return request.param


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Sandbox]:
    """The vendor's side; it goes on while the console is another version."""
    with Sandbox(tmp_path / "receiver") as box:
        yield box


@pytest.fixture
def console(
    case: tuple[Release, str], receiver: Sandbox, tmp_path: Path
) -> Iterator[Console]:
    """An installation of the release, not started yet."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    with database(case[1]) as settings:
        address = f"http://localhost:{receiver.vendor.port}{PATH}"
        console = Console(folder, NMS_TELEMETRY_URL=address, **settings)
        console.root = unpacked(case[0], tmp_path / "release")
        yield console
        console.stop()


@contextmanager
def database(kind: str) -> Iterator[dict[str, str]]:
    """Yield the settings for a database of its own."""
    if kind == "sqlite":
        yield {}
        return
    if "NMS_TEST_DATABASE_URL" not in os.environ:
        pytest.skip("No PostgreSQL: start the tests with scripts/with_servers.py.")
    with new_database("upgrade") as address:
        yield {"NMS_DATABASE_URL": address}


def unpacked(release: Release, folder: Path) -> Path:
    """Write the files of a release and build its front end; return the folder."""
    folder.mkdir()
    archive = folder.with_suffix(".tar")
    git("archive", f"--output={archive}", release.commit)
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    words = [sys.executable, "manage.py", "collectstatic", "--no-input", "-v", "0"]
    elsewhere = os.environ | {"NMS_DATA_DIR": str(folder / "var")}
    for command in (["scripts/node", "frontend/build.mjs"], words):
        subprocess.run(command, cwd=folder, env=elsewhere, check=True)
    return folder


SHELL = ("shell", "--no-imports", "--verbosity", "0", "-c")
# What an administrator wants to find again, told in the same words by each version.
STATE = """
import json
from analytics import services as analytics
from dataplanes.models import AgentToken
from licensing import connection
from licensing.models import License
from nms_admin.models import User
from telemetry.models import Batch, Event
from usage.models import Period
choices = [connection.choice(), analytics.choice()]
print(json.dumps({
    "choices": [[one.pk, one.value, one.decided_by] for one in choices],
    "users": sorted(User.objects.values_list("username", "role")),
    "tokens": sorted(AgentToken.objects.values_list("name", "digest")),
    "license": sorted(License.objects.values_list("subscription_id", "digest")),
    "usage": sorted(map(str, Period.objects.values_list())),
    "waiting": [str(one) for one in Event.objects.values_list("uid", flat=True)],
    "sealed": {str(one.pk): [one.sha256, one.acknowledged_at is not None]
               for one in Batch.objects.all()},
}))
"""
TOKEN = """
from django.utils import timezone
from dataplanes import services
print(services.issue_token("agents", services.By("ada", timezone.now()))[1])
"""
BACKLOG = """
from django.utils import timezone
from telemetry import catalog, delivery, services
for _ in range(3):
    services.record(catalog.LOGIN, now=timezone.now())
assert delivery.seal(timezone.now())
for _ in range(2):
    services.record(catalog.LOGIN, now=timezone.now())
"""


def ask(console: Console, script: str) -> str:
    return console.manage(*SHELL, script).strip()


def state(console: Console) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(console, STATE).splitlines()[-1])
    return found


def set_up(console: Console, folder: Path) -> None:
    """Answer the set-up: with a license, connected, without interaction data."""
    password, license_file = folder / "password", folder / "sandbox.jwt"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    license_file.write_text(console.manage("sandbox_license"))
    words = ["--username", "ada", "--password-file", str(password)]
    words += ["--continuous-connection", "on", "--interaction-data", "off"]
    console.manage("provision", *words, "--license", str(license_file))


def report_usage(console: Console) -> None:
    """Report as an NGINX Plus instance does."""
    now = int(time.time())
    report = {
        "version": "1.27.4",
        "nap": "inactive",
        "uuid": "5a3b9c1e0d2f4a6b8c7d9e0f1a2b3c4d",
        "start_time": now - 7200,
        "end_time": now - 3600,
    }
    address = f"{console.base}/api/nginx-usage"
    assert requests.post(address, json=report, timeout=10).ok


def sign_in(console: Console) -> requests.Session:
    """Sign in through the form, as a person does."""
    browser, address = requests.Session(), f"{console.base}/login"
    page = browser.get(address, timeout=10).text
    field = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[1]
    form = {"username": "ada", "password": PASSWORD, "csrfmiddlewaretoken": field}
    answer = browser.post(address, form, headers={"Referer": address}, timeout=10)
    assert answer.url == f"{console.base}/ui/"
    return browser


def leave_a_backlog(console: Console, receiver: Sandbox) -> None:
    """Leave, after the stop: events, a sealed batch, one cut off while it was sent."""
    receiver.faults.set(parse_rules([{"path": PATH, "mode": "hang_after"}]))
    before = len(receiver.store.arrivals(prefix=PATH))
    words = [sys.executable, "manage.py", "outbox", "drain", "--once"]
    sending = subprocess.Popen(words, cwd=console.root, env=console.environment)
    wait_for(
        lambda: len(receiver.store.arrivals(prefix=PATH)) > before,
        30,
        "a batch is on its way",
    )
    sending.kill()
    sending.wait(10)
    ask(console, BACKLOG)


def test_an_upgrade_loses_doubles_and_decides_nothing(
    case: tuple[Release, str], console: Console, receiver: Sandbox, tmp_path: Path
) -> None:
    console.start()
    set_up(console, tmp_path)
    report_usage(console)
    token = ask(console, TOKEN)
    wait_for(lambda: receiver.store.arrivals(prefix=PATH), 30, "something was sent")
    browser = sign_in(console)
    console.stop()  # its four stops are events too
    leave_a_backlog(console, receiver)
    before = state(console)

    receiver.faults.set([])
    shutil.rmtree(console.root)
    console.root = ROOT
    console.start()
    _lets_people_in(console, browser, case[0].version)
    _lets_the_agent_in(console, token)
    assert requests.get(f"{console.base}/api/readiness", timeout=10).ok
    there = {*before["waiting"]}
    wait_for(lambda: there <= _ids(receiver), 60, "what waited was sent")
    wait_for(lambda: _settled(console), 60, "what was sealed was sent")

    after = state(console)
    _went_out_once_as_it_was_sealed(before["sealed"], after["sealed"], receiver)
    for name in ("choices", "users", "tokens", "license", "usage"):
        assert after[name] == before[name], name
    console.manage("audit", "verify")


def _went_out_once_as_it_was_sealed(
    before: dict[str, list[Any]], after: dict[str, list[Any]], receiver: Sandbox
) -> None:
    unsettled = [key for key, (_, accepted) in before.items() if not accepted]
    assert len(unsettled) == 2
    came: dict[str, set[str]] = {}
    for one in receiver.store.arrivals(prefix=PATH):
        came.setdefault(one.fields["idempotency-key"], set()).add(one.sha256)
    for key, (digest, _) in before.items():
        assert came[key] == {digest}
        assert after[key] == [digest, True]
    stats: Any = receiver.store.stats()
    assert stats["records_duplicated"] == stats["batches_mutated"] == 0
    assert stats["batches_repeated"] >= 1  # the one that was cut off
    assert stats["records_unique"] == len(_ids(receiver))


def _lets_people_in(console: Console, browser: requests.Session, was: str) -> None:
    """Show the page to who was signed in, and say after a new version what was kept."""
    page = browser.get(f"{console.base}/ui/", timeout=10)
    assert page.url.endswith("/ui/") is (was not in SIGNED_OUT)
    page = sign_in(console).get(f"{console.base}/ui/", timeout=10)
    now = re.search(VERSION, (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert ("was kept in version" in page.text) is (was != now)


def _settled(console: Console) -> bool:
    return bool(json.loads(console.manage("outbox", "status", "--json"))["sealed"] == 0)


def _ids(receiver: Sandbox) -> set[str]:
    """Return the ids of all events that came."""
    return {
        record["id"]
        for one in receiver.store.arrivals(prefix=PATH)
        for record in json.loads(one.body)["telemetryRecords"]
    }


def _lets_the_agent_in(console: Console, token: str) -> None:
    wait_for(console.takes_agents, 20, "dpm listens")
    agent = FakeAgent(console.agents, AGENT, token).start()
    try:
        assert agent.registered(20), agent.refusals
    finally:
        agent.stop()
