"""A license in the shape of the documented API: plain values in, a document out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from common.models import Via
from licensing.models import Entitlement, License
from licensing.states import State
from licensing.terms import Standing

NUMBERS = uuid.UUID("6f3a3d6e-5b0c-4a35-9f0d-0a5f5cf0a6f1")
PRODUCT = "NGINX Management Suite"


@dataclass(frozen=True)
class Beside:
    """What the document says besides the license.

    ``entitled`` is in the license's order. ``used`` holds the features that are counted
    here and of which something was reported; ``events`` names and numbers.
    """

    entitled: Sequence[Entitlement]
    used: Mapping[str, int]
    connection: bool
    reported_at: datetime | None
    events: Mapping[str, int]


def document(standing: Standing, beside: Beside) -> dict[str, Any]:
    """Return the document of ``/license``; never the license's text.

    Source:
        docs/license.md, from what public clients read
    """
    found, state = standing.license, standing.state
    features = _entitled(beside.entitled, state)
    return {
        "metadata": {
            "name": "license",
            "kind": "license",
            "uid": _number(found) if found else "",
            **({"createTime": _time(found.applied_at)} if found else {}),
        },
        "desiredState": {
            "content": "******" if found else "",
            "type": found.kind if found else "",
            "features": [],
        },
        "currentStatus": {
            "modeOfOperation": standing.mode.upper(),
            "subscription": {"id": found.subscription_id if found else ""},
            "entitlement": {"features": features},
            "state": {"currentInstance": _instance(standing, features, beside)},
            "events": dict(beside.events),
        },
    }


def word(standing: Standing) -> str:
    """Return the word clients wait for, step by step.

    What was added by the API becomes ACTIVATED and goes on by PUT; what was added on a
    page needs no PUT. In disconnected mode the first acknowledged report completes it.
    """
    found, state = standing.license, standing.state
    if found is None or state.activation not in ("VALID", "CONFIG_REPORT_READY"):
        return state.activation
    confirmed = found.via != Via.API or found.confirmed_at is not None
    if standing.connected:
        return state.activation if confirmed else "ACTIVATED"
    if found.acknowledged_at:
        return "VALID"
    return "CONFIG_REPORT_READY" if confirmed else "INITIALIZE_ACTIVATION_COMPLETE"


def _instance(
    standing: Standing, features: Sequence[Mapping[str, Any]], beside: Beside
) -> dict[str, Any]:
    found, state = standing.license, standing.state
    days = "gracePeriodRemainingDays" if state.phase == "grace" else "daysUntilExpiry"
    reported = beside.reported_at
    return {
        "id": _number(found) if found else "",
        "type": PRODUCT,
        "version": settings.NMS_API_VERSION,
        "status": word(standing),
        "fileType": found.kind if found else "",
        "telemetry": beside.connection,
        **({"telemetryLastReported": _time(reported)} if reported else {}),
        "features": [
            {
                "id": row["id"],
                "name": row["name"],
                days: state.days_left,
                **_use(row, beside.used.get(row["id"])),
            }
            for row in features
        ],
        "configState": {
            "selfConfigState": {
                "isConfigured": state.usable,
                "isConfiguring": state.phase == "waiting",
                "isError": state.phase == "expired",
                "isDeleting": False,
            },
            "conditions": [],
        },
    }


def _use(row: Mapping[str, Any], used: int | None) -> dict[str, Any]:
    """Return how much of a feature is in use; nothing where nobody measured it.

    This server is the whole of what it counts, so ``aggregateUsed`` is the same number.
    ``remaining`` needs a limit that the license names.
    """
    if used is None:
        return {}
    counted: dict[str, Any] = {"used": used, "aggregateUsed": used}
    if "unitOfMeasure" in row:
        counted["unitOfMeasure"] = row["unitOfMeasure"]
        if not row["unlimited"]:
            counted["remaining"] = max(0, row["limit"] - used)
    return counted


def _entitled(rows: Sequence[Entitlement], state: State) -> list[dict[str, Any]]:
    """Return the features; always at least one, because clients read the first."""
    expiry = str(state.ends_on) if state.ends_on else ""
    features = [
        {
            "name": row.feature,
            "id": row.feature,
            "type": "",
            "limit": row.limit,
            "unlimited": row.unlimited,
            "unitOfMeasure": row.unit,
            "expiry": expiry,
            "gracePeriodDays": 0 if state.trial else 90,
        }
        for row in rows
    ]
    return features or [
        {"name": "NGINX_INSTANCES", "id": "NGINX_INSTANCES", "limit": 0}
    ]


def _number(found: License) -> str:
    """Return a license's own identity here, which says nothing of its content."""
    return str(uuid.uuid5(NUMBERS, f"license {found.pk}"))


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
