from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.policy import INTERACTION_DATA, NAMES, TELEMETRY, Rule, parse

OFF = "is neither on nor off"


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", {}),
        ("# nothing yet\n\n   \n", {}),
        ("telemetry = on", {TELEMETRY: (True, 1, "")}),
        ("telemetry=off", {TELEMETRY: (False, 1, "")}),
        ("  telemetry   =  on   # rule 7", {TELEMETRY: (True, 1, "")}),
        ("# a\n\ninteraction-data = off", {INTERACTION_DATA: (False, 3, "")}),
        (
            "telemetry = on\r\ninteraction-data = off\r\n",
            {TELEMETRY: (True, 1, ""), INTERACTION_DATA: (False, 2, "")},
        ),
        ("telemetry = yes", {TELEMETRY: (False, 1, f"“yes” {OFF}")}),
        ("telemetry = ON", {TELEMETRY: (False, 1, f"“ON” {OFF}")}),
        ("telemetry =", {TELEMETRY: (False, 1, f"“” {OFF}")}),
        ("telemetry = on = off", {TELEMETRY: (False, 1, f"“on = off” {OFF}")}),
        (
            "telemetry = on\ntelemetry = on",
            {TELEMETRY: (False, 2, "a second line for telemetry, after line 1")},
        ),
        (
            "telemetry = maybe\ninteraction-data = on",
            {
                TELEMETRY: (False, 1, f"“maybe” {OFF}"),
                INTERACTION_DATA: (True, 2, ""),
            },
        ),
        (
            "interaction-data = on\ntelemtry = off",
            dict.fromkeys(NAMES, (False, 2, "“telemtry = off” names no choice")),
        ),
        ("off", dict.fromkeys(NAMES, (False, 1, "“off” names no choice"))),
    ],
)
def test_a_policy_says(text, rules):
    assert parse(text) == {name: Rule(*rule) for name, rule in rules.items()}


@given(st.text())
def test_whatever_the_text_is_only_a_clean_line_allows(text):
    for name, rule in parse(text).items():
        assert name in NAMES
        assert not (rule.on and rule.problem)
        if rule.on:
            line = text.splitlines()[rule.line - 1].partition("#")[0]
            assert line.replace(" ", "").strip() == f"{name}=on"
