"""What pages show of usage reports: each one's line, how far it is, how it was sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Exists, OuterRef

from common import setup
from common.templatetags.nms import byte_size
from egress.destinations import BATCH
from egress.models import Attempt, Gate, Pause
from licensing import services as licensing
from licensing import states
from usage import batch, catalog, delivery
from usage.models import Report, ReportFile, Total

SHOWN_FOR = timedelta(minutes=10)  # an ended report beside the button that sent it
SLOW_AFTER = timedelta(seconds=60)
LISTED = 100
STATUSES = {
    "waiting": ("Waiting", "info"),
    "retrying": ("Trying again", "warn"),
    "checking": ("Being checked", "info"),
    "accepted": ("Accepted", "ok"),
    "partly_accepted": ("Partly accepted", "warn"),
    "refused": ("Refused", "bad"),
    "replaced": ("Replaced", ""),
}
CALLS = {
    "usage": "Upload",
    "usage-batch": "Upload of one file",
    "usage-status": "Question how far it is",
    "usage-download": "Download of the acknowledgement",
}


@dataclass(frozen=True)
class Row:
    """One report with the words that describe it."""

    report: Report

    @property
    def status(self) -> str:
        """Return the key of ``STATUSES`` that tells how far the report is."""
        if self.report.accepted_at:
            return "partly_accepted" if self.report.left_out else "accepted"
        if self.report.dead_at:
            return "replaced" if self.report.replaced else "refused"
        if self.report.status_id:
            return "checking"
        return "retrying" if self.report.attempts or self.report.crashes else "waiting"

    @property
    def label(self) -> str:
        """Return the status in words."""
        return STATUSES[self.status][0]

    @property
    def kind(self) -> str:
        """Return the kind of pill that shows the status."""
        return STATUSES[self.status][1]

    @property
    def how(self) -> str:
        """Return whether a person asked for the report, or carried it."""
        if self.report.carried_at and not self.report.uploaded_at:
            return "By hand"
        return "Manual" if self.report.selected_at else "Automatic"

    @property
    def by(self) -> str:
        """Return who asked for it, else who built it."""
        return self.report.selected_by or self.report.built_by

    @property
    def ended_at(self) -> datetime | None:
        """Return when the vendor accepted or refused it; None while it is open."""
        return self.report.accepted_at or self.report.dead_at


@dataclass(frozen=True)
class Step:
    """One step of a report on its way: ``state`` is done, now, bad or todo."""

    text: str
    state: str


@dataclass(frozen=True)
class Progress:
    """How far a report is, for the card beside the button.

    ``percent`` is of the whole way; ``files`` is how many it holds. ``polls`` says whether asking again in a second
    makes sense, ``key`` names what is shown. ``trouble`` is a pause or a closed gate.
    """

    row: Row
    steps: list[Step]
    percent: int
    instances: int
    trouble: Gate | Pause | None
    paused: bool
    slow: bool
    report_by: date | None
    files: int

    @property
    def polls(self) -> bool:
        """Return whether the next answer may differ soon."""
        return not self.row.ended_at and not self.paused and not self.slow

    @property
    def key(self) -> str:
        """Return a name of what is shown, so that an answer without news swaps nothing."""
        report = self.row.report
        far = f"{self.row.status}-{report.percent}-{report.attempts}"
        return f"{report.pk}-{far}-{'bad' if self.trouble else 'now'}"


@dataclass(frozen=True)
class Totals:
    """What a report says, as a table; a cell is None where it says nothing."""

    features: list[str]
    rows: list[tuple[date, list[tuple[str, Total | None]]]]


def rows() -> list[Row]:
    """Return the newest reports, the last one first, without their acknowledgements."""
    return [Row(report) for report in Report.objects.defer("acknowledgement")[:LISTED]]


def last_accepted() -> Report | None:
    """Return the last report that was accepted whole; only such a one is counted.

    One that was accepted in part moves no date.

    Source:
        docs/decisions/0005-a-part-of-a-report.md
    """
    accepted = Report.objects.accepted().defer("acknowledgement")
    return accepted.order_by("-accepted_at").first()


def open_report() -> Report | None:
    """Return the last report the vendor has neither accepted nor refused."""
    return Report.objects.open().defer("acknowledgement").first()


def summary(days: int, now: datetime) -> dict[str, object]:
    """Return the data point, how many reports were accepted lately, and the last."""
    since = now - timedelta(days=days)
    return {
        "point": catalog.PRODUCT_USAGE,
        "count": Report.objects.accepted().filter(accepted_at__gte=since).count(),
        "last": last_accepted(),
    }


def report_by(last: Report | None, standing: licensing.Standing) -> date | None:
    """Return the last day for the next report; None when F5 names none.

    Args:
        last: The last report that was accepted.
        standing: The license in force, with the operation mode.
    """
    if last:
        return states.report_by(last.accepted_at, None, disconnected=False)
    if standing.connected:
        return None
    added = licensing.activated_at(standing.license)
    return states.report_by(None, added, disconnected=True)


def shown(now: datetime) -> Report | None:
    """Return the report whose outcome stands beside the button; None when none does.

    It is the last one somebody asked for, while it is open and ten minutes longer.
    """
    report = Report.objects.exclude(selected_at=None).defer("acknowledgement").first()
    if report is None:
        return None
    ended = Row(report).ended_at
    return report if ended is None or now - ended < SHOWN_FOR else None


def progress(
    report: Report, now: datetime, recipient: str, due: date | None
) -> Progress:
    """Return how far a report is.

    Args:
        recipient: Who checks it, as a sentence names it: F5, or the test receiver.
        due: The day by which the next one is wanted; None when none is named.
    """
    row, trouble = Row(report), delivery.trouble(report)
    if row.ended_at:
        trouble = None
    instances = instances_of(report)
    since = report.selected_at or report.built_at
    begun = bool(report.status_id or batch.begun(report))
    accepted = report.accepted_at is not None
    built = Step(f"Report built, {_content(report, instances)}", "done")
    bad = bool(trouble or report.dead_at)
    steps = _files_sent if goes_alone(report) else _bulk_steps
    return Progress(
        row,
        [built, *steps(report, recipient, bad=bad)],
        percent=100 if accepted else 30 + 6 * report.percent // 10 if begun else 15,
        instances=instances,
        trouble=trouble,
        paused=isinstance(trouble, Pause),
        slow=now - since > SLOW_AFTER,
        report_by=due,
        files=report.files.count(),
    )


def instances_of(report: Report) -> int:
    """Return how many NGINX instances a report says of its last day."""
    found = Total.objects.filter(report=report, feature="NGINX_INSTANCES")
    return found.order_by("-day").values_list("count", flat=True).first() or 0


def totals_of(report: Report) -> Totals:
    """Return what a report says: a row per day, a cell per feature."""
    found = {(one.day, one.feature): one for one in report.totals.all()}
    features = sorted({feature for _, feature in found})
    days = sorted({day for day, _ in found})
    return Totals(
        features,
        [(day, [(one, found.get((day, one))) for one in features]) for day in days],
    )


def files_of(report: Report) -> list[ReportFile]:
    """Return the files of a report, when they are of interest.

    Returns:
        Empty for one that was accepted whole, or waits, in one file: it says nothing
        the report does not say itself. A file that goes by itself is always of interest.
    """
    found = list(report.files.all())
    shown = len(found) > 1 or report.left_out or goes_alone(report)
    return found if shown else []


def goes_alone(report: Report | None = None) -> bool:
    """Return whether the files of a report go, or went, each by itself.

    Args:
        report: Without one, the next one is meant. What is carried by hand goes whole.
    """
    if report and Row(report).ended_at:
        return batch.used(report)
    destination = batch.destination(report)
    alone = destination is not None and destination.name == BATCH
    return alone and setup.operation_mode() == "connected"


def rest_of(report: Report) -> list[Report]:
    """Return the later reports that say again what was left out of one, in order."""
    left = Total.objects.filter(report=report, left_out=True)
    pairs = left.filter(day=OuterRef("day"), feature=OuterRef("feature"))
    later = Total.objects.filter(
        Exists(pairs), report__sequence__gt=report.sequence, report__dead_at=None
    )
    found = Report.objects.filter(pk__in=later.values("report"))
    return list(found.defer("acknowledgement").order_by("sequence"))


def attempts_of(report: Report) -> list[dict[str, object]]:
    """Return every call made for a report, the first one first, with what it was."""
    tries = Attempt.objects.filter(kind=batch.KIND, item=str(report.pk))
    return [
        {"row": one, "call": CALLS.get(one.destination, one.destination)}
        for one in tries.order_by("started_at", "pk")
    ]


def _bulk_steps(report: Report, recipient: str, *, bad: bool) -> list[Step]:
    """Return the steps of an upload that is checked, then acknowledged."""
    accepted = report.accepted_at is not None
    uploaded = bool(report.status_id) or accepted
    far = f", {report.percent}%" if report.percent and not accepted else ""
    verb = "has checked" if accepted else "is checking"
    return [
        Step(
            "Uploaded" if uploaded else f"Uploading to {recipient}",
            _state(done=uploaded, bad=bad),
        ),
        Step(
            f"{_first(recipient)} {verb} the report{far}",
            _state(done=accepted, bad=uploaded and bad, todo=not uploaded),
        ),
    ]


def _files_sent(report: Report, recipient: str, *, bad: bool) -> list[Step]:
    """Return the one step of files that each go by themselves."""
    accepted = report.accepted_at is not None
    files = report.files.count()
    sent = files - report.files.filter(accepted=None).count()
    many = f", {sent} of {files} files" if files > 1 and not accepted else ""
    text = "Uploaded" if accepted else f"Uploading to {recipient}{many}"
    return [Step(text, _state(done=accepted, bad=bad))]


def _state(*, done: bool, bad: bool, todo: bool = False) -> str:
    if done:
        return "done"
    return "bad" if bad else "todo" if todo else "now"


def _content(report: Report, instances: int) -> str:
    many = f"{instances} instance{'' if instances == 1 else 's'}"
    if not report.record_count:
        many = "no usage"
    return f"{many}, {byte_size(report.size)}"


def _first(text: str) -> str:
    return text[:1].upper() + text[1:]
