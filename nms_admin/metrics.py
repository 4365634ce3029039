"""``/api/platform/v1/metrics``: when what ends, for Prometheus to watch.

Read from the database at each request into a registry of that request alone, so that it
is the same in whichever process answers. No subscription, name, host or token is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from common.api import api_needs
from common.roles import Role
from licensing import services as licensing
from licensing.services import Standing
from licensing.states import PHASES
from nms_admin import health_metrics
from usage import ledger
from usage.listing import limits
from usage.services import in_use

router = Router()
Source = Callable[[Standing, datetime], Iterable[Metric]]
TEXT = {"responses": {200: {"description": "OK", "content": {"text/plain": {}}}}}


@router.get("/metrics", openapi_extra=TEXT)
@api_needs(Role.VIEWER)
def read_metrics(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    """Return the figures of license and usage in the text format of Prometheus."""
    body = exposition(timezone.now())
    return HttpResponse(body, content_type=CONTENT_TYPE_PLAIN_0_0_4)


def exposition(now: datetime) -> bytes:
    """Return every figure as it stands at ``now``; what there is none of is left out."""
    registry = CollectorRegistry()
    registry.register(Collector(now))
    return generate_latest(registry)


class Collector:
    """Every figure at one moment, all of one reading of the license."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of each source."""
        standing = licensing.standing(self.now)
        for source in SOURCES:
            yield from source(standing, self.now)


def _license(standing: Standing, _now: datetime) -> Iterator[Metric]:
    state = standing.state
    phase = GaugeMetricFamily(
        "nms_license_phase", "1 for the phase the license is in.", labels=["phase"]
    )
    for name in PHASES:
        phase.add_metric([name], name == state.phase)
    yield phase
    yield from _moment(
        "nms_license_end_timestamp_seconds",
        "When the license ends: the end of its last day, UTC.",
        _end_of(state.ends_on),
    )
    yield from _moment(
        "nms_license_grace_end_timestamp_seconds",
        "When grace ends: the end of its last day, UTC. A trial has none.",
        None if state.trial else _end_of(state.grace_ends_on),
    )
    yield GaugeMetricFamily(
        "nms_license_warn_stage",
        "The stage of warning in days before the end (60, 30, 7); 0 before the first.",
        value=state.warn_stage or 0,
    )
    yield GaugeMetricFamily(
        "nms_license_provisional",
        "1 while the signature could not be checked yet and features work all the same.",
        value=state.provisional,
    )


def _reports(standing: Standing, _now: datetime) -> Iterator[Metric]:
    last = ledger.last_accepted()
    yield from _moment(
        "nms_usage_report_due_timestamp_seconds",
        "By when the next usage report has to be accepted: the end of that day, UTC.",
        _end_of(ledger.report_by(last, standing)),
    )
    yield from _moment(
        "nms_usage_report_last_accepted_timestamp_seconds",
        "When the last usage report was accepted whole.",
        last.accepted_at if last else None,
    )


def _entitlements(standing: Standing, now: datetime) -> Iterator[Metric]:
    found = standing.license
    limit = GaugeMetricFamily(
        "nms_entitlement_limit", "What the license allows.", labels=["feature"]
    )
    used = GaugeMetricFamily(
        "nms_entitlement_used",
        "What is in use: the higher of today and yesterday, UTC.",
        labels=["feature"],
    )
    for one in limits(found.entitlements.all() if found else [], in_use(now)):
        if one.limit is not None:
            limit.add_metric([one.feature], one.limit)
        if one.used is not None:
            used.add_metric([one.feature], one.used)
    yield limit
    yield used


def _connection(_standing: Standing, _now: datetime) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "nms_continuous_connection",
        "1 while Continuous Connection is on.",
        value=licensing.connection_on(),
    )


def _delivery(_standing: Standing, now: datetime) -> Iterator[Metric]:
    yield from health_metrics.queue_metrics(now)
    yield from health_metrics.delivery_metrics(now)
    yield from health_metrics.process_metrics(now)


# What there is to watch; another source goes here.
SOURCES: tuple[Source, ...] = (
    _license,
    _reports,
    _entitlements,
    _connection,
    _delivery,
)


def _moment(name: str, text: str, at: datetime | None) -> Iterator[Metric]:
    """Yield a moment in seconds since 1970; nothing when there is none."""
    if at is not None:
        yield GaugeMetricFamily(name, text, value=at.timestamp())


def _end_of(day: date | None) -> datetime | None:
    """Return the moment a day is over, UTC; the last there is when it is beyond."""
    if day is None:
        return None
    if day == date.max:
        return datetime.max.replace(tzinfo=UTC)
    return datetime.combine(day + timedelta(days=1), time(), UTC)
