"""Every data point that may leave for the receiver; what is not here cannot be sent."""

from __future__ import annotations

from dataclasses import replace

from common.dictionary import DataPoint, Field

VERSION = "1"

ENVELOPE = (
    Field(
        name="documentType",
        type="string",
        example="nms-telemetry",
        purpose="Says what the document is; always the same.",
    ),
    Field(
        name="documentVersion",
        type="string",
        example=VERSION,
        purpose="The version of this form.",
    ),
    Field(
        name="subscriptionId",
        type="string",
        example="SBX-00198432",
        purpose="The subscription of the license; the only name that is sent.",
    ),
    Field(
        name="telemetryId",
        type="uuid",
        example="0b5f3a52-6f0e-4b0e-9b44-0d9a4c8a5c11",
        purpose="Random, one per document: a repeated document is counted once.",
    ),
)

RECORD = (
    Field(
        name="dataPoint",
        type="string",
        example="login",
        purpose="Which data point this is.",
    ),
    Field(
        name="id",
        type="uuid",
        example="7d2f6b1e-52f4-4b5d-8a57-3c2f1e7d9b20",
        purpose="Random, one per event: a repeated event is counted once.",
    ),
    Field(
        name="timestamp",
        type="timestamp",
        example="2026-11-23T06:31:07Z",
        purpose="When it happened, to the second, in UTC.",
    ),
)


def _point(name: str, label: str, trigger: str, purpose: str) -> DataPoint:
    return DataPoint(
        name=name,
        label=label,
        trigger=trigger,
        purpose=purpose,
        fields=(replace(RECORD[0], example=name), *RECORD[1:]),
        since="0.1.0",
    )


INSTALLATION = _point(
    "installation",
    "Installation",
    "The first time the processes start",
    "To measure the time from installing to first use.",
)
LOGIN = _point(
    "login",
    "Login",
    "A person signs in, or an API client's credentials are verified afresh "
    "(at most once per account and 15 minutes)",
    "To see how often people or systems sign in. Nothing about the user is sent.",
)
PROCESS_START = _point(
    "process_start",
    "Start of a process",
    "One of the named processes starts; its name is not sent",
    "To see how often people upgrade or troubleshoot.",
)
PROCESS_STOP = _point(
    "process_stop",
    "Stop of a process",
    "One of the named processes stops; its name is not sent",
    "To see how often people upgrade or troubleshoot.",
)
DATA_PLANE_ADDED = _point(
    "data_plane_added",
    "Adding Data Plane(s)",
    "NGINX Agent registers for the first time",
    "To see how many data planes are added. Nothing about the data plane is sent.",
)

POINTS = (INSTALLATION, LOGIN, PROCESS_START, PROCESS_STOP, DATA_PLANE_ADDED)
BY_NAME = {point.name: point for point in POINTS}
