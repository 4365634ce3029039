"""What can be wrong with what somebody asks about data planes."""

from __future__ import annotations


class ChangeRefused(Exception):
    """A change that is not made; ``code`` is for programs, the sentence says why."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
