"""What decides about events of this server, as a pure rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.reasons import Reason, decided

OUTCOMES = {
    "off": "Nothing is recorded and nothing is sent.",
    "held": "Events are recorded and held; nothing is sent.",
    "waiting": "Events are recorded and wait; nothing is sent now.",
    "sent": "Events are recorded and sent.",
}
_WAITS = ("Receiver", "Last answer")
_OFF = ("DO_NOT_TRACK", "Policy file", "Choice")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the answer depends on; texts are shown as they are."""

    do_not_track: bool
    policy: bool | None  # None: the file says nothing, or there is none
    policy_says: str
    policy_origin: str
    choice: bool | None  # None: nobody has answered
    choice_origin: str
    finished: bool
    licensed: bool
    connected: bool
    mode_origin: str
    phase: str  # of licensing.states.State
    provisional: bool
    subscription: str
    receiver: str
    refused: bool  # whether the receiver refused the license


def why(facts: Facts) -> list[Reason]:
    """Return everything that has a say, in the order it is asked; one decides."""
    return decided(_reasons(facts))


def outcome(reasons: list[Reason]) -> str:
    """Return what follows: ``off``, ``held``, ``waiting`` or ``sent``."""
    no = next((one.name for one in reasons if one.decides and one.says == "no"), None)
    if no is None:
        return "sent"
    if no in _OFF:
        return "off"
    return "waiting" if no in _WAITS else "held"


def _reasons(facts: Facts) -> Iterator[Reason]:
    value = "set" if facts.do_not_track else "not set"
    says = "no" if facts.do_not_track else ""
    yield Reason("DO_NOT_TRACK", value, "environment", says)
    words = {True: "yes", False: "no", None: ""}
    word = words[facts.policy]
    if facts.choice is False and word == "yes":
        word = ""  # a restored backup stays off: its row decides
    yield Reason("Policy file", facts.policy_says, facts.policy_origin, word)
    value = {True: "on", False: "off", None: "on, nobody has answered"}[facts.choice]
    says = "no" if facts.choice is False else "yes"
    yield Reason("Choice", value, facts.choice_origin, says)
    value = "finished" if facts.finished else "not finished"
    yield Reason("Set-up", value, "set-up", _no(not facts.finished))
    value = "added" if facts.licensed else "none yet"
    yield Reason("License", value, "Settings > License", _no(not facts.licensed))
    value = "connected" if facts.connected else "disconnected"
    yield Reason("Operation mode", value, facts.mode_origin, _no(not facts.connected))
    if facts.licensed:
        state = facts.phase.replace("_", " ")
        value = f"{state}, signature not checked" if facts.provisional else state
        usable = facts.phase in ("valid", "grace")
        yield Reason("License state", value, "Settings > License", _no(not usable))
        value, named = facts.subscription or "not given", bool(facts.subscription)
        yield Reason("Subscription ID", value, "the license", _no(not named))
    value = facts.receiver or "none set"
    yield Reason("Receiver", value, "NMS_TELEMETRY_URL", _no(not facts.receiver))
    value = "it refused the license" if facts.refused else "nothing against it"
    yield Reason("Last answer", value, "the receiver", _no(facts.refused))


def _no(against: bool) -> str:
    return "no" if against else ""
