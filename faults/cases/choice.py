"""An administrator turns it off: what is on its way stops, and stays stopped."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import requests
from django.conf import settings
from django.db import connection, connections
from django.utils import timezone

from common.models import Via
from faults import counts
from faults.driving import Child
from faults.pages import percentile
from faults.rows import Row
from faults.scene import Scene
from licensing import services as licensing
from nms_admin import start_up
from telemetry import catalog, delivery
from telemetry import services as telemetry
from tests.e2e.console import wait_for

LATEST = 1.0  # seconds after the commit
SLACK_MS = 300.0  # 200 is what is wanted; under load the processors are busy
SWITCH = "/ui/settings/license/continuous-connection"


def run(scene: Scene) -> Iterator[Row]:
    """Turn it off under load, with a silent vendor, and before a restore."""
    scene.start_core()
    yield _under_load(scene, 3 if scene.short else 12)
    yield _black_hole(scene, 3 if scene.short else 12)
    scene.end()
    yield _restored(scene, opted_out=True)
    yield _restored(scene, opted_out=False)


def _under_load(scene: Scene, times: int) -> Row:
    """Four workers send one batch after the other while somebody selects off."""
    latest, taken = -9.0, []
    for _ in range(times):
        before = len(scene.arrivals())
        scene.fails("hang", args={"seconds": 0.05})
        for _ in range(4):
            scene.capture(30)
            scene.seal()
        workers = [Child(lambda: _keep_sending(scene), scene.log) for _ in range(4)]
        _wait_for(scene, before + 2)
        time.sleep(scene.random.uniform(0, 0.2))
        taken.append(_turn_off(scene))
        answered = time.time()
        time.sleep(LATEST + 1)
        for worker in workers:
            worker.send(9)
            scene.done(worker)
        late = max(one.at for one in scene.arrivals())
        latest = max(latest, late - answered)
        scene.fails("")
        _turn_on(scene)
    scene.forward(seconds=41)
    scene.drain()
    note = f"{times} times, last POST {latest:+.2f} s, {_said(taken)}"
    row = scene.row("off under load", note, discarded=counts.discarded(), unsure=True)
    if latest > LATEST:
        row.wrong.append(f"a POST {latest:.1f} s after the opt-out was committed")
    return _in_time(row, taken, SLACK_MS * 3)


def _black_hole(scene: Scene, times: int) -> Row:
    """A worker waits for an answer that does not come."""
    taken = []
    for _ in range(times):
        scene.capture(3)
        scene.fails("hang", args={"seconds": 60})
        before = len(scene.arrivals())
        worker = scene.start()
        _wait_for(scene, before)
        taken.append(_turn_off(scene))
        worker.send(9)
        scene.done(worker)
        scene.fails("")
        scene.forward(hours=2)
        scene.deliver()
        if len(scene.arrivals()) > before + 1:
            taken.append(9_999)
        _turn_on(scene)
    row = scene.row(
        "off while the vendor is silent",
        f"{times} times, {_said(taken)}",
        discarded=counts.discarded(),
        unsure=True,
    )
    return _in_time(row, taken)


def _wait_for(scene: Scene, number: int) -> None:
    wait_for(lambda: len(scene.arrivals()) > number, 20, "it is sent")


def _keep_sending(scene: Scene) -> None:
    while True:
        delivery.deliver(scene.clock)
        telemetry.record(catalog.LOGIN, now=scene.clock())


def _turn_off(scene: Scene) -> float:
    """Select off on the page; return how many ms the answer took."""
    browser = requests.Session()
    assert scene.pages
    browser.cookies.set(*scene.pages.cookie)
    base = settings.NMS_PUBLIC_URL
    page = browser.get(f"{base}/ui/settings/license", timeout=20).text
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found
    began = time.monotonic()
    answer = browser.post(
        f"{base}{SWITCH}",
        {"enabled": "0", "confirmed": "1", "csrfmiddlewaretoken": found[1]},
        headers={"Referer": f"{base}/"},
        allow_redirects=False,
        timeout=20,
    )
    took = (time.monotonic() - began) * 1000
    assert answer.status_code == 302, answer.status_code
    return took


def _turn_on(scene: Scene) -> None:
    on_at = max(scene.clock(), timezone.now())
    assert licensing.set_connection(on=True, by="ada", via=Via.SETTINGS, now=on_at)
    connections.close_all()
    scene.forward(seconds=1)


def _said(taken: list[float]) -> str:
    return f"answered in {percentile(taken, 50):.0f} ms, p95 {percentile(taken):.0f} ms"


def _in_time(row: Row, taken: list[float], most: float = SLACK_MS) -> Row:
    if (slow := percentile(taken)) > most:
        row.wrong.append(f"the opt-out was answered in {slow:.0f} ms")
    return row


def _restored(scene: Scene, *, opted_out: bool) -> Row:
    """Copy the database, send, perhaps turn it off, and put the copy back."""
    scene.capture(3)
    _copy(scene, "copy")
    scene.capture(2)
    scene.drain()
    sent = len(scene.arrivals())
    if opted_out:
        licensing.set_connection(
            on=False, by="ada", via=Via.SETTINGS, now=scene.clock()
        )
    _copy(scene, "restore")
    scene.forward(minutes=5)
    scene.done(Child(lambda: start_up.prepare(scene.clock()), scene.log))
    wrong = []
    on = licensing.connection_on()
    if on == opted_out:
        wrong.append(f"after the restore it was {'on' if on else 'off'}")
    for _ in range(3):
        scene.deliver()
        scene.forward(hours=1)
    if len(scene.arrivals()) > sent:
        wrong.append("something was sent after the restore")
    if opted_out:
        _turn_on(scene)
    scene.capture(2)
    scene.drain()
    if len(scene.arrivals()) != sent + 1:
        wrong.append("what happened after the restore was not sent")
    what = "the opt-out" if opted_out else "the send"
    row = scene.row(f"restore of a database older than {what}", unsure=True)
    row.wrong += wrong
    return row


def _copy(scene: Scene, way: str) -> None:
    """Copy the database aside, or back."""
    connections.close_all()
    if connection.vendor == "sqlite":
        here = Path(str(settings.DATABASES["default"]["NAME"]))
        copy = scene.folder / "copy.sqlite3"
        if way == "copy":
            copy.unlink(missing_ok=True)
            with (
                closing(sqlite3.connect(here)) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
            return
        for name in ("", "-wal", "-shm"):
            Path(f"{here}{name}").unlink(missing_ok=True)
        shutil.copy(copy, here)
        return
    name = str(settings.DATABASES["default"]["NAME"])
    here_name, copy_name = name, f"{name}_copy"
    if way == "restore":
        here_name, copy_name = copy_name, here_name
    with psycopg.connect(
        os.environ["NMS_TEST_DATABASE_URL"], autocommit=True
    ) as server:
        server.execute(f"DROP DATABASE IF EXISTS {copy_name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {copy_name} TEMPLATE {here_name}")
