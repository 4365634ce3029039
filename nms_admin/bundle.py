"""The support bundle: one ZIP that tells how an installation is, without its secrets.

Names of hosts become ``host-1``, ..., addresses ``address-1``, ..., subscriptions
``subscription-1``, ...: the same name for the same thing in every file. What the server
knows as a secret, and what looks like one, is taken out of every file at the end.
"""

from __future__ import annotations

import io
import json
import platform
import re
import socket
import zipfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from importlib import metadata
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from django.apps import apps
from django.conf import settings
from django.db import connection

from audit import services as audit
from common.models import Via
from egress import destinations
from egress.models import Attempt, Gate, Pause
from licensing.models import License
from nms_admin import health, metrics
from nms_admin.logs import without_secrets
from telemetry.models import ProcessRun

ATTEMPTS = 500
SHORTEST = 4  # characters of a secret that is replaced wherever it stands
MASKED = re.compile(r"KEY|SECRET|PASSWORD|TOKEN")
ADDRESS = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])")
OURS = {"", "localhost", "127.0.0.1", "0.0.0.0", "::1", "*"}  # noqa: S104
PACKAGES = ("django", "celery", "gunicorn", "requests", "grpcio", "cryptography")
README = """Support bundle of NGINX Management Suite admin

health.json    what System health shows
metrics.txt    what Prometheus reads
gates.json     which hosts are not called now, and why
attempts.json  the last 500 calls: when, how long, how they ended; not what was sent
settings.json  settings in force; secrets only as "set" or "not set"
rows.json      how many rows each table holds
versions.json  versions of the product, Python, packages, database

Hosts, addresses and subscriptions are numbered. Tokens, passwords and keys were taken
out. Logs are not kept by the product; add those of your service manager if asked for.
"""


def write(now: datetime, *, actor: str, via: Via, address: str = "") -> bytes:
    """Return the ZIP, at most about a megabyte, and record that somebody took it."""
    audit.record(
        "support.bundle_downloaded", now=now, actor=actor, via=via, address=address
    )
    clean = _cleaner()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", README)
        for name, content in _contents(now):
            archive.writestr(name, clean(content))
    return file.getvalue()


def name_of(now: datetime) -> str:
    """Return what the file is called."""
    return f"support-bundle-{now:%Y-%m-%d-%H%M}.zip"


def _contents(now: datetime) -> Iterator[tuple[str, str]]:
    yield "health.json", _json(health.as_json(now))
    yield "metrics.txt", metrics.exposition(now).decode()
    gates = list(Gate.objects.values("host", "failures", "closed_until", "cause"))
    pauses = list(Pause.objects.values())
    yield "gates.json", _json({"gates": gates, "pauses": pauses})
    yield "attempts.json", _json(list(_attempts()))
    yield "settings.json", _json(_settings())
    yield "rows.json", _json(_rows())
    yield "versions.json", _json(_versions())


def _attempts() -> Iterator[dict[str, Any]]:
    for one in Attempt.objects.order_by("-started_at", "-pk")[:ATTEMPTS]:
        ended = one.finished_at
        yield {
            "started": one.started_at,
            "seconds": (ended - one.started_at).total_seconds() if ended else None,
            "kind": one.kind,
            "destination": one.destination,
            "host": one.host,
            "bytes": one.size,
            "outcome": one.outcome or "running",
            "status": one.status,
            "cause": one.cause,
            "reached": one.reached,
        }


def _settings() -> dict[str, Any]:
    """Return the settings of the product; of secrets only whether there is one."""
    found: dict[str, Any] = {}
    for name in sorted(dir(settings)):
        if not name.startswith("NMS_"):
            continue
        value = getattr(settings, name, None)
        if value is None:
            continue
        if MASKED.search(name):
            found[name] = "set" if value else "not set"
        elif isinstance(value, str):
            found[name] = destinations.masked(value)
        elif isinstance(value, timedelta):
            found[name] = f"{value.total_seconds():.0f} s"
        else:
            found[name] = value
    return found


def _rows() -> dict[str, int]:
    return {
        model._meta.label: model._default_manager.count()
        for model in apps.get_models()
        if model._meta.managed
    }


def _versions() -> dict[str, str]:
    with connection.cursor():
        server = getattr(connection, "pg_version", None)
    return {
        "product": settings.VERSION,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "database": f"{connection.display_name} {server or ''}".strip(),
        **{name: metadata.version(name) for name in PACKAGES},
    }


def _json(content: Any) -> str:
    return json.dumps(content, indent=1, default=str, ensure_ascii=False)


def _cleaner() -> Callable[[str], str]:
    """Return a function that takes secrets and names out of a text."""
    numbered = _numbered("host", _hosts())
    numbered |= _numbered(
        "subscription", License.objects.values_list("subscription_id", flat=True)
    )
    secrets = sorted(_secrets(), key=len, reverse=True)
    addresses: dict[str, str] = {}

    def address(match: re.Match[str]) -> str:
        if match[0] in OURS or match[0].startswith("127."):
            return match[0]
        return addresses.setdefault(match[0], f"address-{len(addresses) + 1}")

    def clean(text: str) -> str:
        for secret in secrets:
            for form in _forms(secret):
                text = text.replace(form, "[removed]")
        text = without_secrets(text)
        for name, number in numbered.items():
            text = re.sub(
                rf"(?<![\w.-]){re.escape(name)}(?![\w-])", number, text, flags=re.I
            )
        return ADDRESS.sub(address, text)

    return clean


def _forms(secret: str) -> set[str]:
    """Return a secret as it may stand in a text: itself, in JSON, in an address."""
    in_json = (json.dumps(secret, ensure_ascii=plain)[1:-1] for plain in (True, False))
    return {secret, *in_json, quote(secret), quote(secret, safe="")}


def _numbered(word: str, names: Iterable[str]) -> dict[str, str]:
    """Return ``word-1``, ... for each name, the longest name first."""
    known = sorted(
        {one for one in names if one not in OURS}, key=lambda n: (-len(n), n)
    )
    return {name: f"{word}-{n}" for n, name in enumerate(known, 1)}


def _hosts() -> Iterator[str]:
    """Yield the names of hosts that may stand in a file, without ports."""
    yield socket.gethostname()
    runs = ProcessRun.objects.order_by("-seen_at")
    yield from runs.values_list("host", flat=True)[:ATTEMPTS]
    yield from settings.NMS_ALLOWED_HOSTS
    newest = Attempt.objects.order_by("-started_at", "-pk")
    called = newest.values_list("host", flat=True)[:ATTEMPTS]
    for address in (*Gate.objects.values_list("host", flat=True), *called):
        yield _host(f"//{address}")
    for name in dir(settings):
        value = getattr(settings, name, None)
        if name.startswith("NMS_") and isinstance(value, str) and "://" in value:
            yield _host(value)
    yield str(settings.DATABASES["default"].get("HOST") or "")


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _secrets() -> set[str]:
    """Return the texts that this server knows to be secret."""
    found = {settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS, *settings.SEAL_KEYS}
    found.add(str(settings.DATABASES["default"].get("PASSWORD") or ""))
    for name in dir(settings):
        value = getattr(settings, name, None)
        if not name.startswith(("NMS_", "CELERY_")) or not isinstance(value, str):
            continue
        if MASKED.search(name) and not name.endswith(("_FILE", "_CERT")):
            found.add(value)
        if "@" in value and "://" in value:
            login = value.partition("://")[2].rpartition("@")[0]
            password = login.partition(":")[2]
            found |= {login, password, unquote(password)}
    return {one for one in found if len(one) >= SHORTEST}
