"""Checks that somebody asked for: stored, run once by a worker, kept for a while."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime, timedelta
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.db import transaction

from audit import services as audit
from egress import destinations, probes
from egress.destinations import Target
from egress.models import CheckRun
from egress.probes import NAMES, Step

log = structlog.get_logger(__name__)
Clock = Callable[[], datetime]
TAKEN_WITHIN = timedelta(minutes=5)
ENDS_WITHIN = timedelta(minutes=2)
KEPT = 20
WORDS = {"passed": "ok", "warning": "warn", "failed": "FAIL", "not_run": "-"}


def ask(*, by: str, via: str, address: str, now: datetime) -> CheckRun:
    """Store that somebody wants the checks; the ones under way when there are some.

    Nothing is connected to here: a worker takes it.
    """
    with transaction.atomic():
        latest = newest()
        if latest and state(latest, now) in ("waiting", "running"):
            return latest
        targets = destinations.targets()
        proxy = destinations.masked(settings.NMS_PROXY_URL)
        added = CheckRun.objects.create(
            asked_at=now,
            asked_by=by,
            way=f"through {proxy}"[:300] if proxy else "direct, no proxy",
            results=[_result(one) for one in targets],
        )
        audit.record(
            "connectivity.checked",
            now=now,
            actor=by,
            via=via,
            address=address,
            details={"targets": [one.host for one in targets]},
        )
        old = CheckRun.objects.order_by("-pk").values_list("pk", flat=True)[KEPT:]
        CheckRun.objects.filter(pk__in=list(old)).delete()
    return added


def run(number: int, clock: Clock) -> bool:
    """Run the checks somebody asked for, once; False when another worker has them."""
    now = clock()
    wanted = CheckRun.objects.filter(
        pk=number, started_at=None, asked_at__gt=now - TAKEN_WITHIN
    )
    if not wanted.update(started_at=now):
        return False
    found = CheckRun.objects.get(pk=number)
    targets = {one.name: one for one in destinations.targets()}
    results = [one for one in found.results if one["name"] in targets]
    ended: SimpleQueue[tuple[dict[str, Any], Step | None]] = SimpleQueue()

    def follow(result: dict[str, Any]) -> None:
        try:
            for step in probes.check(targets[result["name"]], clock=clock):
                ended.put((result, step))
        finally:
            ended.put((result, None))

    with ThreadPoolExecutor(max_workers=len(results)) as pool:
        jobs = [pool.submit(follow, one) for one in results]
        left = len(jobs)
        while left:
            result, step = ended.get()
            left -= step is None
            if step:
                result["steps"].append(asdict(step))
                CheckRun.objects.filter(pk=number).update(results=found.results)
    for job in jobs:
        job.result()
    CheckRun.objects.filter(pk=number).update(finished_at=clock())
    log.info("connectivity.checked", run=number, states=[*map(verdict, results)])
    return True


def run_waiting(clock: Clock) -> int:
    """Run what was asked for and not taken yet; return how many runs there were."""
    waiting = CheckRun.objects.filter(
        started_at=None, asked_at__gt=clock() - TAKEN_WITHIN
    )
    return sum(run(one, clock) for one in waiting.values_list("pk", flat=True))


def newest() -> CheckRun | None:
    """Return the run asked for last; None when nobody ever asked."""
    return CheckRun.objects.order_by("-pk").first()


def state(found: CheckRun, now: datetime) -> str:
    """Return ``waiting``, ``running``, ``finished``, ``not_taken`` or ``broken_off``.

    A run no worker took within five minutes is not run any more.
    """
    if found.finished_at:
        return "finished"
    if found.started_at:
        late = now - found.started_at > ENDS_WITHIN
        return "broken_off" if late else "running"
    return "not_taken" if now - found.asked_at >= TAKEN_WITHIN else "waiting"


def verdict(result: dict[str, Any]) -> str:
    """Return ``passed``, ``warning``, ``failed`` or ``running`` of one target."""
    states = [step["state"] for step in result["steps"]]
    if "failed" in states:
        return "failed"
    if len(states) < len(NAMES):
        return "running"
    return "warning" if "warning" in states else "passed"


def text(found: CheckRun) -> str:
    """Return a run as plain text, to copy into a ticket: from where, what, and a request."""
    steps = [[Step(**step) for step in one["steps"]] for one in found.results]
    sources = {step.source for of_one in steps for step in of_one if step.source}
    source = f"{socket.gethostname()} {', '.join(sorted(sources))}".strip()
    lines = [
        f"NGINX Management Suite admin {settings.VERSION}, connectivity checks",
        f"At: {found.asked_at:%Y-%m-%d %H:%M} UTC, {found.way}",
        f"Source: {source}",
    ]
    for one, of_one in zip(found.results, steps, strict=True):
        lines += ["", f"{one['label']} ({one['purpose']})", *map(line, of_one)]
        broken = next((step for step in of_one if step.state == "failed"), None)
        if broken:
            lines.append(_request(broken, one["label"].partition("/")[0], found.way))
    return "\n".join(lines)


def _request(broken: Step, there: str, way: str) -> str:
    """Return what to ask of who runs the network; behind a proxy it is about that."""
    if way.startswith("through ") and broken.name in ("DNS", "TCP"):
        there = urlsplit(way.removeprefix("through ")).netloc.rpartition("@")[2]
    here = broken.source or socket.gethostname()
    if broken.name == "DNS":
        return f"  Ask: may {here} resolve {there.rpartition(':')[0] or there}?"
    return f"  Ask: is TCP from {here} to {there} allowed, and not inspected?"


def line(step: Step) -> str:
    """Return one step as a line of text, with what to do when something is wrong."""
    word = WORDS[step.state]
    advice = f"\n          {step.happened} {step.todo}" if step.code else ""
    return f"  {word:<8}{step.name:<7}{step.found}{advice}"


def _result(target: Target) -> dict[str, Any]:
    return {
        "name": target.name,
        "label": target.label,
        "purpose": target.purpose,
        "steps": [],
    }
