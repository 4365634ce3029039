"""The one serializer: events to the exact bytes that are sent, and back."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from common.dictionary import json_schema
from telemetry import catalog

DailyCounts = list[tuple[str, date, int]]


class Fact(NamedTuple):
    """One event as it goes out."""

    uid: uuid.UUID
    data_point: str
    occurred_at: datetime


def build(telemetry_id: uuid.UUID, subscription: str, facts: Sequence[Fact]) -> bytes:
    """Return the document: UTF-8 JSON, keys sorted, no blanks, times to the second.

    Raises:
        KeyError: A fact's data point is not in the catalogue.

    Source:
        decision 5
    """
    return _encode(
        telemetry_id,
        subscription,
        [
            {
                "dataPoint": catalog.BY_NAME[fact.data_point].name,
                "id": str(fact.uid),
                "timestamp": _seconds(fact.occurred_at),
            }
            for fact in facts
        ],
    )


def _seconds(moment: datetime) -> str:
    """Return a moment as in ``2026-11-23T06:31:07Z``."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"


def read(body: bytes) -> list[Fact]:
    """Return the facts of a document of ours, in order."""
    return [
        Fact(
            uuid.UUID(record["id"]),
            record["dataPoint"],
            datetime.strptime(record["timestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(
                tzinfo=UTC
            ),
        )
        for record in json.loads(body)["telemetryRecords"]
    ]


def count(facts: Sequence[Fact]) -> DailyCounts:
    """Return how many facts there are of each data point and UTC day, in order."""
    counter = Counter(
        (fact.data_point, fact.occurred_at.astimezone(UTC).date()) for fact in facts
    )
    return [(point, day, n) for (point, day), n in sorted(counter.items())]


def example(data_point: str) -> bytes:
    """Return a document with one record, made of the catalogue's examples."""
    values = {field.name: field.example for field in catalog.ENVELOPE}
    point = catalog.BY_NAME[data_point]
    record = {field.name: field.example for field in point.fields}
    record["dataPoint"] = point.name
    return _encode(uuid.UUID(values["telemetryId"]), values["subscriptionId"], [record])


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a document: what is not in it cannot be sent."""
    record = json_schema(catalog.RECORD)
    record["properties"]["dataPoint"] = {"enum": list(catalog.BY_NAME)}
    records = {"type": "array", "minItems": 1, "items": record}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **json_schema(catalog.ENVELOPE, telemetryRecords=records),
    }


def _encode(
    telemetry_id: uuid.UUID, subscription: str, records: list[dict[str, str]]
) -> bytes:
    content = {
        "documentType": "nms-telemetry",
        "documentVersion": catalog.VERSION,
        "subscriptionId": subscription,
        "telemetryId": str(telemetry_id),
        "telemetryRecords": records,
    }
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()
