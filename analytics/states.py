"""Whether one request's browser may send interaction data, as a pure rule."""

from __future__ import annotations

from dataclasses import dataclass

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
    against = {
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
    return Verdict(next((code for code, no in against.items() if no), "collecting"))
