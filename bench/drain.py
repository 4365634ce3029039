"""Drain through a real worker to a real receiver, against the hand-written lease."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import connection
from django.utils import timezone

from bench import lease, sink
from bench.report import Row, median, ratios
from common import setup
from common.models import Via
from licensing import services as licensing
from nms_admin import processes
from sandbox.tokens import issue_license
from telemetry import tasks
from telemetry.models import Batch, Event

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS, EVENTS = 6, 50_000
FEW, MANY = 10_000, 1_000_000
PATH = "/telemetry"
SWEEP_SECONDS = 15
FILL = """
INSERT INTO telemetry_event (uid, data_point, occurred_at)
SELECT gen_random_uuid(),
    (ARRAY['login', 'process_start', 'process_stop', 'data_plane_added'])[i %% 4 + 1],
    now() - (%s - i) * interval '1 ms'
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
        content=token.encode(), by="bench", via=Via.COMMAND, now=timezone.now()
    )
    Event.objects.all().delete()


def fill(count: int) -> None:
    """Put so many events into the outbox."""
    with connection.cursor() as cursor:
        cursor.execute(FILL, [count, count])
        cursor.execute("VACUUM ANALYZE telemetry_event")


class Worker:
    """The worker as it is shipped, on PostgreSQL and Redis."""

    def __init__(self, tap: sink.Tap, log: Path) -> None:
        words = next(
            one for one in processes.all_processes() if one.name == "integrations"
        )
        self.tap, self.log = tap, log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                words.command,
                env=os.environ | {"NMS_TELEMETRY_URL": tap.url + PATH},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def drained(self, count: int, seconds: float = 180) -> float:
        """Ask for a delivery, again at each sweep; return events a second."""
        self.tap.ask("/reset")
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            tasks.nudge()
            try:
                rate = self.tap.rate(count, SWEEP_SECONDS)
            except TimeoutError:
                continue
            self._settled(ends)
            return rate
        raise TimeoutError(self.log.read_text()[-3000:])

    def _settled(self, ends: float) -> None:
        """Wait for the last receipt to be written down."""
        while Event.objects.exists() or Batch.objects.unsettled().exists():
            if time.monotonic() > ends:
                raise TimeoutError("The last batch is not settled.")
            time.sleep(0.02)

    def rss(self) -> float:
        """Return the memory of the process that sends, in MB."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        fields = Path(f"/proc/{children[0]}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def worker(tap: sink.Tap) -> Iterator[Worker]:
    """Start the worker; end it afterwards."""
    with tempfile.NamedTemporaryFile(prefix="nms-bench-", suffix=".log") as log:
        found = Worker(tap, Path(log.name))
        try:
            yield found
        finally:
            found.process.terminate()
            found.process.wait(30)


def _lease(tap: sink.Tap, count: int) -> float:
    """Return events a second of the hand-written drain."""
    lease.fill(os.environ["NMS_DATABASE_URL"], count)
    tap.ask("/reset")
    lease.drain(os.environ["NMS_DATABASE_URL"], tap.url + PATH)
    return tap.rate(count)


def _ours(found: Worker, count: int) -> float:
    fill(count)
    return found.drained(count)


def _against_the_lease(found: Worker) -> Row:
    taken: dict[str, list[float]] = {"ours": [], "lease": []}
    _ours(found, FEW)
    for number in range(ROUNDS):
        for name in ("lease", "ours") if number % 2 == 0 else ("ours", "lease"):
            rate = _ours(found, EVENTS) if name == "ours" else _lease(found.tap, EVENTS)
            taken[name].append(rate)
    ratio, spread = ratios(taken["ours"], taken["lease"])
    return Row(
        "drain, postgresql and redis",
        f"one worker {median(taken['ours']):,.0f} events/s",
        f"hand-written lease {median(taken['lease']):,.0f} events/s",
        ratio,
        spread,
        "≥ 0.5×",
    )


def _growth(found: Worker) -> list[Row]:
    """Drain few, then many, then few again."""
    few = [_ours(found, FEW) for _ in range(3)]
    before = found.rss()
    many = _ours(found, MANY)
    after = found.rss()
    few += [_ours(found, FEW) for _ in range(3)]
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
            f"worker {after:.1f} MB",
            f"before it {before:.1f} MB",
            after / before,
            "",
            "≤ 10 MB more",
        ),
    ]


def run() -> list[Row]:
    """Return what one worker drains, of few and of many."""
    prepare()
    with sink.running() as tap, worker(tap) as found:
        return [_against_the_lease(found), *_growth(found)]
