"""The client libraries of two vendors, as their manuals say: capture, then shut down.

``python client.py posthog|segment URL`` reads lines ``capture TIMES PER_SECOND`` (0 for
as fast as it goes) and ``stop``, and answers each with the seconds it took.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable


def posthog(url: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return what captures one event, and what ends in good order."""
    from posthog import Posthog

    client = Posthog("phc_bench", host=url)
    return (
        lambda: client.capture(
            "login",
            distinct_id="bench",
            properties={"bench_id": str(uuid.uuid4())},
        ),
        client.shutdown,
    )


def segment(url: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return what captures one event, and what ends in good order."""
    from segment.analytics.client import Client

    client = Client("bench", host=url)
    return (
        lambda: client.track("bench", "login", {"bench_id": str(uuid.uuid4())}),
        client.shutdown,
    )


def main() -> None:
    """Do what the lines say."""
    keep, stop = {"posthog": posthog, "segment": segment}[sys.argv[1]](sys.argv[2])
    for line in sys.stdin:
        word, *numbers = line.split()
        began = time.perf_counter()
        if word == "stop":
            stop()
        else:
            times, rate = map(int, numbers)
            for done in range(times):
                keep()
                if rate and (wait := began + done / rate - time.perf_counter()) > 0:
                    time.sleep(wait)
        print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main()
