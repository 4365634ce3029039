"""Celery's scheduler, which a clock that was set back does not stop."""

from __future__ import annotations

from typing import Any

from celery.beat import PersistentScheduler


class Scheduler(PersistentScheduler):
    """Asks for each task in time, also when the last time seems to lie ahead.

    Celery waits until the clock has reached it again, across restarts too: for a year
    when the clock was a year ahead.
    """

    def setup_schedule(self) -> None:
        """Read the last times, as far as they lie behind."""
        super().setup_schedule()
        self._forget_what_is_ahead()

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Ask for what is due; return the seconds until the next is."""
        self._forget_what_is_ahead()
        return float(super().tick(*args, **kwargs))

    def _forget_what_is_ahead(self) -> None:
        now = self.app.now()
        found = self.schedule.values()
        ahead = [one for one in found if one.last_run_at and one.last_run_at > now]
        for entry in ahead:
            entry.last_run_at = now
        if ahead:
            self._heap = None  # its times lie ahead as well
