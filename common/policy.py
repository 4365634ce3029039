"""The policy file: what it says about each choice. Pure: text in, rules out."""

from __future__ import annotations

from dataclasses import dataclass

TELEMETRY = "telemetry"
INTERACTION_DATA = "interaction-data"
NAMES = (TELEMETRY, INTERACTION_DATA)
_WORDS = {"on": True, "off": False}


@dataclass(frozen=True)
class Rule:
    """What the file says about one choice.

    ``line`` is 0 when no line says it; ``problem`` tells why it counts as off, and is
    empty when the line can be read.
    """

    on: bool
    line: int = 0
    problem: str = ""


def parse(text: str) -> dict[str, Rule]:
    """Return ``{name: rule}`` of the choices a policy file locks.

    A line is ``telemetry = on|off``, ``interaction-data = on|off``, a ``#`` comment or
    empty. What cannot be read cannot allow anything: a wrong word or a second line for
    the same choice locks that choice off, a line that names no choice locks both.

    Source:
        Decision 2 of the design; docs/policy.md

    Example:
        >>> parse("# rule 7\\ntelemetry = off")
        {'telemetry': Rule(on=False, line=2, problem='')}
    """
    rules: dict[str, Rule] = {}
    stray: Rule | None = None
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.partition("#")[0].strip()
        if not line:
            continue
        name, equals, word = (part.strip() for part in line.partition("="))
        if not equals or name not in NAMES:
            stray = stray or Rule(False, number, f"“{line[:40]}” names no choice")
        elif name in rules:
            problem = f"a second line for {name}, after line {rules[name].line}"
            rules[name] = Rule(False, number, problem)
        elif word not in _WORDS:
            problem = f"“{word[:40]}” is neither on nor off"
            rules[name] = Rule(False, number, problem)
        else:
            rules[name] = Rule(_WORDS[word], number)
    return dict.fromkeys(NAMES, stray) if stray else rules


def unreadable(problem: str) -> dict[str, Rule]:
    """Return the rules of a file that cannot be read: both choices are off."""
    return dict.fromkeys(NAMES, Rule(False, 0, problem))
