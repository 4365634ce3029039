"""Somebody who looks at the console all the while."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import requests

LONGEST = 20.0  # seconds until somebody goes away
PATHS = (
    "/ui/",
    "/ui/settings/license",
    "/ui/settings/telemetry",
    "/ui/settings/connectivity",
)


@dataclass
class Pages:
    """Asks for one page after the other, a few a second, and keeps how long it took.

    Attributes:
        base: The console's address.
        cookie: Name and value of a session.
        where: Gives the network to ask from.
    """

    base: str
    cookie: tuple[str, str]
    pause: float = 0.25
    where: Callable[[], AbstractContextManager[None]] = nullcontext
    taken: list[tuple[float, float, int]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._look, daemon=True).start()

    def stop(self) -> None:
        """Look away."""
        self._stop.set()

    def _look(self) -> None:
        number = 0
        while not self._stop.wait(self.pause):
            self.ask(PATHS[number % len(PATHS)])
            number += 1

    def ask(self, path: str) -> int:
        """Ask for one page; return its status, 0 when nobody answered."""
        began, status = time.monotonic(), 0
        try:
            with self.where():
                answer = requests.get(
                    f"{self.base}{path}",
                    cookies=dict([self.cookie]),
                    allow_redirects=False,
                    timeout=LONGEST,
                )
            status = answer.status_code
        except requests.RequestException:
            pass
        self.taken.append((began, (time.monotonic() - began) * 1000, status))
        return status

    def since(self, moment: float) -> list[tuple[float, int]]:
        """Return milliseconds and status of each page that was asked for since."""
        return [(ms, status) for at, ms, status in self.taken if at >= moment]

    def p95(self, since: float = 0.0) -> float | None:
        """Return the 95th percentile in ms of the pages shown since; None for none."""
        found = [ms for at, ms, status in self.taken if at >= since and status == 200]
        return percentile(found) if found else None

    def odd(self, since: float = 0.0) -> dict[int, int]:
        """Return how often which status came that was neither a page nor silence."""
        found = [status for at, _, status in self.taken if at >= since]
        return {one: found.count(one) for one in set(found) - {0, 200}}


def percentile(values: list[float], percent: int = 95) -> float:
    """Return a percentile of at least one value."""
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
