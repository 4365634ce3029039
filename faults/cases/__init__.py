"""The cases, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.rows import Row
    from faults.scene import Scene

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
REDIS, RABBITMQ = "PostgreSQL, Redis", "PostgreSQL, RabbitMQ"
BOTH = (SQLITE, POSTGRESQL)
ALL = (SQLITE, REDIS, RABBITMQ)


@dataclass(frozen=True)
class Case:
    """One story, in a process and an installation of its own.

    Attributes:
        module: In ``faults.cases``; its function ``run`` yields rows.
        on: The profiles it is run on.
        short: Those of them in the short form.
        lane: Which others it waits for; those of another one run beside it.
        longest: Seconds it may take.
        named: It takes so long that it is run only when it is named.
        network: Whether it takes place in a network of its own.
    """

    name: str
    module: str
    on: tuple[str, ...] = BOTH
    short: tuple[str, ...] = ()
    lane: str = "usual"
    longest: float = 420.0
    named: bool = False
    network: bool = False

    def has_servers(self, on: str) -> bool:
        """Return whether it takes place on servers of its own, to do as it likes."""
        return self.network or (self.name == "storm" and on != SQLITE)


CASES = (
    Case("slow", "slow_answers", lane="slow"),
    Case("storm", "storm", on=ALL, lane="storm"),
    Case("receiver", "answers", short=(SQLITE,)),
    Case("tls", "certificates", short=(SQLITE,)),
    Case("kill", "kills", short=BOTH),
    Case("usage", "usage_reports", short=(POSTGRESQL,)),
    Case("choice", "choice", short=(SQLITE,)),
    Case("clock", "clocks", short=(SQLITE,)),
    Case("disk", "disk", on=(SQLITE,)),
    Case("outage", "outage", on=(POSTGRESQL,), longest=3600.0, named=True),
    Case("accounting", "accounting", short=(POSTGRESQL,)),
    Case("hosts", "hosts", on=(REDIS,), lane="storm", longest=480.0, network=True),
)


def run(case: Case, scene: Scene) -> Iterator[Row]:
    """Run a case on an installation; yield its rows."""
    from importlib import import_module

    story: Callable[[Scene], Iterator[Row]]
    story = import_module(f"faults.cases.{case.module}").run
    yield from story(scene)
