"""Why a choice was not stored."""

from __future__ import annotations


class ChoiceRefused(Exception):
    """The choice was not stored; the sentence says why and what to do."""

    code = "refused"


class AnsweredMeanwhile(ChoiceRefused):
    """Somebody else decided after the page was rendered."""

    code = "answered_meanwhile"


class ChoiceLocked(ChoiceRefused):
    """A setting of this server keeps interaction data off."""

    code = "locked"
