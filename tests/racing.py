"""Let several threads do the same at once, each with a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

from django.db import connection


def at_once(count: int, work: Callable[[], object], seconds: float = 60) -> None:
    """Run ``work`` in so many threads and wait; an error in one is raised here."""
    failures: list[Exception] = []

    def guarded() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  (raised below)
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=guarded) for _ in range(count)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(seconds)
    assert not any(one.is_alive() for one in threads)
    if failures:
        raise failures[0]
