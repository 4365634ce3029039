"""What is good to know before a license is added: reach, clock, what goes where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from egress import checks, destinations
from egress.models import CheckRun
from egress.probes import SKEW


@dataclass(frozen=True)
class Line:
    """One line of the card: how it stands (``ok``, ``warn``, ``bad``, ``plain``)."""

    kind: str
    text: str
    at: datetime | None = None
    link: str = ""  # the name of a page to go to, and what the link says
    label: str = ""


def lines(mode: str, now: datetime) -> list[Line]:
    """Return the lines of *Before you start*; nothing is contacted for them.

    Args:
        mode: ``connected`` or ``disconnected``.
        now: The moment.
    """
    found = checks.newest()
    said = [*_checked(found, now), *_clock(found), *_goes(mode)]
    if mode == "disconnected":
        return said
    return [
        *said,
        Line(
            "plain",
            "No internet here? Set NMS_OPERATION_MODE=disconnected first: then nothing"
            " is contacted and reports are carried by hand.",
        ),
    ]


def _checked(found: CheckRun | None, now: datetime) -> Iterator[Line]:
    """Say of the last check that ended what it reached, and what it did not."""
    link, label = "ui-connectivity", "Connectivity"
    if found is None:
        yield Line("plain", "Nobody has checked the connection yet.", None, link, label)
        return
    if checks.state(found, now) != "finished":
        yield Line("plain", "The last check has not ended.", None, link, label)
        return
    failed = [one for one in found.results if checks.verdict(one) == "failed"]
    reached = [one["label"] for one in found.results if one not in failed]
    for one in failed:
        step = next(step for step in one["steps"] if step["state"] == "failed")
        text = f"Last check: {step['happened']} {step['todo']}"
        last = one is failed[-1] and not reached
        at = None if one is not failed[0] else found.finished_at
        yield Line("bad", text, at, link if last else "", label)
    if reached:
        text = f"Last check: {' and '.join(reached)} reached."
        yield Line("ok", text, None if failed else found.finished_at, link, label)


def _clock(found: CheckRun | None) -> Iterator[Line]:
    """Say what the last check found of the clock; nothing when no answer came."""
    if found is None or not found.finished_at:
        return
    steps = [step for one in found.results for step in one["steps"]]
    wrong: dict[str, Any] | None = next(
        (x for x in steps if x["code"] == "clock"), None
    )
    if wrong:
        yield Line("warn", f"{wrong['happened']} {wrong['todo']}")
    elif any(x["name"] == "HTTP" and x["state"] == "passed" for x in steps):
        most = round(SKEW.total_seconds())
        yield Line("ok", f"The server clock was right then, within {most} s.")


def _goes(mode: str) -> Iterator[Line]:
    """Say who is called with a license added, on which port, and with what."""
    if mode == "disconnected":
        yield Line(
            "plain",
            "This server is disconnected: the license is checked here and nobody is"
            " contacted.",
        )
        return
    who = "the test receiver" if settings.SANDBOX else "F5"
    keys = destinations.find(destinations.KEYS)
    if keys:
        yield Line(
            "plain",
            f"The signature is checked on this server, with keys from {keys.host}.",
        )
    asked = destinations.find("entitlements")
    if asked:
        yield Line(
            "plain",
            f"With Add, {asked.host} is asked for the entitlements, with the license"
            f"{' and NMS_F5_API_KEY' if settings.NMS_F5_API_KEY else ''} as proof."
            " Nothing else is sent by it.",
        )
    usual = [destinations.find("telemetry"), destinations.find(destinations.usage())]
    hosts = sorted({one.host for one in usual if one})
    if hosts:
        yield Line(
            "plain",
            f"With Continuous Connection on, telemetry and usage go to {who} at"
            f" {' and '.join(hosts)}, outbound only. Telemetry holds no user names, host"
            " names or configuration.",
            link="ui-telemetry",
            label="What is sent",
        )
