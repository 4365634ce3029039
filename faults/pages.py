"""Somebody who looks at the console all the while."""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass, field

import requests

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
    """

    base: str
    cookie: tuple[str, str]
    pause: float = 0.25
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
            answer = requests.get(
                f"{self.base}{path}",
                cookies=dict([self.cookie]),
                allow_redirects=False,
                timeout=20,
            )
            status = answer.status_code
        except requests.RequestException:
            pass
        self.taken.append((began, (time.monotonic() - began) * 1000, status))
        return status

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
