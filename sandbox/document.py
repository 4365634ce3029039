"""The telemetry document, checked as strictly as a vendor might."""

from __future__ import annotations

import json
import re
from typing import Any

from sandbox.wire import Refused, Request

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
RECORD_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
MOMENT = re.compile(
    r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ",
    re.ASCII,
)
DATA_POINTS = {
    "installation",
    "login",
    "process_start",
    "process_stop",
    "data_plane_added",
}
DOCUMENT_KEYS = {
    "documentType",
    "documentVersion",
    "subscriptionId",
    "telemetryId",
    "telemetryRecords",
}
RECORD_KEYS = {"id", "dataPoint", "timestamp"}


def read_document(request: Request) -> dict[str, Any]:
    """Return the telemetry document of a request, checked against its schema.

    Raises:
        Refused: 415 for another media type, 400 when it is not JSON, 422 with
            the offending field otherwise.
    """
    media_type = request.fields.get("content-type", "").partition(";")[0].strip()
    if media_type != "application/json" or "content-encoding" in request.fields:
        raise Refused(415, "The document must be plain application/json.")
    try:
        document = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "The body is not JSON.") from error
    problem = problem_in(document)
    if problem:
        raise Refused(422, problem)
    return dict(document)


def problem_in(document: object) -> str | None:
    """Return what is wrong with a telemetry document; None when it is right."""
    if not isinstance(document, dict) or document.keys() != DOCUMENT_KEYS:
        return "The document must have exactly its five documented keys."
    if document["documentType"] != "nms-telemetry":
        return "documentType must be nms-telemetry."
    if document["documentVersion"] != "1":
        return "documentVersion must be 1."
    subscription = document["subscriptionId"]
    if not isinstance(subscription, str) or not subscription:
        return "subscriptionId must be text."
    if not _is_text(document["telemetryId"], UUID):
        return "telemetryId must be a lower-case UUID."
    records = document["telemetryRecords"]
    if not isinstance(records, list) or not records:
        return "telemetryRecords must be a list with at least one record."
    for index, record in enumerate(records):
        if not is_record(record):
            return f"telemetryRecords[{index}] is not {{id, dataPoint, timestamp}}."
    return None


def is_record(record: object) -> bool:
    """Whether a value is one record: an id, a known data point, a UTC second."""
    return (
        isinstance(record, dict)
        and record.keys() == RECORD_KEYS
        and _is_text(record["id"], RECORD_ID)
        and isinstance(record["dataPoint"], str)
        and record["dataPoint"] in DATA_POINTS
        and _is_text(record["timestamp"], MOMENT)
    )


def _is_text(value: object, form: re.Pattern[str]) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None
