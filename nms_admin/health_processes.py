"""How each named process is, on every host where it was seen lately."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from nms_admin.processes import all_processes
from telemetry.models import ProcessRun

NEEDED = ("integrations", "scheduler")
ALIVE_FOR = timedelta(minutes=3)
STARTS_FOR = timedelta(seconds=30)  # processes of one host start one after the other
LATELY = timedelta(days=1)
IDLE = timedelta(minutes=3)  # the worker is asked for a delivery every 15 seconds
WORKS = "integrations"  # whose work is noted, not only its heartbeat


@dataclass(frozen=True)
class Line:
    """One process on one host; ``kind`` is bad, warn, info (it starts) or ok."""

    name: str
    host: str
    kind: str
    sentence: str
    todo: str = ""
    since: datetime | None = None


def lines(now: datetime) -> Iterator[Line]:
    """Yield a line per process and host, also for one that never ran."""
    runs = newest(now)
    coming = {run.host for run in runs if _begins(run, now)}
    for process in all_processes():
        if not process.reported:
            continue
        mine = [run for run in runs if run.name == process.name]
        if not mine and coming:
            yield _starts(process.name, "")
        elif not mine:
            grave = "bad" if process.name in NEEDED else "warn"
            todo = _start(process.name)
            sentence = "Not seen in the last day."
            yield Line(process.name, "", grave, sentence, todo)
        somewhere = any(alive(run, now) for run in mine)
        for run in mine:
            if run.host in coming and not alive(run, now):
                yield _starts(run.name, run.host)
            else:
                yield _line(run, now, somewhere=somewhere)


def newest(now: datetime) -> list[ProcessRun]:
    """Return the newest run of each process and host, of those seen in the last day."""
    seen = ProcessRun.objects.filter(seen_at__gt=now - LATELY).order_by(
        "started_at", "pk"
    )
    last = {(run.name, run.host): run for run in seen}
    return sorted(last.values(), key=lambda run: (run.name, run.host))


def _begins(run: ProcessRun, now: datetime) -> bool:
    return alive(run, now) and abs(now - run.started_at) < STARTS_FOR


def _starts(name: str, host: str) -> Line:
    where = f" on {host}" if host else ""
    return Line(name, host, "info", f"Starting{where}, as the others did just now.")


def _line(run: ProcessRun, now: datetime, *, somewhere: bool) -> Line:
    grave = "bad" if run.name in NEEDED and not somewhere else "warn"
    todo = _start(run.name)
    if run.stopped_at:
        how = "without saying so" if run.unclean else "in order"
        sentence = f"Stopped {how} on {run.host}."
        return Line(run.name, run.host, grave, sentence, todo, run.stopped_at)
    if not alive(run, now):
        sentence = f"No heartbeat from {run.host} for more than 3 minutes."
        return Line(run.name, run.host, grave, sentence, todo, run.seen_at)
    worked = run.worked_at or run.started_at
    if run.name == WORKS and now - worked > IDLE:
        sentence = f"Alive on {run.host}, but it was given nothing to do, or hangs."
        todo = "Look at the scheduler and the broker, then start integrations again."
        return Line(run.name, run.host, "warn", sentence, todo, worked)
    does = "Alive and working" if run.name == WORKS else "Alive"
    return Line(run.name, run.host, "ok", f"{does} on {run.host}.", "", run.seen_at)


def alive(run: ProcessRun, now: datetime) -> bool:
    """Return whether a run goes on: it was seen in the last three minutes."""
    return run.stopped_at is None and run.seen_at > now - ALIVE_FOR


def _start(name: str) -> str:
    return f"Start {name} (docs/operations.md says how), or look at its log."
