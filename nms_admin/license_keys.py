"""The vendor's keys as Settings > License and ``doctor`` show them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from common import setup
from egress import destinations
from licensing import keys, refresh, stories
from licensing.models import License


def part(found: License | None) -> dict[str, Any]:
    """Return the keys at hand, where they are fetched and how that stands.

    ``missing`` names the key the license waits for; ``askable`` says whether asking
    for it may help.
    """
    destination = destinations.find(refresh.DESTINATION)
    connected = setup.operation_mode() == "connected"
    missing = refresh.missing(found)
    return {
        "listed": keys.listed(),
        "last": keys.last_try(),
        "host": destination.host if destination else "",
        "missing": missing,
        "askable": bool(missing and destination and connected),
    }


def story(now: datetime) -> stories.Story | None:
    """Return the warning that a key's certificate ends soon; None when none does."""
    ends = [(key.ends_at, key.name) for key in keys.listed() if key.ends_at]
    return stories.key_story(min(ends, default=None), now)
