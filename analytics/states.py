"""Whether one request's browser may send interaction data, as a pure rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.reasons import Reason, decided

SENTENCES = {
    "collecting": "Your browser sends page views and clicks.",
    "do_not_track": "DO_NOT_TRACK is set on this server, so nothing is sent.",
    "policy": "The policy file of this server keeps it off, so nothing is sent.",
    "setup": "Set-up is not finished, so nothing is sent.",
    "no_collector": "No collector is set, so nothing is sent.",
    "off": "Interaction data is off for all users.",
    "unanswered": "Nobody has chosen yet, so nothing is sent.",
    "notice": "No administrator has seen the notice yet, so nothing is sent.",
    "nothing_accepted": "No field was accepted yet, so nothing is sent.",
    "gpc": "Your browser sends Global Privacy Control, so it is left out.",
    "dnt": "Your browser asks not to be tracked, so it is left out.",
    "not_me": "You asked to be left out, so your browser sends nothing.",
    "not_signed_in": "You are not signed in, so your browser sends nothing.",
    "not_console": "This page sends nothing.",
}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the answer depends on."""

    do_not_track: bool
    finished: bool
    collector: bool
    mode: str  # "opt-out" or "opt-in"
    choice: bool | None  # None: nobody has answered
    notice_shown: bool
    accepted: bool
    gpc: bool
    dnt: bool
    objected: bool
    signed_in: bool
    console_page: bool
    policy: bool = False  # whether the policy file keeps it off


@dataclass(frozen=True)
class Verdict:
    """Whether a browser may send interaction data, and the one reason that decides."""

    code: str

    def __bool__(self) -> bool:
        return self.code == "collecting"

    @property
    def sentence(self) -> str:
        """The reason for people."""
        return SENTENCES[self.code]


def verdict(facts: Facts) -> Verdict:
    """Return the first reason against sending, the widest first, or ``collecting``.

    Everything only narrows: all must allow it.

    Source:
        Decisions 15 and 31 of the design.
    """
    return Verdict(
        next((code for code, no in _against(facts).items() if no), "collecting")
    )


@dataclass(frozen=True, kw_only=True)
class Origins:
    """Where the values come from, and how they read; texts are shown as they are."""

    policy: bool | None
    policy_says: str
    policy_origin: str
    choice_origin: str


def why(facts: Facts, origins: Origins) -> list[Reason]:
    """Return everything that has a say about a browser's data, the widest first.

    The one that decides is the one ``verdict`` names.
    """
    return decided(_reasons(facts, origins))


def _reasons(facts: Facts, origins: Origins) -> Iterator[Reason]:
    against = _against(facts)

    def says(*codes: str) -> str:
        return "no" if any(against[code] for code in codes) else ""

    value = "set" if facts.do_not_track else "not set"
    yield Reason("DO_NOT_TRACK", value, "environment", says("do_not_track"))
    allows = "yes" if origins.policy and facts.choice is not False else ""
    yield Reason(
        "Policy file",
        origins.policy_says,
        origins.policy_origin,
        says("policy") or allows,
    )
    value = "finished" if facts.finished else "not finished"
    yield Reason("Set-up", value, "set-up", says("setup"))
    value = "set" if facts.collector else "none set"
    yield Reason("Collector", value, "NMS_COLLECTOR_URL", says("no_collector"))
    unanswered = "not chosen yet" if facts.mode == "opt-in" else "on unless opted out"
    value = {True: "on", False: "off", None: unanswered}[facts.choice]
    origin = origins.choice_origin
    if facts.choice is None:
        origin = f"NMS_ANALYTICS_MODE={facts.mode}"
    yield Reason("Choice", value, origin, says("off", "unanswered") or "yes")
    value = "seen by an administrator" if facts.notice_shown else "not seen yet"
    yield Reason("Notice", value, "the privacy notice", says("notice"))
    value = "accepted" if facts.accepted else "none accepted yet"
    yield Reason("Fields", value, "the catalogue", says("nothing_accepted"))
    value = "asks not to be tracked" if says("gpc", "dnt") else "does not object"
    yield Reason("This browser", value, "Sec-GPC and DNT", says("gpc", "dnt"))
    value = "asked to be left out" if facts.objected else "did not object"
    yield Reason("You", value, "Privacy choices", says("not_me"))
    value = "a page of the console, signed in"
    if says("not_signed_in", "not_console"):
        value = SENTENCES["not_console" if facts.signed_in else "not_signed_in"]
    yield Reason("This page", value, "", says("not_signed_in", "not_console"))


def _against(facts: Facts) -> dict[str, bool]:
    return {
        "do_not_track": facts.do_not_track,
        "policy": facts.policy,
        "setup": not facts.finished,
        "no_collector": not facts.collector,
        "off": facts.choice is False,
        "unanswered": facts.choice is None and facts.mode == "opt-in",
        "notice": not facts.notice_shown,
        "nothing_accepted": not facts.accepted,
        "gpc": facts.gpc,
        "dnt": facts.dnt,
        "not_me": facts.objected,
        "not_signed_in": not facts.signed_in,
        "not_console": not facts.console_page,
    }
