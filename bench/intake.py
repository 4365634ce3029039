"""Usage intake against a view that only INSERTs the same row, on the same server."""

from __future__ import annotations

import http.client
import json
import os
import time
from itertools import count, islice
from typing import TYPE_CHECKING

from django.utils import timezone

from bench.pages import server
from bench.report import Row, median, ratios
from common import setup

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS, TIMES = 7, 300
FLEET = 50


def _messages() -> Iterator[bytes]:
    """Return one message after the other of a fleet that reports every second."""
    end = int(time.time())
    for at in count():
        since = end - 300 * 86_400 + at // FLEET
        client = {"received": 1000, "sent": 2000, "requests": 30}
        message = {
            "version": "nginx-plus-r35",
            "uuid": f"{at % FLEET:032x}",
            "nap": "inactive",
            "http": {"client": client, "upstream": {"received": 1000, "sent": 2000}},
            "stream": {"client": {"received": 0, "sent": 0}},
            "workers": 4,
            "uptime": 7200,
            "reloads": 0,
            "start_time": since,
            "end_time": since + 1,
        }
        yield json.dumps(message).encode()


def _seconds(port: int, path: str, messages: Iterator[bytes]) -> float:
    """Return how long ``TIMES`` messages take over one keep-alive connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    bodies = list(islice(messages, TIMES))
    began = time.perf_counter()
    for body in bodies:
        connection.request(
            "POST", path, body, headers={"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {said[:300]!r}")
    return time.perf_counter() - began


def run() -> list[Row]:
    """Return messages a second, ours against the bare INSERT."""
    row = setup.current()
    row.claimed_at = row.finished_at = timezone.now()
    row.save()
    variants = {"ours": "/api/nginx-usage", "raw": "/raw"}
    messages = {name: _messages() for name in variants}
    with server() as port:
        for name, path in variants.items():
            _seconds(port, path, messages[name])
        taken: dict[str, list[float]] = {name: [] for name in variants}
        for number in range(ROUNDS):
            for name in variants if number % 2 == 0 else reversed(variants):
                taken[name].append(_seconds(port, variants[name], messages[name]))
    database = "postgresql" if "NMS_DATABASE_URL" in os.environ else "sqlite"
    ratio, spread = ratios(taken["ours"], taken["raw"])
    ours, raw = (TIMES / median(taken[name]) for name in ("ours", "raw"))
    return [
        Row(
            f"usage intake, {database}",
            f"{ours:.0f} messages/s",
            f"INSERT alone {raw:.0f} messages/s",
            ratio,
            spread,
            "≤ 2.5×",
        )
    ]
