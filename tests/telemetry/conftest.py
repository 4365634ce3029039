"""A licensed installation, a receiver, and a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from licensing.models import License
from sandbox.faults import parse_rules
from sandbox.server import Sandbox
from sandbox.wire import Request
from telemetry import catalog, services
from tests import make

PATH = "/ee/v1/telemetry"


class Clock:
    """Returns the same moment until it is moved."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **length: float) -> datetime:
        self.now += timedelta(**length)
        return self.now


class Receiver:
    """The sandbox's vendor side: what arrived, and what goes wrong next."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box

    @property
    def arrivals(self) -> list[Request]:
        return self.box.store.arrivals(host="vendor", prefix=PATH)

    @property
    def effects(self) -> tuple[int, int, int]:
        """Unique records, duplicated records, mutated batches."""
        stats = self.box.store.stats()
        return (
            stats["records_unique"],
            stats["records_duplicated"],
            stats["batches_mutated"],
        )

    def fails(self, mode: str, times: int | None = None, **args: object) -> None:
        rule = {"path": PATH, "mode": mode, "times": times, "args": args}
        self.box.faults.set(parse_rules([rule]))

    def recovers(self) -> None:
        self.box.faults.set([])


@pytest.fixture
def clock(now: datetime) -> Clock:
    return Clock(now)


@pytest.fixture
def receiver(tmp_path: Path, settings) -> Iterator[Receiver]:
    with Sandbox(tmp_path / "sandbox") as box:
        settings.NMS_TELEMETRY_URL = f"http://localhost:{box.vendor.port}{PATH}"
        yield Receiver(box)


@pytest.fixture
def licensed(finished: None, now: datetime) -> License:
    """A valid license, applied at noon, after set-up was finished."""
    return make.license(now)


def record(count: int, now: datetime) -> None:
    for _ in range(count):
        assert services.record(catalog.LOGIN, now=now)
