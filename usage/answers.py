"""What the vendor's answers to upload, status and download mean. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from egress.errors import TransientError
from egress.transport import Answer
from usage import acknowledgement
from usage.errors import AcknowledgementRefused

LARGEST = acknowledgement.LARGEST
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True)
class Status:
    """How far the vendor's check of an upload is; ``download_id`` once it is ready."""

    percent: int
    download_id: str


@dataclass(frozen=True)
class Acknowledged:
    """The acknowledgement of a report as it came, and what could be read of it."""

    body: bytes
    receipt: str
    checked: bool


def upload(answer: Answer) -> str:
    """Return the id to ask with; anything but 202 with a link is no acceptance.

    Raises:
        TransientError: It is another page, or not the answer we expect; so for all
            three.
    """
    number = link_id(_object(answer).get("statusLink"))
    if answer.status != 202 or not number:
        raise _not_understood(answer)
    return number


def status(answer: Answer) -> Status:
    """Return how far the check is."""
    content = _object(answer)
    percent, ready = content.get("percentageComplete"), content.get("readyForDownload")
    if type(percent) is not int or not isinstance(ready, bool):
        raise _not_understood(answer)
    number = link_id(content.get("downloadLink")) if ready else ""
    if ready and not number:
        raise _not_understood(answer)
    return Status(min(max(percent, 0), 100), number)


def download(
    answer: Answer,
    *,
    report_id: str,
    digest: str,
    jwks: Mapping[str, Any] | None,
    algorithms: Collection[str],
    files: int = 0,
) -> Acknowledged:
    """Return the acknowledgement, when it is one of this report.

    Args:
        digest: The SHA-256 of the report's manifest.
        jwks: The vendor's keys; None when none are at hand.
        algorithms: Those a signature may have.
        files: How many files of records the report holds.
    """
    try:
        said = acknowledgement.read(
            answer.body,
            report_id=report_id,
            digest=digest,
            jwks=jwks,
            algorithms=algorithms,
            files=files,
        )
    except AcknowledgementRefused as error:
        raise TransientError(error.code, error.sentence, status=answer.status) from None
    return Acknowledged(answer.body, said.receipt, said.checked)


def link_id(link: object) -> str:
    """Return the id at the end of a link in its long, short or doubled form.

    Returns:
        Empty when it is no link that ends in an id.

    Example:
        >>> link_id("/ee/v1/entitlements/telemetry/bulk/status/7f3a-01")
        '7f3a-01'
        >>> link_id("/bulk/status//status/7f3a-01"), link_id("/status/..")
        ('7f3a-01', '')
    """
    if not isinstance(link, str) or len(link) > 2000:
        return ""
    last = urlsplit(link).path.rstrip("/").rpartition("/")[2]
    return last if _ID.fullmatch(last) else ""


def _object(answer: Answer) -> dict[str, Any]:
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        content = None
    return content if isinstance(content, dict) else {}


def _not_understood(answer: Answer) -> TransientError:
    sentence = (
        "It answered something that is no answer to a report (a captive portal?)."
    )
    return TransientError("no_receipt", sentence, status=answer.status)
