from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from analytics.states import SENTENCES, Facts, Origins, verdict, why

ALL_WELL = Facts(
    do_not_track=False,
    finished=True,
    collector=True,
    mode="opt-out",
    choice=None,
    notice_shown=True,
    accepted=True,
    gpc=False,
    dnt=False,
    objected=False,
    signed_in=True,
    console_page=True,
)
AGAINST: list[tuple[dict[str, Any], str]] = [
    ({"do_not_track": True}, "do_not_track"),
    ({"policy": True}, "policy"),
    ({"finished": False}, "setup"),
    ({"collector": False}, "no_collector"),
    ({"choice": False}, "off"),
    ({"mode": "opt-in"}, "unanswered"),
    ({"notice_shown": False}, "notice"),
    ({"accepted": False}, "nothing_accepted"),
    ({"gpc": True}, "gpc"),
    ({"dnt": True}, "dnt"),
    ({"objected": True}, "not_me"),
    ({"signed_in": False}, "not_signed_in"),
    ({"console_page": False}, "not_console"),
]


@pytest.mark.parametrize("choice", [None, True])
def test_a_browser_sends_when_nothing_is_against_it(choice):
    assert verdict(replace(ALL_WELL, choice=choice)).code == "collecting"


def test_opt_in_collects_once_somebody_allowed_it():
    assert verdict(replace(ALL_WELL, mode="opt-in", choice=True))


@pytest.mark.parametrize(("change", "code"), AGAINST)
def test_one_reason_against_is_enough_and_is_named(change, code):
    answer = verdict(replace(ALL_WELL, **change))
    assert not answer
    assert (answer.code, answer.sentence) == (code, SENTENCES[code])


def test_the_widest_reason_is_named_first():
    everything = {
        name: value for change, _ in AGAINST for name, value in change.items()
    }
    assert verdict(replace(ALL_WELL, **everything)).code == "do_not_track"


def test_what_decides_is_what_the_verdict_names():
    origins = Origins(
        policy=None,
        policy_says="says nothing",
        policy_origin="",
        choice_origin="",
    )
    rows = {
        "do_not_track": "DO_NOT_TRACK",
        "policy": "Policy file",
        "setup": "Set-up",
        "no_collector": "Collector",
        "off": "Choice",
        "unanswered": "Choice",
        "collecting": "Choice",
        "notice": "Notice",
        "nothing_accepted": "Fields",
        "gpc": "This browser",
        "dnt": "This browser",
        "not_me": "You",
        "not_signed_in": "This page",
        "not_console": "This page",
    }
    flags = [
        name for name in vars(ALL_WELL) if isinstance(getattr(ALL_WELL, name), bool)
    ]
    for choice, mode in product((None, True, False), ("opt-in", "opt-out")):
        for values in product((False, True), repeat=len(flags)):
            facts = replace(
                ALL_WELL,
                choice=choice,
                mode=mode,
                **dict(zip(flags, values, strict=True)),
            )
            deciding = [one for one in why(facts, origins) if one.decides]
            code = verdict(facts).code
            assert len(deciding) == 1
            assert (deciding[0].says == "no") == (code != "collecting")
            assert deciding[0].name == rows[code]
