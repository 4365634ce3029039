"""``python -m bench.capturing`` captures as many events as each line says.

A line is ``COUNT SECONDS``: spread over so many seconds, 0 for as fast as it goes. It
is answered when all of them are committed.
"""

from __future__ import annotations

import sys
import time

import django

django.setup()

from bench import capture  # noqa: E402  (needs the settings)

for line in sys.stdin:
    count, seconds = (float(word) for word in line.split())
    began = time.monotonic()
    for done in range(int(count)):
        capture.captured()
        if (wait := began + seconds * done / count - time.monotonic()) > 0:
            time.sleep(wait)
    print(time.monotonic() - began, flush=True)
