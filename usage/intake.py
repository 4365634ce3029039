"""Take messages of NGINX and of clusters, each once; count those turned away."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from threading import Lock

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Greatest
from django.views.decorators.debug import sensitive_variables

from common.access import is_within
from common.pruning import delete_some
from licensing import services as licensing
from usage.errors import MessageRefused
from usage.models import Cluster, ClusterDay, Period, Rejections, Reporter
from usage.reading import ClusterReport, Message

MOST_REPORTERS = 10_000
PRUNED = 20_000  # rows of a table in one run
MOST_REFUSALS = 20  # of one address in one minute; more are not even counted

_lock = Lock()
_refused: Counter[tuple[int, str]] = Counter()  # in this minute, by address


def allows_address(address: str) -> bool:
    """Return whether NMS_INTAKE_ALLOW holds this address; not when it is unknown."""
    try:
        return is_within(address, settings.NMS_INTAKE_ALLOW)
    except ValueError:
        return False


@sensitive_variables("token")
def check_trust(token: str, address: str, now: datetime) -> None:
    """Let a message pass from an allowed address, or with a license of ours.

    Raises:
        MessageRefused: ``no_license`` or ``wrong_license``, both 401.
    """
    if allows_address(address) or (token and licensing.is_ours(token, now)):
        return
    raise MessageRefused(
        "wrong_license" if token else "no_license",
        "This server does not know who reports here.",
        status=401,
        expected=(
            "Authorization: Bearer with the license added here, or an address in"
            " NMS_INTAKE_ALLOW"
        ),
        found="another license"
        if token
        else f"no license, from {address or 'an unknown address'}",
    )


def store(message: Message, now: datetime) -> bool:
    """Keep what NGINX said; False when the same was said before, which stays as it is.

    Raises:
        MessageRefused: ``too_many``: ten thousand reporters are known already.
    """
    try:
        with transaction.atomic():
            reporter = _reporter(message, now)
            Period.objects.create(
                reporter=reporter,
                since=message.since,
                until=message.until,
                received_at=now,
                version=message.version,
                waf=message.waf,
                requests=message.requests,
                bytes=message.bytes,
            )
    except IntegrityError:
        return False
    return True


def store_cluster(report: ClusterReport, now: datetime) -> Cluster:
    """Keep what a cluster says of itself, and the most it said on this UTC day."""
    counts = {name: getattr(report, name) for name in ("pods", "waf", "dos", "nodes")}
    with transaction.atomic():
        found, _ = Cluster.objects.update_or_create(
            uid=report.uid,
            defaults=counts | {"display_name": report.display_name, "updated_at": now},
            create_defaults=counts
            | {
                "display_name": report.display_name,
                "created_at": now,
                "updated_at": now,
            },
        )
        day, new = ClusterDay.objects.get_or_create(
            cluster=found, day=now.astimezone(UTC).date(), defaults=counts
        )
        if not new:
            more = {name: Greatest(F(name), count) for name, count in counts.items()}
            ClusterDay.objects.filter(pk=day.pk).update(**more)
    return found


def count_refusal(refusal: MessageRefused, address: str, now: datetime) -> int:
    """Count a message that was turned away, by day and reason.

    Returns:
        After how many seconds this address may try again; 0 when at once. An address
        that is refused more than ``MOST_REFUSALS`` times in a minute is not written
        down any more. Each process of the web server counts for itself.
    """
    minute, second = divmod(int(now.timestamp()), 60)
    with _lock:
        if _refused and next(iter(_refused))[0] != minute:
            _refused.clear()
        _refused[minute, address] += 1
        if _refused[minute, address] > MOST_REFUSALS:
            return 60 - second
    row, _ = Rejections.objects.get_or_create(
        day=now.astimezone(UTC).date(), reason=refusal.code
    )
    Rejections.objects.filter(pk=row.pk).update(count=F("count") + 1)
    return 0


def prune(now: datetime) -> int:
    """Delete what is older than NMS_RETENTION_DAYS; reporters and clusters stay.

    At most ``PRUNED`` rows of each table at once.
    """
    oldest = now - timedelta(days=settings.NMS_RETENTION_DAYS)
    day = oldest.astimezone(UTC).date()
    old = (
        Period.objects.filter(until__lt=int(oldest.timestamp())),
        ClusterDay.objects.filter(day__lt=day),
        Rejections.objects.filter(day__lt=day),
    )
    return sum(delete_some(rows, PRUNED) for rows in old)


def _reporter(message: Message, now: datetime) -> Reporter:
    """Return who reports, seen now; a new one while there is room."""
    seen = {"version": message.version, "waf": message.waf, "last_seen_at": now}
    if message.hostname:
        seen["hostname"] = message.hostname
    known = Reporter.objects.filter(uuid=message.uuid)
    if found := known.first():
        known.update(**seen)
        return found
    if Reporter.objects.count() >= MOST_REPORTERS:
        raise MessageRefused(
            "too_many",
            "No more instances are taken here.",
            status=429,
            expected=f"at most {MOST_REPORTERS} instances",
            found="another one",
        )
    return Reporter.objects.get_or_create(
        uuid=message.uuid, defaults=seen | {"first_seen_at": now}
    )[0]
