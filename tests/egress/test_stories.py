"""Every cause a check can name has its sentences, and its line in the docs."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

from egress import stories

ROOT = Path(__file__).parent.parent.parent
CODES = set(
    re.findall(r"_Wrong\(\s*\"(\w+)\"", (ROOT / "egress/probes.py").read_text())
)


def test_every_cause_is_explained_and_documented() -> None:
    documented = set(
        re.findall(r"`([a-z_0-9]+)`", (ROOT / "docs/connectivity.md").read_text())
    )
    assert set(stories.DIAGNOSES) == CODES
    assert CODES - documented == set()


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_cause_says_what_happened_and_what_to_do(code: str) -> None:
    facts: defaultdict[str, object] = defaultdict(lambda: "X")
    for sentence in stories.diagnosis(code, facts):
        assert sentence.endswith(".")
        assert not re.search(r"[Pp]lease|[Cc]lick|successfully|[{}!]", sentence)
