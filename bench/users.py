"""Three pages with 16 people at once, on gunicorn as it is shipped."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.utils import timezone

from bench import drain
from bench.data_planes import FEW
from bench.data_planes import _fill as fill_data_planes
from bench.pages import Browser, _signed_in, free_port, listening
from bench.report import Row
from nms_admin import processes
from telemetry import delivery

if TYPE_CHECKING:
    from collections.abc import Iterator

USERS, TIMES = 16, 15
THINK_SECONDS = 1.0
PAGES = {
    "License page": "/ui/settings/license",
    "Telemetry page": "/ui/settings/telemetry",
    "Data planes page": "/ui/data-planes",
}
BATCHES, EVENTS = 40, 100


@contextmanager
def server() -> Iterator[int]:
    """Start the console as ``serve`` does, on a free port; return the port."""
    port = free_port()
    core = next(one for one in processes.all_processes() if one.name == "core")
    environment = os.environ | {"NMS_PORT": str(port)}
    with listening(core.command, port, env=environment, stderr=subprocess.DEVNULL):
        yield port


def visit(port: int, cookie: str, path: str, think: float) -> list[float]:
    """Load a page again and again; return the milliseconds each time took."""
    browser, taken = Browser(port, cookie), []
    for _ in range(TIMES):
        time.sleep(random.uniform(0, 2 * think))
        began = time.perf_counter()
        status, _, _ = browser.get(path)
        taken.append((time.perf_counter() - began) * 1000)
        if status != 200:
            raise RuntimeError(f"{path} answered {status}")
    return taken


def together(port: int, cookies: list[str], path: str, think: float) -> list[float]:
    """Let everybody visit a page at the same time; return all the times."""
    with ThreadPoolExecutor(len(cookies)) as pool:
        visits = [pool.submit(visit, port, one, path, think) for one in cookies]
    return [taken for done in visits for taken in done.result()]


def p95(taken: list[float]) -> float:
    """Return the time that 95 of 100 stayed below."""
    return statistics.quantiles(taken, n=20)[-1]


def run() -> list[Row]:
    """Return the 95th percentile of each page, with time to look and without."""
    drain.prepare()
    drain.fill(BATCHES * EVENTS)
    while delivery.seal(timezone.now(), size=EVENTS):
        pass
    fill_data_planes(range(FEW))
    cookies = [_signed_in(f"bench{number}")[1] for number in range(USERS)]
    rows = []
    with server() as port:
        for name, path in PAGES.items():
            together(port, cookies[:1], path, 0)
            alone = together(port, cookies[:1], path, 0)
            for think, how, goal in (
                (THINK_SECONDS, "a page a second each", "≤ 150 ms"),
                (0, "without a pause", "listed apart"),
            ):
                taken = together(port, cookies, path, think)
                label = f"{USERS} users, {how}: p95 {p95(taken):.0f} ms"
                other = f"one user p95 {p95(alone):.0f} ms"
                ratio = p95(taken) / p95(alone)
                spread = f"p50 {statistics.median(taken):.0f} ms"
                rows.append(Row(name, label, other, ratio, spread, goal))
    return rows
