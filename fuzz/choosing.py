"""Where the makers of hostile inputs take their decisions from.

A maker asks for numbers and bytes only, and 0 is always the honest answer. So the bytes
of a coverage-guided fuzzer, a seed and Hypothesis drive the same makers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Choices(Protocol):
    """Decisions, one after the other."""

    def number(self, most: int) -> int:
        """Return a whole number from 0 to ``most``."""

    def raw(self, most: int) -> bytes:
        """Return up to ``most`` bytes."""


class Spelled:
    """Decisions read from bytes; when these end, everything is 0 and empty."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def _take(self, count: int) -> bytes:
        taken = self._content[self._at : self._at + count]
        self._at += count
        return taken

    def number(self, most: int) -> int:
        """Read as few bytes as ``most`` needs."""
        length = (most.bit_length() + 7) // 8
        return int.from_bytes(self._take(length)) % (most + 1)

    def raw(self, most: int) -> bytes:
        """Read a length and that many bytes; the whole rest when the length is 255."""
        length = self.number(255)
        return self._take(min(most, length if length < 255 else len(self._content)))


class Drawn:
    """Decisions drawn by Hypothesis, which makes a failure small."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def number(self, most: int) -> int:
        """Draw one."""
        return self._draw(st.integers(0, most))

    def raw(self, most: int) -> bytes:
        """Draw some."""
        return self._draw(st.binary(max_size=min(most, 600)))


def pick(choices: Choices, options: Sequence[T]) -> T:
    """Return one of them; the first is the honest one."""
    return options[choices.number(len(options) - 1)]
