"""Why something did not go out, or was not taken."""

from __future__ import annotations

from datetime import timedelta


class NotAllowed(Exception):
    """The question asked last, right before the first byte, was answered with no."""


class DeliveryError(Exception):
    """A try failed; ``code`` is for programs, the sentence for people.

    ``status`` is the HTTP status, when an answer came. ``reached`` is False only when
    it is certain that no byte of the body left this host.
    """

    def __init__(
        self,
        code: str,
        sentence: str,
        *,
        status: int | None = None,
        retry_after: timedelta | None = None,
        reached: bool = True,
    ) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.status = status
        self.retry_after = retry_after
        self.reached = reached


class TransientError(DeliveryError):
    """Worth another try later: the host is not there, busy, or not itself."""


class CredentialsRefused(DeliveryError):
    """401 or 403: the destination is paused until the license changes or a retry."""


class PermanentError(DeliveryError):
    """400, 413 or 422: this item will never be taken as it is."""
