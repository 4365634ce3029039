"""``python -m faults [--short] [--seed N] [--only NAME …] [--write]``.

Does to the product what goes wrong in the world, and counts afterwards what was lost,
sent twice, changed, or shown to somebody it was not meant for. Ends with 1 when
anything did not hold. Wants the servers of ``scripts/with_servers.py``.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from faults import places
from faults.cases import CASES, Case
from faults.page import write
from faults.rows import HEAD, Row, load
from tests import networks

PROFILES = sorted({on for case in CASES for on in case.on})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a minute of it")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10_000))
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[])
    parser.add_argument("--on", nargs="+", choices=PROFILES, default=[])
    parser.add_argument("--write", action="store_true", help="write docs/faults.md")
    parser.add_argument("--keep", metavar="FOLDER", help="leave folders and logs there")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    found = parser.parse_args()
    if unknown := set(found.only) - {case.name for case in CASES}:
        names = ", ".join(case.name for case in CASES)
        parser.error(f"{', '.join(unknown)}: choose from {names}")
    if found.keep and Path(found.keep).exists() and any(Path(found.keep).iterdir()):
        parser.error(f"--keep {found.keep}: it is not empty, name a new folder")
    return found


def _child(name: str, on: str, asked: argparse.Namespace) -> int:
    """Run one case in this process, whose environment names its installation."""
    import django

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and stop what it started
    case = next((one for one in CASES if one.name == name), None)
    own = bool(case and case.has_servers(on))
    if own:
        os.environ["NMS_DATABASE_URL"] = os.environ["NMS_TEST_DATABASE_URL"]
    if case and case.network:
        os.environ["NMS_BROKER_URL"] = os.environ["NMS_TEST_REDIS_URL"]
    django.setup()
    from faults import scene

    if own or case is None:
        scene.prepare()
    if case is None:
        return 0
    from django.conf import settings

    from faults.cases import run
    from sandbox.server import Sandbox

    data = settings.NMS_DATA_DIR
    with Sandbox(data / "sandbox", port=settings.NMS_SANDBOX_PORT) as box:
        played = scene.Scene(on, asked.seed, asked.short, box, data)
        try:
            for row in run(case, played):
                print(row.dump(), flush=True)
        finally:
            played.end()
    return 0


def _run(case: Case, on: str, where: places.Places, asked: argparse.Namespace) -> bool:
    """Run one case in a process of its own, print its rows; return whether all held."""
    reason = where.missing(on) or (case.network and networks.missing())
    if reason:
        rows = [Row(case.name, on, not_run=reason)]
        return _show(rows, where)
    environment = where.make(f"{case.name}-{on}", on)
    words = [*_servers(case, on), sys.executable, "-m", "faults"]
    words += ["--child", case.name, on]
    log = Path(environment["NMS_DATA_DIR"], "case.log")
    with log.open("wb") as output:
        done = subprocess.Popen(
            [*words, "--seed", str(asked.seed), *["--short"] * asked.short],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
        alarm = threading.Timer(case.longest, done.terminate)
        alarm.start()
        rows = list(_rows(done, where))
        code = done.wait()
        alarm.cancel()
    if code:
        tail = log.read_text(errors="replace")[-3000:]
        print(tail, file=sys.stderr, flush=True)
        rows.append(Row(case.name, on, wrong=[f"it ended with {code}"]))
        _show(rows[-1:], where)
    return all(row.held() for row in rows)


def _servers(case: Case, on: str) -> list[str]:
    """Return the words that start a case on servers of its own, or none."""
    words = [sys.executable, "scripts/with_servers.py"]
    if case.network:
        up = 'ip link set lo up && exec "$@"'
        return ["unshare", "--net", "sh", "-c", up, "sh", *words, "--everywhere"]
    return words if case.has_servers(on) else []


def _rows(child: subprocess.Popen[str], where: places.Places) -> Iterator[Row]:
    assert child.stdout
    for line in child.stdout:
        if line.startswith("{"):
            row = load(line)
            _show([row], where)
            yield row


def _show(rows: list[Row], where: places.Places) -> bool:
    for row in rows:
        where.rows.append(row)
        print(row, flush=True)
    return all(row.held() for row in rows)


def main() -> int:
    """Run what was asked for; 0 when everything held."""
    asked = _options()
    if asked.child:
        return _child(asked.child[0], asked.child[1], asked)
    began = time.monotonic()
    print(f"seed {asked.seed}\n\n{HEAD}", flush=True)
    folder = Path(asked.keep or tempfile.mkdtemp(prefix="nms-faults-"))
    where = places.Places(folder)
    try:
        where.prepare()
        held = _all(where, asked)
    finally:
        where.end()
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
    took = time.monotonic() - began
    print(f"\n{len(where.rows)} rows, seed {asked.seed}, {took:.0f} s", flush=True)
    if asked.write:
        write(where.rows, asked.seed, took)
    return 0 if held else 1


def _all(where: places.Places, asked: argparse.Namespace) -> bool:
    wanted = [
        (case, on)
        for case in CASES
        for on in (case.short if asked.short else case.on)
        if (case.name in asked.only if asked.only else not case.named)
        and (not asked.on or on in asked.on)
    ]
    lanes = {"slow": 2, "storm": 1, "usual": 2 if asked.short else 1}
    pools = {lane: ThreadPoolExecutor(count) for lane, count in lanes.items()}
    running: list[Future[bool]] = [
        pools[case.lane].submit(_run, case, on, where, asked) for case, on in wanted
    ]
    return all([one.result() for one in running])  # noqa: C419  (wait for each)


if __name__ == "__main__":
    sys.exit(main())
