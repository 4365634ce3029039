"""The audit log as a file, with its digests, for whoever checks it elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_safe

from audit import listing, services
from audit.models import Record
from audit.services import Place
from common.access import client_address, operator_required
from common.exports import csv_line, download
from common.http import HtmxRequest
from common.models import Via
from nms_admin import activity
from nms_admin.audit_page import FilterForm, address_of_page, may_see_addresses

COLUMNS = ("sequence", "at", "actor", "action", "subject", "via", "address")
KINDS = {"CSV": ("text/csv", "csv"), "JSON": ("application/x-ndjson", "jsonl")}


@dataclass(frozen=True)
class Export:
    """What is exported: the records, where the chain ends, when, for whom."""

    records: Iterable[Record]
    head: Place
    now: datetime
    query: dict[str, str]
    addresses: bool


@operator_required
@require_safe
def export_csv(request: HtmxRequest) -> HttpResponseBase:
    """Download the records that match as CSV; the last line is the head."""
    return _export(request, "CSV")


@operator_required
@require_safe
def export_json(request: HtmxRequest) -> HttpResponseBase:
    """Download the records that match, a JSON object a line; the first is the head."""
    return _export(request, "JSON")


def _export(request: HtmxRequest, form: str) -> HttpResponseBase:
    """Record the export first, so that it is the last record of what is taken."""
    asked = FilterForm(request.GET)
    if not asked.is_valid():
        return redirect(address_of_page(asked.query()))
    now = timezone.now()
    if request.method == "GET":
        services.record(
            "audit.exported",
            now=now,
            actor=request.user.get_username(),
            via=Via.SETTINGS,
            subject=form,
            address=client_address(request),
            details=asked.query(),
        )
    head = Place(*services.head())
    found = listing.records(asked.filters(), upto=head.sequence)
    export = Export(found, head, now, asked.query(), may_see_addresses(request))
    kind, ending = KINDS[form]
    lines = _csv(export) if form == "CSV" else _json(export)
    return download(lines, kind, f"audit-log-{now:%Y-%m-%d}.{ending}")


def _csv(export: Export) -> Iterator[str]:
    columns = [name for name in COLUMNS if export.addresses or name != "address"]
    yield csv_line(*columns, "sentence", "details", "previous", "digest")
    for one in export.records:
        members = services.members(one)
        yield csv_line(
            *(members[name] for name in columns),
            activity.line(one).sentence,
            json.dumps(one.details, sort_keys=True),
            one.previous,
            one.digest,
        )
    head = {"sequence": export.head.sequence, "at": export.now.isoformat()}
    named = (head.get(name, "") for name in columns)
    yield csv_line(*named, "Head of the chain", "", "", export.head.digest)


def _json(export: Export) -> Iterator[str]:
    heading = {
        "head": {"sequence": export.head.sequence, "digest": export.head.digest},
        "exportedAt": export.now.isoformat(),
        "filters": export.query,
        "addresses": export.addresses,
    }
    yield f"{json.dumps(heading)}\n"
    for one in export.records:
        members = services.members(one) | {"digest": one.digest}
        if not export.addresses:
            del members["address"]
        yield f"{json.dumps(members)}\n"
