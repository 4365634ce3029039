"""Make usage reports: one at a time, in bytes that never change again."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction

from audit import services as audit
from common import choices, faults
from common.models import Via
from common.pruning import delete_some
from common.sealing import SealBroken
from licensing import services as licensing
from licensing.models import License
from usage import batch, changes, delivery, document
from usage.changes import Changes
from usage.document import Document, Heading
from usage.errors import ReportRefused
from usage.models import Report, ReportFile, ReportPart, Reports, Schedule, Total

log = structlog.get_logger(__name__)
PART = 1024 * 1024
PRUNED = 200  # parts, and acknowledgements, in one run
DAY = timedelta(days=1)
NOBODY_YET = uuid.UUID(int=0)  # the id shown before there is a report


@dataclass(frozen=True)
class Outcome:
    """The report somebody asked for, and what was done.

    ``done`` is ``built``, ``selected`` (it waited already), ``running`` (it was being
    sent already; nothing was changed) or ``nothing_new`` (the report is the last one).
    """

    report: Report
    done: str


def refusal(
    standing: licensing.Standing, *, by_hand: bool = False
) -> ReportRefused | None:
    """Return why no report can be made under this license now; None when it can.

    Args:
        by_hand: It is to be carried, which goes in disconnected mode too.
    """
    found, state = standing.license, standing.state
    if standing.finished_at is None:
        return ReportRefused("setup", "Finish set-up first; then usage can be sent.")
    if found is None:
        return ReportRefused(
            "no_license",
            "There is no license, so it is not known whose usage this is. Add the JSON"
            " Web Token from MyF5. Usage is counted meanwhile.",
        )
    if found.kind != License.Kind.JWT:
        return ReportRefused(
            "smime",
            "An S/MIME license cannot carry a usage report. Replace it with the JSON"
            " Web Token from MyF5. Usage is counted meanwhile.",
        )
    if not by_hand and not standing.connected:
        return ReportRefused(
            "disconnected",
            "This server is disconnected, so usage cannot be sent from here. Reports"
            " are carried by hand.",
        )
    if not state.usable:
        return ReportRefused(
            "license",
            "The license is not valid now, so no report goes out under it. Replace it"
            " with a current one from MyF5. Usage is counted meanwhile.",
        )
    return None


def send(
    *, by: str, via: str, now: datetime, address: str = "", force: bool = False
) -> Outcome:
    """Build a report because somebody asks, or let the open one go now.

    It holds what is new up to this moment; what today still brings is in a later one.

    Args:
        by: User name of who asks.
        via: One of ``common.models.Via``.
        address: That user's IP address, for the audit record only.
        force: Build one although there is nothing new.

    Raises:
        ReportRefused: None can be made now; nothing was changed.
    """
    standing = licensing.standing(now)
    if refused := refusal(standing):
        raise refused
    today = now.astimezone(UTC).date()
    found = changes.since_last_report(now, today)
    with transaction.atomic():
        _lock()
        waiting = _open(standing, now)
        if waiting and waiting.selected_at and not delivery.trouble(waiting):
            return Outcome(waiting, "running")
        report = waiting
        if report is None:
            found = _still(found, now, today)
            last = Report.objects.filter(dead_at=None).first()
            if last and not found.counts and not force:
                return Outcome(last, "nothing_new")
            report = _store(found, standing, by=by, via=via, now=now)
        report.selected_at, report.selected_by, report.due_at = now, by, now
        report.save(update_fields=["selected_at", "selected_by", "due_at"])
        audit.record(
            "usage.report_selected",
            now=now,
            actor=by,
            via=via,
            subject=str(report.pk),
            address=address,
            details={"digest": report.digest},
        )
        delivery.try_now(report, now)
    _remember(report)
    return Outcome(report, "selected" if waiting else "built")


def carry(*, by: str, via: str, now: datetime) -> Report:
    """Return the open report to be carried by hand; build one when something is new.

    Asking again gives the same report until something new was counted: a later one
    then takes its place and holds its usage too. A report that is on its way by itself
    stays as it is.

    Args:
        by: User name of who asks.
        via: One of ``common.models.Via``.

    Raises:
        ReportRefused: None can be made now; nothing was changed.
    """
    standing = licensing.standing(now)
    if refused := refusal(standing, by_hand=True):
        raise refused
    today = now.astimezone(UTC).date()
    found = changes.since_last_report(now, today)
    with transaction.atomic():
        _lock()
        waiting = _open(standing, now)
        found = _still(found, now, today)
        if waiting and (_on_its_way(waiting) or not found.counts):
            return waiting
        if waiting:
            _replace(waiting, now)
            found = changes.since_last_report(now, today)
        report = _store(found, standing, by=by, via=via, now=now)
    _remember(report)
    return report


def build_due(now: datetime) -> Report | None:
    """Build the daily report when its time has come; None when it has not.

    It holds the days that have ended. Schedulers that ask at once make one report; a
    time that passed while nothing ran is made up once. Nothing is built while
    Continuous Connection is off.
    """
    standing = licensing.standing(now)
    if refusal(standing) or not licensing.connection_on():
        return None
    schedule = _planned(now)
    if schedule.next_at is None or schedule.next_at > now:
        return None
    yesterday = now.astimezone(UTC).date() - DAY
    found = changes.since_last_report(now, yesterday)
    with transaction.atomic():
        due = schedule.next_at
        following = due + DAY * ((now - due) // DAY + 1)
        mine = Schedule.objects.filter(pk=1, next_at=due)
        if not mine.update(next_at=following) or _open(standing, now):
            return None  # somebody else's, or it goes into the one after this
        report = _store(
            _still(found, now, yesterday),
            standing,
            by=audit.NOBODY,
            via=Via.SYSTEM,
            now=now,
        )
    _remember(report)
    return report


def preview(now: datetime) -> Document:
    """Return what Send Usage would build now, by the function that builds; unsaved.

    Raises:
        ReportRefused: None can be made now.
    """
    standing = licensing.standing(now)
    if refused := refusal(standing, by_hand=True):
        raise refused
    found = changes.since_last_report(now, now.astimezone(UTC).date())
    return _document(NOBODY_YET, found, standing)


def archive_of(report: Report) -> bytes:
    """Return a report's ZIP as it was built; empty after retention."""
    return b"".join(bytes(part.content) for part in report.parts.all())


def built() -> int:
    """Return how many reports were ever built, as far as this database knows."""
    return Report.objects.values_list("sequence", flat=True).first() or 0


def next_at() -> datetime | None:
    """Return when the next daily report is made; None before the first license."""
    return Schedule.objects.filter(pk=1).values_list("next_at", flat=True).first()


def begin_after(moment: datetime) -> None:
    """Report only days after a moment: those before may have been sent already.

    Args:
        moment: The ``sealed_until`` of before a backup was restored.
    """
    Schedule.objects.update_or_create(
        pk=1, defaults={"begins_on": moment.astimezone(UTC).date() + DAY}
    )


def prune(now: datetime) -> int:
    """Delete the bytes of reports that ended before NMS_RETENTION_DAYS.

    An open one of that age is given up. Digests and totals stay. At most ``PRUNED``
    parts and acknowledgements at once: they are large.

    Returns:
        How many parts were deleted.
    """
    limit = now - timedelta(days=settings.NMS_RETENTION_DAYS)
    old = Report.objects.filter(built_at__lt=limit)
    _close(old.open(), "It waited longer than reports are kept.", now)
    said = old.exclude(acknowledgement=b"").values_list("pk", flat=True)
    emptied = list(said.order_by("sequence")[:PRUNED])
    Report.objects.filter(pk__in=emptied).update(acknowledgement=b"")
    return delete_some(ReportPart.objects.filter(report__in=old), PRUNED)


def _remember(report: Report) -> None:
    choices.remember_sealed(report.built_at, reports=report.sequence)


def _lock() -> Schedule:
    """Make building wait for each other until the transaction ends."""
    return Schedule.objects.select_for_update().get_or_create(pk=1)[0]


def _planned(now: datetime) -> Schedule:
    """Return the schedule, with a first time; never more than a day ahead.

    The first one is a minute of the day chosen at random, so that installations do not
    all report at once; it stays for every day after.
    """
    schedule = Schedule.objects.get_or_create(pk=1)[0]
    if schedule.next_at is None:
        chosen = now + timedelta(minutes=1 + secrets.randbelow(24 * 60))
        Schedule.objects.filter(pk=1, next_at=None).update(next_at=chosen)
        schedule.refresh_from_db()
    elif (ahead := schedule.next_at - now) > DAY:  # the clock was wrong for a while
        nearer = schedule.next_at - DAY * (ahead // DAY)
        Schedule.objects.filter(pk=1, next_at=schedule.next_at).update(next_at=nearer)
        schedule.refresh_from_db()
    return schedule


def _open(standing: licensing.Standing, now: datetime) -> Report | None:
    """Return the open report of this subscription; close those of ended ones."""
    mine = standing.terms.subscription_id or ""
    _close(
        Report.objects.open().exclude(subscription_id=mine),
        "Its subscription ended; its usage goes into the next report.",
        now,
    )
    return Report.objects.open().first()


def _close(reports: Reports, reason: str, now: datetime) -> None:
    reports.update(dead_at=now, dead_reason=reason, lease=None, leased_until=None)


def _on_its_way(report: Report) -> bool:
    begun = report.lease or report.status_id or report.selected_at
    return bool(begun or batch.begun(report))


def _replace(report: Report, now: datetime) -> None:
    mine = Report.objects.open().filter(pk=report.pk)
    mine.update(replaced=True)
    _close(mine, "A later report took its place and holds its usage too.", now)


def _still(found: Changes, now: datetime, last: date) -> Changes:
    """Return the changes anew when a report was built or refused since."""
    if (found.after, found.beside) == changes.last_numbers():
        return found
    return changes.since_last_report(now, last)


def _store(
    found: Changes,
    standing: licensing.Standing,
    *,
    by: str,
    via: str,
    now: datetime,
) -> Report:
    """Insert a report with the bytes that will be sent, whatever happens later."""
    number = uuid.uuid4()
    made = _document(number, found, standing)
    days = [one.day for one in found.counts]
    report = Report.objects.create(
        id=number,
        sequence=found.after + 1,
        subscription_id=standing.terms.subscription_id or "",
        license_id=standing.terms.license_id or 0,
        detail=settings.NMS_USAGE_DETAIL,
        first_day=min(days, default=None),
        last_day=max(days, default=None),
        record_count=len(found.counts) + len(found.instances),
        digest=made.digest,
        previous_digest=_previous_digest(),
        file_sha256=made.file_sha256,
        size=len(made.archive),
        built_at=now,
        built_by=by,
        via=via,
        due_at=now,
    )
    _store_content(report, made, found)
    audit.record(
        "usage.report_built",
        now=now,
        actor=by,
        via=via,
        subject=str(number),
        details={"digest": made.digest, "sequence": report.sequence},
    )
    faults.reach("usage.building")
    log.info("report.built", report=str(number), records=report.record_count)
    return report


def _store_content(report: Report, made: Document, found: Changes) -> None:
    """Insert the bytes of a report, its files, and what it says."""
    ReportPart.objects.bulk_create(
        ReportPart(
            report=report, number=at // PART, content=made.archive[at : at + PART]
        )
        for at in range(0, len(made.archive), PART)
    )
    ReportFile.objects.bulk_create(
        ReportFile(
            report=report,
            number=at,
            name=one.name,
            sha256=one.sha256,
            size=one.size,
            first_day=one.first_day,
            last_day=one.last_day,
            record_count=one.record_count,
        )
        for at, one in enumerate(made.files, 1)
    )
    Total.objects.bulk_create(
        Total(
            report=report,
            day=one.day,
            feature=one.feature,
            count=one.count,
            revises_id=one.revises or None,
        )
        for one in found.counts
    )


def _document(
    number: uuid.UUID, found: Changes, standing: licensing.Standing
) -> Document:
    try:
        token = licensing.token(standing.terms.license_id or 0)
    except SealBroken as error:
        raise ReportRefused("license", str(error)) from None
    heading = Heading(
        report_id=str(number),
        sequence=found.after + 1,
        subscription_id=standing.terms.subscription_id or "",
        detail=settings.NMS_USAGE_DETAIL,
        previous_digest=_previous_digest(),
        audit_head=audit.head()[1],
        token=token,
    )
    most = document.MOST_RECORDS
    return document.build(heading, found.counts, found.instances, most=most)


def _previous_digest() -> str:
    return Report.objects.values_list("digest", flat=True).first() or ""
