"""A licensed console with a receiver, and everything that is counted about it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, connections, transaction
from django.utils import timezone

from common import setup
from faults import counts
from faults.driving import Child, End
from faults.pages import Pages
from faults.rows import Row
from nms_admin.processes import all_processes
from sandbox.faults import parse_rules
from sandbox.server import Sandbox
from telemetry import catalog, delivery
from telemetry import services as telemetry
from telemetry.models import DailyCount
from tests.e2e.console import wait_for

PATH = "/ee/v1/telemetry"
LEASE = timedelta(seconds=41)


@dataclass
class Mark:
    """How far everything was when a case began."""

    captured: int
    effects: int
    doubled: int
    mutated: int
    arrival: int
    at: float


@dataclass
class Scene:
    """The installation of this process, its receiver, and a clock of its own.

    Attributes:
        on: The profile's name, for the table.
        offset: How far the delivery's clock is ahead of the machine's.
    """

    on: str
    seed: int
    short: bool
    box: Sandbox
    folder: Path
    offset: timedelta = timedelta()
    elsewhere: int = 0  # effects at another receiver
    peak_mb: float = 0.0
    grown_mb: float = 0.0  # of a worker, since ``begin``
    pages: Pages | None = None
    core: subprocess.Popen[bytes] | None = None
    random: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self.random.seed(self.seed)
        self.log = self.folder / "children.log"
        self.mark = self.begin()

    def clock(self) -> datetime:
        """Return the time as this installation sees it."""
        return timezone.now() + self.offset

    def forward(self, **length: float) -> None:
        """Let time pass."""
        self.offset += timedelta(**length)

    def fails(self, mode: str, path: str = PATH, **rule: Any) -> None:
        """Let the receiver fail from now on; no mode: it works again."""
        args = rule.pop("args", {})
        rules = [{"path": path, "mode": mode, "args": args, **rule}] if mode else []
        self.box.faults.set(parse_rules(rules))

    def capture(self, count: int = 4) -> None:
        """Commit so many events."""
        for _ in range(count):
            with transaction.atomic():
                assert telemetry.record(catalog.LOGIN, now=self.clock())

    def start(self, fault: str = "", **overrides: Any) -> Child:
        """Begin a delivery in a process of its own.

        Args:
            overrides: Settings that differ in it.
        """

        def work() -> None:
            for name, value in overrides.items():
                setattr(settings, name, value)
            delivery.deliver(self.clock)

        return Child(work, self.log, fault)

    def done(self, child: Child) -> End:
        """Wait for a delivery to end, and note what it weighed."""
        end = child.wait()
        self.peak_mb = max(self.peak_mb, end.rss_mb)
        self.grown_mb = max(self.grown_mb, end.grown_mb)
        return end

    def deliver(self, fault: str = "", **overrides: Any) -> End:
        """Deliver once, to the end."""
        return self.done(self.start(fault, **overrides))

    def drain(self, rounds: int = 60) -> int:
        """Deliver, a lease apart, until nothing waits; return how many still do."""
        while (left := self.waiting()) and rounds:
            rounds -= 1
            self.deliver()
            self.offset += LEASE
        return left

    def arrivals(self, since: int = 0, prefix: str = PATH) -> list[Any]:
        """Return what came to the receiver after arrival number ``since``."""
        return self.box.store.arrivals(host="vendor", prefix=prefix, since=since)

    def waiting(self) -> int:
        """Return how many events wait."""
        try:
            return telemetry.waiting(self.clock()).total
        finally:
            connections.close_all()

    def start_core(self) -> None:
        """Start the console's web process, and look at its pages from now on."""
        (core,) = [one for one in all_processes() if one.name == "core"]
        connections.close_all()
        with (self.folder / "core.log").open("ab") as output:
            self.core = subprocess.Popen(
                core.command, stdout=output, stderr=output, env=os.environ
            )
        self.pages = Pages(settings.NMS_PUBLIC_URL, session())
        pages = self.pages
        wait_for(lambda: pages.ask("/ui/") == 200, 60, "the console answers")
        pages.taken.clear()
        pages.start()
        self.drain()  # its own start is an event
        self.begin()

    def end(self) -> None:
        """Stop the web process."""
        if self.pages:
            self.pages.stop()
        if self.core:
            self.core.terminate()
            self.core.wait(20)

    def begin(self) -> Mark:
        """Count from here on."""
        stats: Any = self.box.store.stats()
        self.mark = Mark(
            captured=counts.captured(),
            effects=stats["records_unique"] + self.elsewhere,
            doubled=stats["records_duplicated"],
            mutated=stats["batches_mutated"],
            arrival=max((one.n for one in self.box.store.arrivals()), default=0),
            at=time.monotonic(),
        )
        self.peak_mb = self.grown_mb = 0.0
        return self.mark

    def seal(self) -> None:
        """Seal what waits into a batch."""
        delivery.seal(self.clock())

    def row(
        self, case: str, note: str = "", *, discarded: int = 0, unsure: bool = False
    ) -> Row:
        """Return what became of everything since ``begin``, and begin anew.

        Args:
            discarded: So many events may have been discarded by the rules.
            unsure: Answers may have come that nobody was allowed to settle.
        """
        before, stats = self.mark, dict[str, Any](self.box.store.stats())
        effects = stats["records_unique"] + self.elsewhere
        gone = counts.captured() - before.captured - (effects - before.effects)
        dead = counts.dead()
        row = Row(
            case,
            self.on,
            lost=max(gone - self.waiting() - dead - discarded, 0),
            doubled=stats["records_duplicated"] - before.doubled,
            mutated=stats["batches_mutated"]
            - before.mutated
            + mutated(self.arrivals(before.arrival)),
            rss_mb=self.peak_mb,
            p95_ms=self.pages.p95(before.at) if self.pages else None,
            note=note,
        )
        if row.lost:
            row.wrong.append(self.missing())
        row.wrong += self._wrong(dead, None if unsure else effects)
        self.begin()
        return row

    def missing(self) -> str:
        """Say which captured events never came to the receiver, and what was discarded."""
        came = {
            record["id"]
            for arrival in self.arrivals()
            for record in json.loads(arrival.body or b"{}").get("telemetryRecords", [])
        }
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT uid, point FROM fault_fact")
                facts = {str(uuid.UUID(str(uid))): point for uid, point in cursor}
            gone = DailyCount.objects.filter(outcome=DailyCount.Outcome.DISCARDED)
            reasons = list(gone.values_list("data_point", "reason", "count"))
        finally:
            connections.close_all()
        never = [f"{facts[uid]} {uid}" for uid in facts.keys() - came]
        return f"never came: {never or 'none'}; discarded: {reasons or 'none'}"

    def _wrong(self, dead: int, effects: int | None) -> list[str]:
        found = []
        if left := self.waiting():
            found.append(f"{left} still wait")
        if dead:
            found.append(f"{dead} dead")
        if effects is not None and (told := counts.accepted()) != effects:
            found.append(f"{told} counted as accepted, {effects} arrived")
        if self.pages and (odd := self.pages.odd(self.mark.at)):
            found.append(f"pages answered {odd}")
        return found


def mutated(arrivals: list[Any]) -> int:
    """Return how many retries were not byte for byte their first try."""
    seen: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for one in arrivals:
        key = one.fields.get("idempotency-key")
        if key and one.fields.get("content-length") == str(len(one.body)):  # whole
            seen[key].add((one.sha256, one.fields.get("authorization", "")))
    return sum(len(variants) - 1 for variants in seen.values())


def session() -> tuple[str, str]:
    """Return the cookie of a session of the administrator."""
    from importlib import import_module

    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    from nms_admin.models import User

    user = User.objects.get(username="ada")
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    connections.close_all()
    return settings.SESSION_COOKIE_NAME, store.session_key


TRIGGERS = {
    "sqlite": [
        "CREATE TABLE fault_fact (uid TEXT, point TEXT)",
        "CREATE TRIGGER fault_fact AFTER INSERT ON telemetry_event BEGIN"
        " INSERT INTO fault_fact VALUES (NEW.uid, NEW.data_point); END",
    ],
    "postgresql": [
        "CREATE TABLE fault_fact (uid uuid, point text)",
        "CREATE FUNCTION fault_fact() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO fault_fact VALUES (NEW.uid, NEW.data_point); RETURN NEW; END $$",
        "CREATE TRIGGER fault_fact AFTER INSERT ON telemetry_event FOR EACH ROW"
        " EXECUTE FUNCTION fault_fact()",
    ],
}


def prepare() -> None:
    """Make the database of this process a licensed console that counts its events."""
    from django.core.management import call_command

    from analytics import services as analytics
    from common.models import Via
    from common.roles import Role
    from licensing import services as licensing
    from nms_admin.models import User
    from sandbox.tokens import issue_license, make_keys

    call_command("migrate", verbosity=0, interactive=False)
    with connection.cursor() as cursor:
        for statement in TRIGGERS[connection.vendor]:
            cursor.execute(statement)
    now = timezone.now()
    row = setup.current()
    row.claimed_at = row.finished_at = now
    row.save()
    make_keys(settings.NMS_DATA_DIR / "sandbox")
    token = issue_license(
        settings.NMS_DATA_DIR / "sandbox", port=settings.NMS_SANDBOX_PORT, days=3000
    )
    who: dict[str, Any] = {"by": "ada", "via": Via.COMMAND, "now": now}
    licensing.apply_license(content=token.encode(), telemetry=True, **who)
    analytics.set_choice(collect=False, **who)
    User.objects.create_superuser("ada", password="x", role=Role.ADMINISTRATOR)
    connections.close_all()


def together(scene: Scene, count: int, each: Callable[[Child], None]) -> list[End]:
    """Deliver in several processes at once; ``each`` may do something to one."""
    children = [scene.start() for _ in range(count)]
    for child in children:
        each(child)
    return [scene.done(child) for child in children]
