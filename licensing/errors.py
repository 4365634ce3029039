"""What can be wrong with a license, or with what somebody asks about it."""

from __future__ import annotations


class LicenseRejected(Exception):
    """A license was not taken; nothing was stored.

    ``code`` is for programs; ``sentence`` says what failed and what to do;
    ``expected`` and ``found`` are shown beside it and never hold the token; ``command``
    is one to copy that helps.
    """

    def __init__(
        self,
        code: str,
        sentence: str,
        *,
        expected: str = "",
        found: str = "",
        command: str = "",
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.expected = expected
        self.found = found
        self.command = command

    @property
    def anyway(self) -> bool:
        """Return whether it is taken all the same when somebody asks twice."""
        return self.code in ("older", "worse")

    @property
    def title(self) -> str:
        """Return what happened: the sentence up to its first stop, without it."""
        return _split(self.sentence)[0]

    @property
    def body(self) -> str:
        """Return the rest of the sentence: why, and what to do; may be empty."""
        return _split(self.sentence)[1]


def _split(sentence: str) -> tuple[str, str]:
    stops = [at for stop in (". ", ": ") if (at := sentence.find(stop)) > 0]
    if not stops:
        return sentence.removesuffix("."), ""
    at = min(stops)
    return sentence[:at], sentence[at + 2 : at + 3].upper() + sentence[at + 3 :]


class AlreadyLicensed(Exception):
    """A license is current already; replace it instead."""


class Overtaken(AlreadyLicensed):
    """Another license is current than the one somebody meant to replace, or none is."""


class NotConfirmed(Exception):
    """The subscription ID typed to confirm is not the license's."""


class ConnectionLocked(Exception):
    """The policy file keeps Continuous Connection as it is; the sentence names it."""
