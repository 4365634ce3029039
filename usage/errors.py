"""Why a message was turned away, or a report cannot be made."""

from __future__ import annotations


class MessageRefused(Exception):
    """A message of NGINX or of a cluster was turned away; nothing of it was stored.

    ``status`` is the HTTP one, ``code`` is for programs and counted by day,
    ``sentence`` says what is wrong; ``expected`` and ``found`` never hold a secret.
    """

    def __init__(
        self,
        code: str,
        sentence: str,
        *,
        status: int = 400,
        expected: str = "",
        found: str = "",
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.sentence = sentence
        self.expected = expected
        self.found = found


class ReportRefused(Exception):
    """No usage report can be made or sent now; the sentence says what to do.

    ``code`` is for programs: ``setup``, ``no_license``, ``license``, ``smime``,
    ``disconnected`` or ``no_receiver``.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


class AcknowledgementRefused(Exception):
    """What came back is no acknowledgement of this report."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
