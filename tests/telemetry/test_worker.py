"""A real Celery worker, killed while the receiver has the document already."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis import Redis

from sandbox.faults import parse_rules
from sandbox.server import Sandbox
from sandbox.tokens import issue_license
from tests.e2e.console import ROOT, wait_for

PATH = "/ee/v1/telemetry"
PREPARE = """
from django.utils import timezone
from common import setup
from licensing import services
from telemetry import catalog, services as telemetry
now = timezone.now()
row = setup.current(); row.claimed_at = row.finished_at = now; row.save()
services.apply_license(content={token!r}.encode(), by="ada", via="command", now=now)
for _ in range(3):
    assert telemetry.record(catalog.LOGIN, now=now)
from telemetry import tasks
assert tasks.nudge()
"""
END_LEASES = """
from django.utils import timezone
from telemetry import tasks
from telemetry.models import Batch
Batch.objects.exclude(lease=None).update(leased_until=timezone.now())
assert tasks.nudge()
"""
TURN_OFF = (
    "from django.utils import timezone; from licensing import services;"
    "services.set_connection(on=False, by='ada', via='command', now=timezone.now())"
)


class Installation:
    """A database of its own, commands on it, and one worker."""

    def __init__(self, folder: Path, box: Sandbox, database: str) -> None:
        self.box = box
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("NMS_")},
            "NMS_DATA_DIR": str(folder),
            "NMS_SANDBOX_PORT": str(box.vendor.port),
        }
        self.environment.pop("DJANGO_SETTINGS_MODULE", None)
        if database:
            self.environment["NMS_DATABASE_URL"] = database
        self.log = folder / "worker.log"
        self.worker: subprocess.Popen[bytes] | None = None

    def manage(self, *words: str) -> str:
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def run(self, code: str) -> str:
        return self.manage("shell", "-v", "0", "-c", code)

    def start_worker(self) -> None:
        words = "-A nms_admin worker -c 1 -l INFO --without-gossip --without-mingle"
        with self.log.open("ab") as output:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "celery", *words.split()],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill_worker(self) -> None:
        if self.worker and self.worker.poll() is None:
            os.killpg(self.worker.pid, signal.SIGKILL)
            self.worker.wait(30)

    def stop_worker(self) -> None:
        """Ask it to end, and not its children: as the supervisor does."""
        if self.worker and self.worker.poll() is None:
            self.worker.terminate()
            self.worker.wait(30)

    def arrivals(self) -> list[Any]:
        return self.box.store.arrivals(host="vendor", prefix=PATH)

    def fails(self, mode: str, **args: object) -> None:
        rules = [{"path": PATH, "mode": mode, "args": args}] if mode else []
        self.box.faults.set(parse_rules(rules))


@pytest.fixture
def database() -> Iterator[str]:
    """The URL of an empty PostgreSQL database, or nothing for SQLite in the folder."""
    server = os.environ.get("NMS_TEST_DATABASE_URL", "")
    if os.environ.get("NMS_TEST_DATABASE") != "postgresql":
        yield ""
        return
    name = f"nms_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as control:
        control.execute(f"CREATE DATABASE {name}")
    yield f"{server.rsplit('/', 1)[0]}/{name}"
    with psycopg.connect(server, autocommit=True) as control:
        control.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def installation(tmp_path: Path, database: str) -> Iterator[Installation]:
    with Sandbox(tmp_path / "sandbox") as box:
        ours = Installation(tmp_path, box, database)
        ours.manage("migrate", "-v", "0")
        port = box.vendor.port
        ours.run(PREPARE.format(token=issue_license(tmp_path / "sandbox", port=port)))
        yield ours
        ours.fails("")
        ours.kill_worker()


def until(
    installation: Installation, seconds: float, what: str, ready: Callable[[], Any]
):
    try:
        return wait_for(ready, seconds, what)
    except AssertionError:
        raise AssertionError(
            f"{what}\n{installation.log.read_text()[-3000:]}"
        ) from None


@pytest.mark.e2e
@pytest.mark.both_databases
def test_a_worker_killed_after_the_post_has_one_effect(installation) -> None:
    installation.fails("hang_after", seconds=60)
    installation.start_worker()
    until(installation, 60, "the document arrives", installation.arrivals)
    installation.kill_worker()

    installation.fails("")
    installation.run(END_LEASES)  # instead of waiting for 40 seconds
    installation.start_worker()
    until(
        installation,
        60,
        "the receipt is stored",
        lambda: "batch.acknowledged" in installation.log.read_text(),
    )
    installation.stop_worker()

    first, again, *_ = installation.arrivals()
    assert first.body == again.body
    assert dict(first.headers) == dict(again.headers)
    assert first.body.count(b'"dataPoint":"login"') == 3
    stats = installation.box.store.stats()
    assert stats["batches_repeated"] == 1
    assert stats["records_duplicated"] == stats["batches_mutated"] == 0


@pytest.mark.e2e
@pytest.mark.both_databases
def test_turning_off_while_a_worker_waits_for_the_answer(installation) -> None:
    installation.fails("hang_after", seconds=8)
    installation.start_worker()
    until(installation, 60, "the document arrives", installation.arrivals)
    installation.run(TURN_OFF)
    until(
        installation,
        30,
        "the worker noticed",
        lambda: "batch.lease_lost" in installation.log.read_text(),
    )
    found = installation.run(
        "from telemetry.models import Batch, DailyCount;"
        "print(Batch.objects.get().discarded_reason,"
        " Batch.objects.get().acknowledged_at,"
        " DailyCount.objects.get(data_point='login').reason)"
    )
    assert found.strip() == "turned off None turned off, may have been sent"
    assert len(installation.arrivals()) == 1


@pytest.mark.e2e
def test_a_token_never_stands_in_the_log_or_the_queue(installation, tmp_path) -> None:
    installation.environment["NMS_LOG_LEVEL"] = "DEBUG"
    token = issue_license(tmp_path / "sandbox", port=installation.box.vendor.port)
    installation.start_worker()
    until(
        installation,
        60,
        "the receipt is stored",
        lambda: "batch.acknowledged" in installation.log.read_text(),
    )
    installation.stop_worker()
    sent = installation.arrivals()[0]
    bearer = dict(sent.headers)["Authorization"].removeprefix("Bearer ")
    assert len(bearer) > len(token) // 2
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert bearer.encode() not in path.read_bytes(), path


@pytest.mark.e2e
def test_a_worker_on_redis_delivers_and_a_flushed_queue_costs_nothing(
    installation,
) -> None:
    url = os.environ.get("NMS_TEST_REDIS_URL")
    if not url:
        pytest.skip("NMS_TEST_REDIS_URL is not set: run by scripts/with_servers.py")
    installation.environment["NMS_BROKER_URL"] = url
    installation.run("from telemetry import tasks; assert tasks.nudge()")
    Redis.from_url(url).flushall()  # what was asked for is forgotten
    installation.start_worker()
    installation.run("from telemetry import tasks; assert tasks.nudge()")
    until(
        installation,
        60,
        "the receipt is stored",
        lambda: "batch.acknowledged" in installation.log.read_text(),
    )
    stats = installation.box.store.stats()
    assert stats["records_unique"] >= 3
    assert stats["records_duplicated"] == 0
