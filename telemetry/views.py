"""Settings > Telemetry: what is captured, what waits, what was sent."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import (
    require_http_methods,
    require_POST,
    require_safe,
)

from common.access import (
    administrator_required,
    client_address,
    may,
    operator_required,
    sign_in_required,
)
from common.exports import csv_line, download
from common.http import HtmxRequest
from common.roles import Role
from common.templatetags.nms import byte_size
from egress import destinations, gate
from licensing import services as licensing
from telemetry import catalog, delivery, document, ledger, services, states, tasks
from telemetry.ledger import Filters
from telemetry.models import Batch
from usage import catalog as usage
from usage import ledger as reports

DAYS = 14
EXPORT = 50_000


@sign_in_required
@require_safe
def page(request: HtmxRequest) -> HttpResponse:
    """Show what is captured, the plot, the ledger and the next document."""
    now = timezone.now()
    standing = licensing.standing(now, request.set_up)
    terms = standing.terms
    context = _ledger(request, held=bool(terms.hold))
    if request.htmx.target == "ledger":
        return render(request, "telemetry/_ledger_answer.html", context)
    why, tally = services.why(now, standing), ledger.tally(DAYS, now)
    outcome = states.outcome(why)
    context |= {
        "now": now,
        "terms": terms,
        "on": outcome != "off",
        "waiting": services.waiting(now, terms),
        "totals": ledger.totals(DAYS, now),
        "trouble": _trouble(),
        "why": why,
        "outcome": states.OUTCOMES[outcome],
        "points": _points(now, tally),
        "product_usage": reports.summary(DAYS, now),
        "plot": _plot(now, tally, held=bool(terms.hold)),
        "discarded": ledger.discarded(),
        "statuses": [(key, label) for key, (label, _) in ledger.STATUSES.items()],
        "preview": _preview(request, now, terms),
        "hold_window": _span(settings.NMS_HOLD_WINDOW),
        "can_try": may(request.user, Role.OPERATOR),
        "can_delete": may(request.user, Role.ADMINISTRATOR),
    }
    return render(request, "telemetry/page.html", context)


@sign_in_required
@require_safe
def batch(request: HtmxRequest, number: uuid.UUID) -> HttpResponse:
    """Show one batch: the document as sent, every try, the receipt."""
    found = Batch.objects.filter(pk=number).first()
    if found is None:
        raise Http404
    attempts = ledger.attempts_of(found)
    row = ledger.row_of(found, attempts[-1] if attempts else None)
    shown = may(request.user, Role.OPERATOR)
    context = {
        "row": row,
        "open": "close" not in request.GET,
        "attempts": attempts,
        "may_see": shown,
        "body": _text(found.body) if shown else "",
        "answer": _text(found.receipt_body) if shown else "",
        "can_delete": may(request.user, Role.ADMINISTRATOR),
    }
    template = "telemetry/_row.html" if request.htmx else "telemetry/batch.html"
    return render(request, template, context)


@operator_required
@require_POST
def try_now(request: HtmxRequest) -> HttpResponse:
    """Open the gate for one try and wake a worker."""
    services.try_now(timezone.now())
    soon = tasks.nudge()
    messages.info(
        request, "Sending now." if soon else "It will be sent within a minute."
    )
    return redirect("ui-telemetry")


@administrator_required
@require_http_methods(["GET", "POST"])
def delete_held(request: HtmxRequest) -> HttpResponse:
    """Ask, and delete the events that wait for a license."""
    if request.method == "POST":
        total = services.delete_held(**_who(request))
        messages.info(request, f"{_events(total)} deleted. Nothing was sent.")
        return redirect("ui-telemetry")
    held = services.waiting().held
    return render(request, "telemetry/delete_held.html", {"held": held})


@administrator_required
@require_POST
def retry(request: HtmxRequest, number: uuid.UUID) -> HttpResponse:
    """Let a refused batch wait again, with the same bytes."""
    done = services.retry_batch(number, **_who(request))
    return _told(request, number, done, "It is sent again with the next delivery.")


@administrator_required
@require_POST
def discard(request: HtmxRequest, number: uuid.UUID) -> HttpResponse:
    """Give a refused batch up for good."""
    done = services.discard_batch(number, **_who(request))
    return _told(request, number, done, "It is discarded and will not be sent again.")


@sign_in_required
@require_safe
def export(request: HtmxRequest) -> StreamingHttpResponse:
    """Download the ledger that is shown as CSV, without the documents."""
    filters = replace(_filters(request), after="")
    if request.method == "GET":
        services.note_export(**_who(request))
    return download(_csv(filters), "text/csv", "telemetry-ledger.csv")


@sign_in_required
@require_safe
def data_points(_request: HtmxRequest) -> JsonResponse:
    """Download the catalogue as JSON."""
    content = {
        "documentVersion": catalog.VERSION,
        "document": [asdict(field) for field in catalog.ENVELOPE],
        "dataPoints": [asdict(point) for point in catalog.POINTS],
        "schema": document.schema(),
        "usageReport": {
            "version": usage.VERSION,
            "manifest": [asdict(field) for field in usage.ENVELOPE],
            "dataPoints": [asdict(point) for point in usage.POINTS],
        },
    }
    return JsonResponse(content, json_dumps_params={"indent": 2})


def _ledger(request: HtmxRequest, *, held: bool) -> dict[str, Any]:
    filters = _filters(request)
    rows, older = ledger.rows(filters, held=held)
    query = {"q": filters.search, "status": filters.status, "point": filters.point}
    query = {name: value for name, value in query.items() if value}
    return {
        "filters": filters,
        "rows": rows,
        "older_url": _link(query | {"after": older}) if older else "",
        "first_url": _link(query) if filters.after else "",
        "export_query": urlencode(query),
        "catalogue": catalog.POINTS,
    }


def _filters(request: HtmxRequest) -> Filters:
    return Filters(
        search=request.GET.get("q", "")[:200].replace("\0", ""),
        status=request.GET.get("status", ""),
        point=request.GET.get("point", ""),
        after=request.GET.get("after", ""),
    )


def _link(query: dict[str, str]) -> str:
    return f"{reverse('ui-telemetry')}?{urlencode(query)}#ledger"


def _trouble() -> dict[str, Any]:
    """Return why nothing goes out although it might: a pause, or a closed gate."""
    destination = destinations.find(delivery.DESTINATION)
    host = destination.host if destination else ""
    closed = gate.state(host)
    failure = gate.last_failure(host) if closed else None
    return {
        "destination": destination,
        "paused": gate.paused(delivery.DESTINATION),
        "gate": closed,
        "because": destinations.label_of(failure.destination) if failure else "",
    }


def _points(now: datetime, tally: ledger.Tally) -> list[dict[str, Any]]:
    """Return the rows of *What is captured*; start and stop share one, as documented."""
    counts = ledger.point_counts(DAYS, now, tally)
    rows = [
        {"point": point, "label": point.label, "count": counts[point.name]}
        for point in catalog.POINTS
        if point is not catalog.PROCESS_STOP
    ]
    start = next(row for row in rows if row["point"] is catalog.PROCESS_START)
    stop = counts[catalog.PROCESS_STOP.name]
    start |= {
        "label": "Start/Stop processes",
        "trigger": "One of the named processes starts or stops; its name is not sent",
        "count": counts[catalog.PROCESS_START.name].with_(stop),
    }
    return rows


def _plot(now: datetime, tally: ledger.Tally, *, held: bool) -> dict[str, Any]:
    days = ledger.counts(DAYS, now, tally)
    name, kind = ("Held", "held") if held else ("Pending", "info")
    accepted, waiting, refused = map(sum, (days.accepted, days.waiting, days.refused))
    return {
        "days": days.days,
        "series": [
            {"kind": "ok", "name": "Accepted", "counts": days.accepted},
            {"kind": kind, "name": name, "counts": days.waiting},
            {"kind": "bad", "name": "Refused", "counts": days.refused},
        ],
        "label": (
            f"Events per day in the last {DAYS} days: {accepted} accepted, "
            f"{waiting} {name.lower()}, {refused} refused."
        ),
    }


def _preview(
    request: HtmxRequest, now: datetime, terms: licensing.Terms
) -> dict[str, Any]:
    point = request.GET.get("preview", "")
    shown = services.preview(now, point, terms)
    return {
        "kind": shown.kind,
        "body": shown.body.decode(),
        "bar": f"application/json · {byte_size(len(shown.body))}",
        "digest": shown.digest,
        "point": catalog.BY_NAME.get(point),
        "may_see": may(request.user, Role.OPERATOR),
    }


def _who(request: HtmxRequest) -> dict[str, Any]:
    return {
        "by": request.user.get_username(),
        "address": client_address(request),
        "now": timezone.now(),
    }


def _told(
    request: HtmxRequest, number: uuid.UUID, done: bool, said: str
) -> HttpResponse:
    messages.info(request, said if done else "It is not refused any more.")
    if Batch.objects.filter(pk=number).exists():
        return redirect("telemetry-batch", number=number)
    return redirect("ui-telemetry")


def _events(number: int) -> str:
    return f"{number} event{'' if number == 1 else 's'}"


def _span(length: timedelta) -> str:
    hours = length.total_seconds() / 3600
    return f"{hours:g} hour{'' if hours == 1 else 's'}"


def _text(body: bytes | memoryview) -> str:
    return bytes(body).decode(errors="replace")


def _csv(filters: Filters) -> Iterator[str]:
    yield csv_line(
        "sealed",
        "status",
        "events",
        "data points",
        "subscription",
        "batch",
        "sha256",
        "tries",
        "accepted",
        "receipt",
        "reason",
    )
    for found in ledger.batches(filters)[:EXPORT].iterator(chunk_size=500):
        yield csv_line(
            found.sealed_at.isoformat(),
            ledger.STATUSES[ledger.status_of(found)][0],
            found.event_count,
            ledger.describe(found),
            found.subscription_id,
            found.pk,
            found.sha256,
            found.attempts,
            found.acknowledged_at.isoformat() if found.acknowledged_at else "",
            found.receipt,
            found.dead_reason or found.discarded_reason,
        )
