"""What a message of an agent tells of its data plane: bounded, readable text only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dataplanes.agent_pb2 import Command, HostInfo, NginxDetails

LIMITS = {
    "name": 255,
    "hostname": 255,
    "os": 100,
    "agent_version": 40,
    "nginx_version": 100,
}
VERSIONS = 8  # of NGINX on one data plane are named; all are counted


@dataclass(frozen=True)
class Sighting:
    """What one message told: fields of ``DataPlane`` that it knew, no others.

    ``shows_nginx`` is what registers: an agent without NGINX says that it runs, too.
    """

    shows_nginx: bool = False
    facts: dict[str, str | int | bool] = field(default_factory=dict)


def read(command: Command) -> Sighting:
    """Return what a command tells; nothing for the kinds we do not read."""
    if command.HasField("agent_connect_request"):
        request = command.agent_connect_request
        version = request.meta.version.removeprefix(b"v")
        texts = {
            **_host(request.host),
            "name": request.meta.display_name or request.host.display_name,
            "agent_version": version,
        }
        return Sighting(True, {**_clean(texts), **_nginx(request.details)})
    status = command.dataplane_status  # empty in other kinds
    shows = bool(status.details or status.healths)
    return Sighting(shows, {**_clean(_host(status.host)), **_nginx(status.details)})


def agent_version(user_agent: str) -> str:
    """Return the version an agent's ``user-agent`` states; empty when it states none."""
    name, _, version = user_agent.partition(" ")[0].partition("/")
    limit = LIMITS["agent_version"]
    return text(version.encode(), limit) if name == "nginx-agent" else ""


def text(raw: bytes, limit: int) -> str:
    """Return text of at most ``limit`` printable characters, whatever the bytes are."""
    decoded = raw[: limit * 4].decode("utf-8", "replace")
    return "".join(filter(str.isprintable, decoded)).strip()[:limit]


def _host(host: HostInfo) -> dict[str, bytes]:
    release = b" ".join((host.release.name, host.release.version_id)).strip()
    return {
        "name": host.display_name,
        "hostname": host.hostname,
        "os": release or host.os_type,
    }


def _clean(texts: dict[str, bytes]) -> dict[str, str | int | bool]:
    cleaned = {name: text(raw, LIMITS[name]) for name, raw in texts.items()}
    return {name: value for name, value in cleaned.items() if value}


def _nginx(details: Iterable[NginxDetails]) -> dict[str, str | int | bool]:
    """Return versions and number of the NGINX there; an nginx_id counts once."""
    found = {one.nginx_id: one for one in details}
    if not found:
        return {}
    limit = LIMITS["nginx_version"]
    versions = sorted({text(one.version, limit) for one in found.values()} - {""})
    return {
        "nginx_version": ", ".join(versions[:VERSIONS])[:limit],
        "plus": any(one.plus.enabled for one in found.values()),
        "instances": len(found),
    }
