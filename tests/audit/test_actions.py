"""What the code records: every action has its sentence and stands in a group."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from nms_admin import activity

ROOT = Path(__file__).parent.parent.parent
APPS = [
    "analytics",
    "audit",
    "dataplanes",
    "egress",
    "licensing",
    "nms_admin",
    "telemetry",
    "usage",
]
RECORDERS = {"record", "_audit", "_note"}


def texts(node: ast.expr) -> list[str]:
    """Return every text an expression of constants can be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return texts(node.body) + texts(node.orelse)
    if isinstance(node, ast.FormattedValue):
        return texts(node.value)
    if isinstance(node, ast.JoinedStr):
        return ["".join(parts) for parts in product(*map(texts, node.values))]
    return []


def recorded() -> Iterator[tuple[str, str]]:
    for path in sorted(path for app in APPS for path in (ROOT / app).rglob("*.py")):
        source = path.read_text()
        if "audit" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in RECORDERS:
                    for action in texts(node.args[0]):
                        yield action, path.name


def test_every_action_that_is_recorded_has_a_sentence():
    found = dict(recorded())
    assert len(found) >= 34
    without = {a: where for a, where in found.items() if a not in activity.SENTENCES}
    assert without == {}


def test_no_sentence_is_left_of_an_action_that_is_gone():
    assert set(activity.SENTENCES) - {action for action, _ in recorded()} == set()


def test_every_action_stands_in_one_group_of_the_filter():
    groups = [activity.actions_in(group) for group in activity.GROUPS]
    listed = [action for group in groups for action in group]
    assert sorted(listed) == sorted(activity.SENTENCES)
    assert all(groups)
