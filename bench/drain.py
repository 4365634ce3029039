"""Drain through a real worker to a real receiver, against the hand-written lease."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection
from django.utils import timezone

from bench import lease, sink
from bench.peers import engines
from bench.report import Row, median, ratios
from common import setup
from common.models import Via
from licensing import services as licensing
from nms_admin import processes
from sandbox.tokens import issue_license
from telemetry import tasks
from telemetry.models import Batch, Event, ProcessRun

if TYPE_CHECKING:
    from collections.abc import Iterator

DRAIN = "drain, postgresql and redis"
ROUNDS, EVENTS = 6, 50_000
PEER_ROUNDS, PEER_EVENTS = 3, 2_000
FEW, MANY = 10_000, 1_000_000
PATH = "/telemetry"
SWEEP_SECONDS = 15
FILL = """
INSERT INTO telemetry_event (uid, data_point, occurred_at)
SELECT gen_random_uuid(), 'login', now() - (%s - i) * interval '1 ms'
FROM generate_series(1, %s) AS i
"""


def prepare() -> None:
    """Finish set-up and apply a license, so that events may go out."""
    row = setup.current()
    row.claimed_at = row.finished_at = timezone.now()
    row.save()
    keys = Path(settings.NMS_DATA_DIR) / "sandbox"
    token = issue_license(keys, port=settings.NMS_SANDBOX_PORT)
    licensing.apply_license(
        content=token.encode(),
        by="bench",
        via=Via.COMMAND,
        now=timezone.now(),
        telemetry=True,
    )
    Event.objects.all().delete()


def fill(count: int) -> None:
    """Put so many events into the outbox."""
    with connection.cursor() as cursor:
        cursor.execute(FILL, [count, count])
        cursor.execute("VACUUM ANALYZE telemetry_event")


class Workers:
    """Workers as they are shipped, on PostgreSQL and Redis."""

    def __init__(self, tap: sink.Tap, count: int = 1) -> None:
        words = next(x for x in processes.all_processes() if x.name == "integrations")
        self.tap, self.count = tap, count
        descriptor, name = tempfile.mkstemp(prefix="nms-bench-", suffix=".log")
        self.log = Path(name)
        before = ProcessRun.objects.filter(name=words.name).count()
        environment = {"NMS_TELEMETRY_URL": tap.url + PATH, "NMS_LOG_LEVEL": "INFO"}
        with os.fdopen(descriptor, "ab") as log:
            self.processes = [
                subprocess.Popen(
                    words.command,
                    env=os.environ | environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                for _ in range(count)
            ]
        while ProcessRun.objects.filter(name=words.name).count() < before + count:
            time.sleep(0.1)

    def drain(self, count: int, seconds: float = 180) -> float:
        """Fill the outbox, ask for a delivery as each sweep does; events a second."""
        ends = time.monotonic() + seconds
        self.tap.ask("/reset")
        fill(count)
        while time.monotonic() < ends:
            for _ in range(self.count * self.count):  # so that each gets one
                tasks.nudge()
            with suppress(TimeoutError):
                rate = self.tap.rate(count, SWEEP_SECONDS)
                self._settled(ends)
                return rate
        raise TimeoutError(self.log.read_text()[-3000:])

    def _settled(self, ends: float) -> None:
        """Wait for the last receipt to be written down."""
        while Event.objects.exists() or Batch.objects.unsettled().exists():
            if time.monotonic() > ends:
                raise TimeoutError("The last batch is not settled.")
            time.sleep(0.1)

    def rss(self) -> float:
        """Return the memory of the first process that sends, in MB."""
        pid = self.processes[0].pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        fields = Path(f"/proc/{children[0]}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End them."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            process.wait(30)
        self.log.unlink()


@contextmanager
def workers(tap: sink.Tap, count: int = 1) -> Iterator[Workers]:
    """Start workers that send to a sink; end them afterwards."""
    found = Workers(tap, count)
    try:
        yield found
    finally:
        found.stop()


def _lease(tap: sink.Tap, count: int) -> float:
    """Return events a second of the hand-written drain."""
    lease.fill(os.environ["NMS_DATABASE_URL"], count)
    tap.ask("/reset")
    lease.drain(os.environ["NMS_DATABASE_URL"], tap.url + PATH)
    return tap.rate(count)


def _against_the_lease(found: Workers, label: str) -> tuple[Row, float]:
    taken: dict[str, list[float]] = {"ours": [], "lease": []}
    found.drain(FEW)
    for number in range(ROUNDS):
        for name in ("lease", "ours") if number % 2 == 0 else ("ours", "lease"):
            ours = name == "ours"
            rate = found.drain(EVENTS) if ours else _lease(found.tap, EVENTS)
            taken[name].append(rate)
    ratio, spread = ratios(taken["ours"], taken["lease"])
    speed = median(taken["ours"])
    measured = f"{label} {speed:,.0f} events/s"
    reference = f"hand-written lease {median(taken['lease']):,.0f} events/s"
    return Row(DRAIN, measured, reference, ratio, spread, "≥ 0.5×"), speed


def _growth(found: Workers) -> list[Row]:
    """Drain few, then many, then few again."""
    few = [found.drain(FEW) for _ in range(3)]
    before = found.rss()
    many = found.drain(MANY)
    after = found.rss()
    few += [found.drain(FEW) for _ in range(3)]
    each = sorted(many / rate for rate in few)
    return [
        Row(
            f"drain of {MANY:,} events",
            f"{many:,.0f} events/s",
            f"of {FEW:,} events {median(few):,.0f} events/s",
            median(each),
            f"{each[0]:.2f} to {each[-1]:.2f}",
            "≥ 0.8×",
        ),
        Row(
            f"drain of {MANY:,} events",
            f"the worker has {after:.1f} MB",
            f"before it {before:.1f} MB",
            after / before,
            "",
            "≤ 10 MB more",
        ),
    ]


def _peers(tap: sink.Tap, ours: float) -> list[Row]:
    """Return what the libraries drain; each sends one POST per event."""
    servers = os.environ["NMS_TEST_DATABASE_URL"], os.environ["NMS_TEST_REDIS_URL"]
    project = engines.Project(*servers)
    rows = []
    for engine in engines.ENGINES:
        talk = project.capture(engine)
        rates = []
        for _ in range(PEER_ROUNDS):
            tap.ask("/reset")
            talk.say(f"{engine.name} {PEER_EVENTS}")
            with project.running(engine, tap.url):
                rates.append(tap.rate(PEER_EVENTS))
        talk.end()
        each = sorted(rate / ours for rate in rates)
        label = f"{engine.label}, one POST per event, {median(rates):,.0f} events/s"
        spread = f"{each[0]:.2f} to {each[-1]:.2f}"
        reference = f"one worker of ours {ours:,.0f} events/s"
        rows.append(Row(DRAIN, label, reference, median(each), spread, "a peer"))
    return rows


def run() -> list[Row]:
    """Return what workers drain, of few and of many, and what libraries do."""
    prepare()
    with sink.running() as tap:
        with workers(tap) as found:
            one, speed = _against_the_lease(found, "one worker")
            grown = _growth(found)
        with workers(tap, 2) as found:
            two, _ = _against_the_lease(found, "two workers")
        return [one, two, *_peers(tap, speed), *grown]
