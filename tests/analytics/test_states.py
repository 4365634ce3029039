from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from analytics.states import SENTENCES, Facts, verdict

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
