"""System checks: settings that contradict each other or the machine, each with a hint."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register

from common import locks
from dataplanes import address
from licensing.keys import file_set

TAG = "nms"


@register(TAG)
def settings_fit(**_: Any) -> list[CheckMessage]:
    """Return what is wrong with the NMS_* settings taken together."""
    return [*_network(), *_agents(), *_files(), *_keys(), *_policy()]


def _network() -> Iterator[CheckMessage]:
    for name in settings.NMS_TRUSTED_PROXIES:
        try:
            ip_network(name, strict=False)
        except ValueError:
            yield Error(
                f"NMS_TRUSTED_PROXIES holds {name!r}, which is no address or network.",
                hint="Write addresses such as 10.0.0.5 or 10.0.0.0/24, with commas.",
                id="nms.E001",
            )
    if not settings.HTTPS and not address.is_loopback(settings.NMS_BIND):
        yield Error(
            f"NMS_BIND is {settings.NMS_BIND} and NMS_PUBLIC_URL is plain http.",
            hint="Plain http is for this host only: set NMS_TLS_CERT and NMS_TLS_KEY,"
            " or listen on 127.0.0.1 behind a proxy that speaks https.",
            id="nms.E002",
        )
    proxy = urlsplit(settings.NMS_PROXY_URL)
    if settings.NMS_PROXY_URL and not (
        proxy.scheme in ("http", "https") and proxy.hostname
    ):
        yield Error(
            "NMS_PROXY_URL is not the address of a proxy.",
            hint="Write http://user:password@host:port; user and password if needed.",
            id="nms.E003",
        )


def _agents() -> Iterator[CheckMessage]:
    try:
        host, _ = address.bound()
    except ValueError as error:
        yield Error(
            f"{error}, which is no address and port.",
            hint="Write 127.0.0.1:8443, or [::1]:8443 for IPv6.",
            id="nms.E008",
        )
        return
    if not settings.NMS_TLS_CERT and not address.is_loopback(host):
        yield Error(
            f"NMS_DPM_BIND is {settings.NMS_DPM_BIND} and there is no NMS_TLS_CERT.",
            hint="Agents send their token: set NMS_TLS_CERT and NMS_TLS_KEY, or listen"
            " on 127.0.0.1 behind an NGINX that speaks TLS.",
            id="nms.E009",
        )


def _files() -> Iterator[CheckMessage]:
    if settings.NMS_TLS_CERT:
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(settings.NMS_TLS_CERT, settings.NMS_TLS_KEY)
        except (OSError, ssl.SSLError) as error:
            yield Error(
                f"NMS_TLS_CERT and NMS_TLS_KEY cannot be used together: {error}",
                hint="Both are PEM files this user can read, and belong together.",
                id="nms.E004",
            )
    if settings.NMS_CA_BUNDLE:
        try:
            ssl.create_default_context().load_verify_locations(settings.NMS_CA_BUNDLE)
        except (OSError, ssl.SSLError) as error:
            yield Error(
                f"NMS_CA_BUNDLE cannot be read: {error}",
                hint="It is a PEM file with the certificates to trust besides.",
                id="nms.E005",
            )
    folder = Path(settings.NMS_DATA_DIR)
    if folder.exists() and folder.stat().st_mode & 0o077:
        yield checks.Warning(
            f"{folder} can be read by others.",
            hint=f"It holds keys: chmod 700 {folder}",
            id="nms.W006",
        )


def _keys() -> Iterator[CheckMessage]:
    problem = file_set().problem
    if settings.NMS_JWKS_FILE and not settings.SANDBOX and problem:
        yield checks.Warning(
            f"No license can be checked: {problem}.",
            hint="NMS_JWKS_FILE is the vendor's key set (JWKS) as a file.",
            id="nms.W007",
        )


def _policy() -> Iterator[CheckMessage]:
    """Warn about a policy file that is not obeyed as it was meant; never stop a start."""
    for name in (locks.TELEMETRY, locks.INTERACTION_DATA):
        found = locks.of_file(name)
        if found and found.problem:
            yield checks.Warning(
                f"{name} is off: {found.sentence}.",
                hint=f"Write one line, {name} = on or {name} = off.",
                id="nms.W010",
            )
        elif found and found.on and settings.DO_NOT_TRACK:
            yield checks.Warning(
                f"{name} is off: DO_NOT_TRACK is set, and NMS_POLICY_FILE says on.",
                hint="Unset DO_NOT_TRACK, or write off in the file.",
                id="nms.W011",
            )
