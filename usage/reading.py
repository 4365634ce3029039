"""What NGINX and Kubernetes clusters send -> checked values, or why it is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from django.conf import settings

from usage import counting
from usage.errors import MessageRefused

MOST_BYTES = 64 * 1024
MOST = 1 << 62
AHEAD = timedelta(seconds=300)
LONGEST = timedelta(days=400)
MOST_PODS = 1_000_000
_UUID = re.compile(r"[0-9A-Za-z-]{1,36}")
_UID = re.compile(r"[0-9A-Za-z._-]{1,64}")
_ACTIVE = {"active": True, "inactive": False, "": False}


@dataclass(frozen=True, kw_only=True)
class Message:
    """What one NGINX said of ``[since, until)``, in seconds since 1970 (UTC).

    ``requests`` and ``bytes`` are those to and from clients. The form in a header
    (``usage_header``) has no counts: NGINX was there in that hour, no more.
    """

    uuid: str
    hostname: str
    version: str
    waf: bool
    since: int
    until: int
    requests: int = 0
    bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class ClusterReport:
    """What one Kubernetes cluster says of itself now."""

    uid: str
    display_name: str
    pods: int
    waf: int
    dos: int
    nodes: int


def usage_json(body: bytes, now: datetime) -> Message:
    """Read the JSON document of NGINX Plus R33 and later.

    Raises:
        MessageRefused: With the code of the first check that failed: ``too_large``,
            ``not_json``, ``uuid``, ``text``, ``nap``, ``number`` or ``period``.

    Source:
        docs/usage.md: the fields are documented, their limits are ours
    """
    found = _object(body)
    uuid, waf = _uuid(found), _nap(found)
    hostname, version = _text(found, "hostname", 255), _text(found, "version", 40)
    client = {kind: _part(_part(found, kind), "client") for kind in ("http", "stream")}
    size = sum(
        _number(part, name, MOST)
        for part in client.values()
        for name in ("received", "sent")
    )
    if size >= MOST:
        _wrong_number("received and sent together", size, MOST)
    since, until = _number(found, "start_time", MOST), _number(found, "end_time", MOST)
    _check_period(since, until, now)
    return Message(
        uuid=uuid,
        hostname=hostname,
        version=version,
        waf=waf,
        since=since,
        until=until,
        requests=_number(client["http"], "requests", MOST),
        bytes=size,
    )


def usage_header(value: str, now: datetime) -> Message:
    """Read ``Version=…;Hostname=…;uuid=…;nap=…``, the form of a health check.

    Raises:
        MessageRefused: As ``usage_json``, or ``no_header``.

    Source:
        docs/usage.md
    """
    if not value or len(value) > 1024:
        _refuse(
            "no_header",
            "There is no usable Nginx-Usage header.",
            expected="Version=…;Hostname=…;uuid=…;nap=active or inactive",
            found=f"{len(value)} characters",
        )
    pairs = (part.partition("=") for part in value.split(";"))
    found = {name.strip().lower(): text.strip() for name, _, text in pairs}
    hour = int(now.timestamp()) // counting.HOUR
    return Message(
        uuid=_uuid(found),
        hostname=_text(found, "hostname", 255),
        version=_text(found, "version", 40),
        waf=_nap(found),
        since=hour * counting.HOUR,
        until=(hour + 1) * counting.HOUR,
    )


def cluster(body: bytes, uid: str) -> ClusterReport:
    """Read the body of ``PUT /k8s-usage/{uid}``.

    Args:
        body: The JSON document.
        uid: The cluster's uid in the address; the body must name the same.

    Raises:
        MessageRefused: With the code of the first check that failed: ``not_json``,
            ``uid``, ``text`` or ``number``.

    Source:
        docs/usage.md
    """
    found = _object(body)
    metadata = _part(found, "metadata")
    pods = _part(_part(found, "pod_details"), "current_pod_counts")
    if not _UID.fullmatch(uid) or metadata.get("uid") != uid:
        _refuse(
            "uid",
            "The address and metadata.uid must name the same cluster.",
            expected=uid[:64],
            found=_shown(metadata.get("uid")),
        )
    return ClusterReport(
        uid=uid,
        display_name=_text(metadata, "displayName", 255),
        pods=_number(pods, "pod_count", MOST_PODS),
        waf=_number(pods, "waf_count", MOST_PODS),
        dos=_number(pods, "dos_count", MOST_PODS),
        nodes=_number(found, "node_count", MOST_PODS),
    )


def _refuse(code: str, sentence: str, *, expected: str, found: str) -> NoReturn:
    printable = "".join(c if c.isprintable() else "?" for c in found)
    raise MessageRefused(code, sentence, expected=expected, found=printable)


def _object(body: bytes) -> dict[str, Any]:
    if len(body) > MOST_BYTES:
        raise MessageRefused(
            "too_large",
            "The message is too large.",
            status=413,
            expected=f"at most {MOST_BYTES} bytes",
            found=f"{len(body)} bytes",
        )
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        _refuse(
            "not_json",
            "The body is not a JSON object.",
            expected="a JSON object",
            found=f"{len(body)} bytes",
        )
    return found


def _part(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an object inside another; nothing was counted where it is missing."""
    part = found.get(name, {})
    if not isinstance(part, dict):
        _refuse(
            "not_json",
            f"{name} is not a JSON object.",
            expected="a JSON object",
            found=_shown(part),
        )
    return part


def _uuid(found: Mapping[str, Any]) -> str:
    value = found.get("uuid")
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        _refuse(
            "uuid",
            "The message does not say which NGINX it is from.",
            expected="uuid: 1 to 36 letters, digits and hyphens",
            found=_shown(value),
        )
    return value.lower()


def _text(found: Mapping[str, Any], name: str, most: int) -> str:
    value = found.get(name, "")
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        _refuse(
            "text",
            f"{name} cannot be read.",
            expected=f"at most {most} printable characters",
            found=_shown(value),
        )
    return value.strip()


def _nap(found: Mapping[str, Any]) -> bool:
    value = found.get("nap", "")
    if not isinstance(value, str) or value.lower() not in _ACTIVE:
        _refuse(
            "nap",
            "nap does not say whether the WAF is active.",
            expected="active or inactive",
            found=_shown(value),
        )
    return _ACTIVE[value.lower()]


def _number(found: Mapping[str, Any], name: str, most: int) -> int:
    value = found.get(name, 0)
    if type(value) is not int or not 0 <= value < most:
        return _wrong_number(name, value, most)
    return value


def _wrong_number(name: str, value: object, most: int) -> NoReturn:
    _refuse(
        "number",
        f"{name} is no count.",
        expected=f"a whole number from 0 to {most - 1}",
        found=_shown(value),
    )


def _check_period(since: int, until: int, now: datetime) -> None:
    seconds = int(now.timestamp())
    oldest = seconds - settings.NMS_RETENTION_DAYS * 24 * counting.HOUR
    latest = seconds + int(AHEAD.total_seconds())
    if oldest < until <= latest and 0 < until - since <= LONGEST.total_seconds():
        return
    _refuse(
        "period",
        "start_time and end_time are no period that can be counted.",
        expected=(
            f"start_time before end_time, at most {LONGEST.days} days apart, and"
            f" end_time from {oldest} to {latest}"
        ),
        found=f"{since} to {until}",
    )


def _shown(value: object) -> str:
    """Return a value as it may be shown: short."""
    if value is None:
        return "nothing"
    return value[:100] if isinstance(value, str) else f"{json.dumps(value)[:100]}"
