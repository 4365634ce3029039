"""The other way of a report: each of its files by itself, to the endpoint of 2.22.

What is sent are the files of records as they are in the ZIP. Each is accepted, or not,
by its own answer; the report ends when every file has one.

Source:
    decision 8; protocol.md 3.4
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from egress import destinations
from egress.destinations import BATCH, BULK, Destination
from egress.models import Attempt
from egress.transport import Answer
from usage import answers, document
from usage.models import Report, ReportFile

KIND = "report"  # of egress.Attempt


@dataclass(frozen=True)
class Part:
    """What one call carries; ``number`` is 0 for the empty list of an empty report."""

    number: int
    key: str
    body: bytes


def begun(report: Report) -> bool:
    """Return whether an answer to one of the files of an open report is here."""
    return report.percent > 0 and not report.status_id


def destination(report: Report | None = None) -> Destination | None:
    """Return where a report goes: what was begun one way ends that way.

    Without one, or before anything of it was taken, it is what the settings say.
    """
    name = destinations.usage()
    if report and report.status_id:
        name = BULK
    elif report and begun(report):
        name = BATCH
    return destinations.find(name)


def used(report: Report) -> bool:
    """Return whether a file of a report was sent by itself, as far as tries are kept."""
    tries = Attempt.objects.filter(kind=KIND, item=str(report.pk), destination=BATCH)
    return tries.exists()


def next_part(report: Report) -> Part | None:
    """Return what is to be sent next; None when every file has its answer."""
    key = f"{report.pk}-{{:02d}}".format
    if not report.files.exists():
        return Part(0, key(0), document.NOTHING)
    file = report.files.filter(accepted=None).first()
    if file is None:
        return None
    archive = b"".join(bytes(part.content) for part in report.parts.all())
    return Part(file.number, key(file.number), document.packed(archive)[file.name])


def take(answer: Answer, *, report: Report, part: Part) -> str:
    """Note that a file was accepted, and return its receipt; empty when none came.

    Raises:
        TransientError: The answer is no acceptance; nothing was noted.
    """
    receipt = answers.batch(answer, hashlib.sha256(part.body).hexdigest())
    _note(report, part, accepted=True, receipt=receipt)
    return receipt


def leave(report: Report, part: Part) -> None:
    """Note that a file was refused for good."""
    with transaction.atomic():
        _note(report, part, accepted=False)


def refusal(report: Report, files: list[ReportFile]) -> dict[str, Any] | None:
    """Return why a report ends as refused; None when one file was accepted."""
    if not files or any(one.accepted for one in files):
        return None
    tries = Attempt.objects.filter(kind=KIND, item=str(report.pk), destination=BATCH)
    last = tries.filter(outcome=Attempt.Outcome.REFUSED).order_by("-pk").first()
    said = last.sentence if last else ""
    return {"dead_reason": f"No file of it was accepted. {said}".strip()}


def _note(report: Report, part: Part, **answer: object) -> None:
    """Write an answer to a file down, and how many in percent have theirs."""
    report.files.filter(number=part.number).update(**answer)
    files = report.files.count()
    left = report.files.filter(accepted=None).count()
    percent = max(1, 100 * (files - left) // files) if files else 100
    Report.objects.filter(pk=report.pk).update(percent=percent)
