"""What the vendor's answers to upload, status, download and batch mean. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from egress.errors import PermanentError, TransientError
from egress.transport import Answer
from usage import acknowledgement
from usage.errors import AcknowledgementRefused

LARGEST = acknowledgement.LARGEST
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True)
class Status:
    """How far the vendor's check of an upload is; ``download_id`` once it is ready.

    ``successful`` is how much of it was accepted, in percent; None when not told.
    """

    percent: int
    download_id: str
    successful: int | None = None


@dataclass(frozen=True)
class Acknowledged:
    """The acknowledgement of a report as it came, and what could be read of it."""

    body: bytes
    receipt: str
    checked: bool
    left_out: tuple[str, ...] = ()


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


def batch(answer: Answer, sha256: str) -> str:
    """Return the receipt of a file sent by itself; empty when the answer names none.

    The public client looks at the status alone; that 202 is no acceptance is from
    there. What the answer holds is not public: JSON is taken unless it names another
    file, any other text is not.

    Args:
        sha256: Of the bytes that were sent.

    Raises:
        TransientError: It is no acceptance.
    """
    if answer.status not in (200, 201, 204):
        raise _not_understood(answer)
    if not answer.body.strip():
        return ""
    content = _object(answer)
    if not content or content.get("sha256", sha256) != sha256:
        raise _not_understood(answer)
    receipt = content.get("receiptId")
    return receipt[:200] if isinstance(receipt, str) else ""


def status(answer: Answer) -> Status:
    """Return how far the check is."""
    content = _object(answer)
    percent, ready = content.get("percentageComplete"), content.get("readyForDownload")
    good = content.get("percentageSuccessful")
    if type(percent) is not int or not isinstance(ready, bool):
        raise _not_understood(answer)
    number = link_id(content.get("downloadLink")) if ready else ""
    if ready and not number:
        raise _not_understood(answer)
    successful = min(max(good, 0), 100) if type(good) is int else None
    return Status(min(max(percent, 0), 100), number, successful)


def download(
    answer: Answer,
    *,
    report_id: str,
    digest: str,
    jwks: Mapping[str, Any] | None,
    algorithms: Collection[str],
    files: Mapping[str, str],
    successful: int | None,
) -> Acknowledged:
    """Return the acknowledgement, when it is one of this report.

    What it says of files counts; ``successful`` does only when nothing of it can be
    read: without a name of what was accepted, nothing is taken as accepted.

    Args:
        digest: The SHA-256 of the report's manifest.
        jwks: The vendor's keys; None when none are at hand.
        algorithms: Those a signature may have.
        files: The names and SHA-256 of the report's files of records.
        successful: What the status told, in percent.

    Raises:
        PermanentError: None of it was accepted, or a part and it is not told which.
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
        last = error.code in ("partial", "none_accepted")
        kind = PermanentError if last else TransientError
        raise kind(error.code, error.sentence, status=answer.status) from None
    if not said.receipt and files and successful is not None and successful < 100:
        sentence = f"It accepted {successful}% of the report and does not say which."
        raise PermanentError("partial", sentence, status=answer.status)
    return Acknowledged(answer.body, said.receipt, said.checked, said.left_out)


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
