"""Which license a form was drawn with, so that nobody replaces another one unseen."""

from __future__ import annotations

import re
from typing import Any

from common.http import HtmxRequest
from licensing import services as licensing

WRONG = "Send seen as the form has it, or leave it out."


def of(request: HtmxRequest) -> int | None:
    """Return the number a form names, 0 for none; None when it names nothing.

    Raises:
        ValueError: It is no number; ``WRONG`` says so.
    """
    seen = request.POST.get("seen", "")
    if not re.fullmatch("[0-9]{0,18}", seen, re.ASCII):
        raise ValueError(WRONG)
    return int(seen) if seen else None


def drawn() -> dict[str, Any]:
    """Return the license in force and its number, as a form is drawn with them."""
    current = licensing.current()
    return {"current": current, "seen": current.pk if current else 0}


def overtaken() -> dict[str, Any]:
    """Return them anew, and what was done since somebody opened the form."""
    context = drawn()
    return context | {"overtaken": licensing.overtaken_by(context["current"])}
