"""What Prometheus reads about delivery and processes; labels name no host."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Count, Sum
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from egress import destinations, gate
from egress.models import Attempt
from nms_admin.health_processes import alive, newest
from nms_admin.health_queue import queues
from nms_admin.processes import all_processes
from telemetry import ledger
from telemetry.models import DailyCount

LATELY = timedelta(days=1)


def queue_metrics(now: datetime) -> Iterable[Metric]:
    """Yield what waits by state, what was refused, and the age of the oldest."""
    size = GaugeMetricFamily(
        "nms_queue_size",
        "How many wait: events, and usage reports; refused wait for a person.",
        labels=["queue", "state"],
    )
    oldest = GaugeMetricFamily(
        "nms_queue_oldest_age_seconds",
        "For how long the oldest that waits has waited; 0 when nothing does.",
        labels=["queue"],
    )
    for queue in queues():
        for state, count in queue.waiting.items():
            size.add_metric([queue.name, state], count)
        size.add_metric([queue.name, "refused"], queue.refused)
        age = (now - queue.oldest).total_seconds() if queue.oldest else 0
        oldest.add_metric([queue.name], max(age, 0))
    yield size
    yield oldest


def delivery_metrics(now: datetime) -> Iterable[Metric]:
    """Yield tries by outcome, gates, events by how they ended, the last receipt."""
    tries = GaugeMetricFamily(
        "nms_attempts_last_day",
        "Tries of the last 24 hours by how they ended.",
        labels=["destination", "outcome"],
    )
    lately = Attempt.objects.filter(started_at__gt=now - LATELY).exclude(outcome="")
    counted = lately.values_list("destination", "outcome").annotate(n=Count("pk"))
    for destination, outcome, number in counted.order_by("destination", "outcome"):
        tries.add_metric([destination, outcome], number)
    yield tries
    yield from _gates()
    ended = CounterMetricFamily(
        "nms_events", "Events by how they ended.", labels=["outcome"]
    )
    known = dict(DailyCount.objects.values_list("outcome").annotate(n=Sum("count")))
    for outcome in DailyCount.Outcome.values:
        ended.add_metric([outcome], known.get(outcome, 0))
    yield ended
    if last := ledger.last_reported_at():
        yield GaugeMetricFamily(
            "nms_receipt_last_timestamp_seconds",
            "When a batch of events was accepted last.",
            value=last.timestamp(),
        )


def _gates() -> Iterable[Metric]:
    is_open = GaugeMetricFamily(
        "nms_gate_open",
        "1 while calls may go there; 0 after a failure, or while paused.",
        labels=["destination"],
    )
    failures = GaugeMetricFamily(
        "nms_gate_failures",
        "How many calls to its host failed in a row.",
        labels=["destination"],
    )
    for one in destinations.configured():
        closed = gate.state(one.host)
        is_open.add_metric([one.name], not closed and not gate.paused(one.name))
        failures.add_metric([one.name], closed.failures if closed else 0)
    yield is_open
    yield failures


def process_metrics(now: datetime) -> Iterable[Metric]:
    """Yield on how many hosts each process lives, its heartbeat and its last work."""
    up = GaugeMetricFamily(
        "nms_process_up",
        "On how many hosts the process was seen in the last 3 minutes.",
        labels=["process"],
    )
    seen = GaugeMetricFamily(
        "nms_process_heartbeat_timestamp_seconds",
        "When the process was seen last, on whichever host.",
        labels=["process"],
    )
    worked = GaugeMetricFamily(
        "nms_process_worked_timestamp_seconds",
        "When the process last did what it is for; only integrations says so.",
        labels=["process"],
    )
    runs = newest(now)
    for name in [one.name for one in all_processes() if one.reported]:
        mine = [run for run in runs if run.name == name]
        up.add_metric([name], sum(alive(run, now) for run in mine))
        if mine:
            seen.add_metric([name], max(run.seen_at for run in mine).timestamp())
        if done := [run.worked_at for run in mine if run.worked_at]:
            worked.add_metric([name], max(done).timestamp())
    yield up
    yield seen
    yield worked
