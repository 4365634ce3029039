"""The vendor's keys as Settings > License and ``doctor`` show them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from egress import destinations
from licensing import refresh, stories
from licensing.keys import Held
from licensing.services import Standing


def part(standing: Standing, held: Held) -> dict[str, Any]:
    """Return the keys at hand, where they are fetched and how that stands.

    ``missing`` names the key the license waits for; ``askable`` says whether asking
    for it may help.
    """
    destination = destinations.find(refresh.DESTINATION)
    missing = refresh.missing(standing.license, held)
    return {
        "listed": held.listed,
        "last": held.last,
        "host": destination.host if destination else "",
        "missing": missing,
        "askable": bool(missing and destination and standing.connected),
    }


def story(held: Held, now: datetime) -> stories.Story | None:
    """Return the warning that a key's certificate ends soon; None when none does."""
    ends = [(key.ends_at, key.name) for key in held.listed if key.ends_at]
    return stories.key_story(min(ends, default=None), now)
