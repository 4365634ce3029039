"""What can be wrong with a license, or with what somebody asks about it."""

from __future__ import annotations


class LicenseRejected(Exception):
    """A license was not taken; nothing was stored.

    ``code`` is for programs; ``sentence`` says what failed and what to do;
    ``expected`` and ``found`` are shown beside it and never hold the token.
    """

    def __init__(
        self, code: str, sentence: str, *, expected: str = "", found: str = ""
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.expected = expected
        self.found = found


class AlreadyLicensed(Exception):
    """A license is current already; replace it instead."""


class NotConfirmed(Exception):
    """The subscription ID typed to confirm is not the license's."""


class ConnectionLocked(Exception):
    """The policy file keeps Continuous Connection as it is; the sentence names it."""
