"""How the installation is: one row for everything it needs, the worst first.

Read from the database, this host's clock and its disk; the vendor is not asked. Every
row that is not in order says what to do about it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Max
from django.urls import reverse

from analytics import services as analytics
from audit import checking
from common import tasks
from egress import checks, gate
from egress.models import Attempt
from egress.probes import SKEW
from licensing import keys
from licensing import services as licensing
from nms_admin import attention, health_hosts, health_processes, notices
from nms_admin.health_hosts import LATELY, Host
from nms_admin.health_queue import Queue, queues, waits
from telemetry import ledger as events
from telemetry.models import ProcessRun
from usage import ledger

WORDS = {
    "bad": "Down",
    "warn": "Degraded",
    "info": "Starting",
    "held": "Waits",
    "ok": "OK",
}
ORDER = tuple(WORDS)
LITTLE, SCARCE = 200 * 1024**2, 1024**3  # bytes free: then nothing, or not much, fits
ASKED_EVERY = 10  # seconds between two questions to the broker
SLOW = 0.25  # seconds that the smallest question to the database may take
RAN_BACK = timedelta(minutes=2)
OLD = timedelta(hours=1)


@dataclass(frozen=True)
class Row:
    """One thing the installation needs: ``kind`` is one of ``WORDS``.

    ``todo`` is empty when nothing is to be done; ``since`` None when it is not known;
    ``url`` is where it is done.
    """

    area: str
    name: str
    kind: str
    sentence: str
    todo: str = ""
    since: datetime | None = None
    word: str = field(default="")
    url: str = ""

    @property
    def label(self) -> str:
        """Return the state in a word."""
        return self.word or WORDS[self.kind]


def rows(now: datetime, standing: licensing.Standing | None = None) -> list[Row]:
    """Return every row, the gravest first; rows as grave stay in the order below."""
    standing = standing or licensing.standing(now)
    found = [
        *database(),
        *_broker(),
        *_disk(),
        *_clock(now),
        *_chain(),
        *processes(now),
        *_queues(now),
        *_hosts(standing, now),
        *_checked(standing),
        *_receipts(now),
        *_choices(),
        *_license(standing, now),
    ]
    return sorted(found, key=lambda row: ORDER.index(row.kind))


def overall(found: list[Row]) -> str:
    """Return the gravest kind there is; what waits or starts is in order."""
    kinds = {row.kind for row in found}
    return next((kind for kind in ("bad", "warn") if kind in kinds), "ok")


def as_json(now: datetime) -> dict[str, Any]:
    """Return the rows and the gravest state for programs; moments in ISO 8601."""
    found = rows(now)
    words = {"bad": "down", "warn": "degraded"}
    return {
        "status": words.get(overall(found), "ok"),
        "at": now.isoformat(),
        "checks": [
            {
                "area": row.area,
                "name": row.name,
                "status": words.get(row.kind, "ok"),
                "state": row.label,
                "sentence": row.sentence,
                "todo": row.todo,
                "since": row.since.isoformat() if row.since else None,
            }
            for row in found
        ],
    }


def database() -> Iterator[Row]:
    """Yield whether the database answers, and how fast.

    Raises:
        django.db.Error: It does not.
    """
    begin = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    took = time.perf_counter() - begin
    milliseconds = round(took * 1000) or "less than 1"
    sentence = f"{connection.display_name} answers in {milliseconds} ms."
    if took < SLOW:
        yield Row("Server", "Database", "ok", sentence)
        return
    todo = "Look at the load of the database server, and at its disk."
    yield Row("Server", "Database", "warn", sentence, todo)


def _broker() -> Iterator[Row]:
    """Yield whether tasks can be handed over; asked once in ten seconds a process."""
    if settings.NMS_BROKER_URL.startswith("djangodb:"):
        yield Row("Server", "Broker", "ok", "Built in: tasks wait in the database.")
        return
    answers = _broker_answers(int(time.monotonic() // ASKED_EVERY))
    if answers:
        yield Row("Server", "Broker", "ok", "It takes tasks.")
        return
    sentence = "It cannot be reached. Events are recorded and wait; nothing is lost."
    todo = "Start it, or correct NMS_BROKER_URL; workers connect again by themselves."
    yield Row("Server", "Broker", "bad", sentence, todo)


@lru_cache(maxsize=1)
def _broker_answers(_when: int) -> bool:
    return tasks.broker_answers()


def _disk() -> Iterator[Row]:
    try:
        room = shutil.disk_usage(settings.NMS_DATA_DIR)
    except OSError as error:
        sentence = f"The data folder cannot be read: {error.strerror}."
        todo = "Mount it again, or correct NMS_DATA_DIR."
        yield Row("Server", "Disk", "bad", sentence, todo)
        return
    free = f"{room.free / 1024**3:.1f} GB of {room.total / 1024**3:.0f} GB are free"
    sentence = f"{free} where the data folder is."
    todo = "Make room on this disk; what is waiting is kept until then."
    if room.free < LITTLE:
        sentence += " Soon nothing can be recorded any more."
        yield Row("Server", "Disk", "bad", sentence, todo, word="Full")
    elif room.free < SCARCE:
        yield Row("Server", "Disk", "warn", sentence, todo, word="Scarce")
    else:
        yield Row("Server", "Disk", "ok", sentence)


def _skew() -> tuple[timedelta, str, datetime] | None:
    """Return how far the clock was ahead of the last dated answer's, and whose.

    Returns:
        None when it was right then, or no answer came lately.
    """
    tries = Attempt.objects.order_by("-pk").values_list("skew", "host", "started_at")
    dated = ((skew, host, at) for skew, host, at in tries[:LATELY] if skew is not None)
    skew, host, at = next(dated, (0, "", None))
    found = timedelta(seconds=skew)
    return (found, host, at) if at and abs(found) > SKEW else None


def _clock(now: datetime) -> Iterator[Row]:
    """Compare the clock with what was written here before, and with the last answer.

    It may only be later than the one; the other was dated by the host that was called.
    """
    newest = [
        ProcessRun.objects.aggregate(at=Max("seen_at"))["at"],
        Attempt.objects.aggregate(at=Max("started_at"))["at"],
    ]
    last = max((at for at in newest if at), default=None)
    if last and last - now > RAN_BACK:
        sentence = f"It is {_length(last - now)} behind what was written here before."
        todo = "Set the clock of this server, and keep it with NTP (chrony)."
        yield Row("Server", "Clock", "bad", sentence, todo, last, word="Wrong")
        return
    if found := _skew():
        skew, host, at = found
        side = "ahead of" if skew > timedelta() else "behind"
        sentence = f"It is {_length(abs(skew))} {side} the clock of {host}."
        todo = "Set it by NTP: licenses and reports are dated by it."
        yield Row("Server", "Clock", "warn", sentence, todo, at, word="Differs")
        return
    sentence = f"{now.astimezone(UTC):%H:%M} UTC, and never behind what was written."
    yield Row("Server", "Clock", "ok", sentence)


def processes(now: datetime) -> Iterator[Row]:
    """Yield the named processes, each on every host where it runs."""
    for one in health_processes.lines(now):
        yield Row("Processes", one.name, one.kind, one.sentence, one.todo, one.since)


def _queues(now: datetime) -> Iterator[Row]:
    for queue in queues():
        yield _queue(queue, now)


def _queue(queue: Queue, now: datetime) -> Row:
    total = sum(queue.waiting.values())
    name, refused = queue.label, queue.refused
    if refused:
        sentence = f"{refused:,} refused for good, {total:,} waiting."
        todo = f"Open {queue.page} and look at the answer."
        url = reverse(queue.address)
        return Row("Delivery", name, "bad", sentence, todo, word="Refused", url=url)
    if not total:
        return Row("Delivery", name, "ok", "Nothing is waiting.", word="Empty")
    sentence = waits(queue, now)
    if queue.held:
        todo = "Nothing goes out until the license or the operation mode allows it."
        return Row("Delivery", name, "held", sentence, todo, queue.oldest, "Held")
    if queue.oldest and now - queue.oldest > OLD:
        todo = "The rows about processes and hosts here say why; nothing is lost."
        return Row("Delivery", name, "warn", sentence, todo, queue.oldest, "Late")
    return Row("Delivery", name, "ok", sentence, "", queue.oldest, "Going")


def _hosts(standing: licensing.Standing, now: datetime) -> Iterator[Row]:
    """Yield one row per host that is called: its gate, and how the last try ended."""
    for host in health_hosts.hosts(now, connected=standing.connected):
        yield _host(host, now)


def _host(host: Host, now: datetime) -> Row:
    name, tried = host.name, host.last
    paused = next((p for p in map(gate.paused, host.destinations) if p), None)
    if paused:
        sentence = f"It refused the license ({paused.status}). Nothing is lost."
        todo = "Add the current license under Settings > License."
        url = reverse("ui-license")
        at = paused.paused_at
        return Row("Delivery", name, "bad", sentence, todo, at, "Paused", url)
    if host.trouble(now):
        sentence = f"{attention.why_silent(host)}{_tries(host, now)} Nothing is lost."
        todo = "Run the checks under Settings > Connectivity."
        url = reverse("ui-connectivity")
        return Row("Delivery", name, "warn", sentence, todo, host.since, "Failing", url)
    if tried is None:
        return Row("Delivery", name, "ok", "Not called lately.", word="Open")
    said = f"The last call: {tried.get_outcome_display().lower()}."
    return Row("Delivery", name, "ok", said, "", tried.started_at, "Open")


def _tries(host: Host, now: datetime) -> str:
    """Say how often it failed and when it is tried again; empty without a failure."""
    closed = host.closed
    if closed is None or closed.closed_until is None:
        return ""
    times = f"{closed.failures} time{'s' if closed.failures > 1 else ''}"
    return f" Failed {times}; {_again(closed.closed_until, now)}."


def _again(until: datetime, now: datetime) -> str:
    if until <= now:
        return "it is tried again now"
    at = until.astimezone(UTC)
    return f"it is tried again from {at.day} {at:%b %H:%M} UTC"


def _checked(standing: licensing.Standing) -> Iterator[Row]:
    """Yield the last connectivity check when it failed and nothing was accepted since."""
    found = checks.newest()
    if not standing.connected or found is None or found.finished_at is None:
        return
    failed = [one for one in found.results if checks.verdict(one) == "failed"]
    accepted = Attempt.objects.filter(outcome=Attempt.Outcome.ACCEPTED)
    if not failed or accepted.filter(started_at__gt=found.asked_at).exists():
        return
    names = ", ".join(one["label"] for one in failed)
    sentence = f"{len(failed)} of {len(found.results)} addresses failed: {names}."
    todo = "Open Settings > Connectivity: it says what to do about each."
    yield Row(
        "Delivery",
        "Last check",
        "warn",
        sentence,
        todo,
        found.asked_at,
        "Failed",
        reverse("ui-connectivity"),
    )


def _choices() -> Iterator[Row]:
    """Yield what is off until an administrator answers after a restore."""
    asked = {
        "Continuous Connection": ("ui-license", attention.restored()),
        "Interaction data": ("ui-web-analytics", _interaction_restored()),
    }
    for name, (page, restored) in asked.items():
        if restored:
            said = "Off since the database was restored; nothing is sent."
            todo, url = "It stays off until an administrator chooses.", reverse(page)
            yield Row("License", name, "warn", said, todo, None, "Not chosen", url)


def _interaction_restored() -> bool:
    banner = analytics.banner(analytics.choice())
    return banner is not None and banner.state == "restored"


def _receipts(now: datetime) -> Iterator[Row]:
    accepted = Attempt.objects.filter(outcome=Attempt.Outcome.ACCEPTED)
    lately = accepted.filter(started_at__gt=now - timedelta(days=1)).count()
    last = events.last_reported_at()
    if last is None:
        sentence = "No batch of events was accepted yet."
    else:
        calls = "call was" if lately == 1 else "calls were"
        sentence = f"{lately:,} {calls} accepted in the last 24 hours."
    yield Row("Delivery", "Receipts", "ok", sentence, "", last)


def _license(standing: licensing.Standing, now: datetime) -> Iterator[Row]:
    story = attention.license_story(standing, keys.held(), now)
    shown = attention.license_stat(standing)
    todo, url = "Open Settings > License.", reverse("ui-license")
    if standing.license is None:
        sentence = "None yet; events are held on this server."
        yield Row("License", "License", "held", sentence, todo, word="None", url=url)
    elif story and story.kind in ("bad", "warn"):
        yield Row("License", "License", story.kind, f"{story.title}.", todo, url=url)
    else:
        sentence = f"{shown['value']}: {shown['note']}."
        yield Row("License", "License", "ok", sentence)
    due = ledger.report_by(ledger.last_accepted(), standing)
    said = notices.report_notice(due, now, by_hand=not standing.connected)
    if said and said.kind in ("bad", "warn"):
        title = f"{said.title}."
        yield Row("License", "Usage report", said.kind, title, said.body, url=url)
    else:
        day = f"Wanted by {due.day} {due:%b %Y}." if due else "None is due."
        yield Row("License", "Usage report", "ok", day)


def _chain() -> Iterator[Row]:
    broken = checking.state().broken_at
    if broken is None:
        yield Row("Server", "Audit chain", "ok", "Unbroken as far as it was checked.")
        return
    sentence = f"It is broken at record {broken}."
    todo = "Keep a copy of the database as it is, then open Audit log."
    url = reverse("ui-audit")
    yield Row("Server", "Audit chain", "bad", sentence, todo, word="Broken", url=url)


def _length(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    if hours >= 48:
        return f"{hours / 24:.0f} days"
    return f"{hours:.0f} hours" if hours >= 2 else f"{hours * 60:.0f} minutes"
