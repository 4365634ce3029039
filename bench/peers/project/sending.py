"""One event, one POST: what each of these libraries does for one unit of work."""

from __future__ import annotations

import os
import uuid

import requests

session = requests.Session()
session.trust_env = False


def event() -> dict[str, str]:
    """Return an event like ours."""
    return {
        "dataPoint": "login",
        "bench_id": str(uuid.uuid4()),
        "timestamp": "2026-11-23T06:31:07Z",
    }


def post(content: dict[str, str]) -> None:
    """Send one event, over a connection that is kept."""
    session.post(os.environ["PEER_SINK"], json=content, timeout=30).raise_for_status()
