"""Where agents reach this server, and the configuration that tells them so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from django.conf import settings

PLACEHOLDER = "TOKEN"
CONFIGURATION = """\
server:
  host: {host}
  grpcPort: {port}
  token: "{token}"
tls:
  enable: {tls}
  skip_verify: false
"""


@dataclass(frozen=True)
class Address:
    """A host and port agents connect to, and whether by TLS."""

    host: str
    port: int
    tls: bool


def bound() -> tuple[str, int]:
    """Return host and port of NMS_DPM_BIND.

    Raises:
        ValueError: It is not written ``host:port``.
    """
    host, _, port = settings.NMS_DPM_BIND.rpartition(":")
    if not host or not re.fullmatch(r"\d{1,5}", port):
        raise ValueError(f"NMS_DPM_BIND is {settings.NMS_DPM_BIND!r}")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a host by that name or address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def public() -> Address:
    """Return where agents find this server.

    A listener only this machine reaches, in a console the world reaches, stands behind
    NGINX: agents then use the console's own name and port, by TLS.
    """
    console = urlsplit(settings.NMS_PUBLIC_URL)
    name = console.hostname or ""
    host, port = bound()
    if is_loopback(host) and not is_loopback(name):
        return Address(name, console.port or 443, tls=True)
    return Address(name, port, tls=bool(settings.NMS_TLS_CERT))


def configuration(token: str = PLACEHOLDER) -> str:
    """Return ``/etc/nginx-agent/nginx-agent.conf`` for an agent of this server."""
    at = public()
    tls = "true" if at.tls else "false"
    return CONFIGURATION.format(host=at.host, port=at.port, token=token, tls=tls)
