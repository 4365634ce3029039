"""A receiver that cannot prove who it is, and a proxy that does not let us out."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from django.db import connections
from django.utils import timezone

from faults.listeners import Tap
from faults.rows import Row
from faults.scene import PATH, Scene
from licensing import services as licensing
from sandbox.server import Sandbox

PROXY_LOGIN = "proxy-password-of-the-suite"


def run(scene: Scene) -> Iterator[Row]:
    """Meet each with events waiting; then let everything go out."""
    scene.start_core()
    authority, stranger = trustme.CA(), trustme.CA()
    bundle = scene.folder / "authority.pem"
    authority.cert_pem.write_to_path(bundle)
    now = timezone.now()
    day = timedelta(days=1)
    good = _context(authority, "localhost")
    yield _control(scene, good, bundle)
    bad = (
        ("expired", _context(authority, "localhost", not_after=now - day)),
        ("not valid yet", _context(authority, "localhost", not_before=now + day)),
        ("of another host", _context(authority, "elsewhere.example")),
        ("of an unknown authority", _context(stranger, "localhost")),
        ("by TLS 1.0 only", _old(_context(authority, "localhost"))),
        ("by TLS 1.1 only", _old(_context(authority, "localhost"), "TLSv1_1")),
    )
    for what, context in bad:
        with Tap(tls=context) as server:
            yield _meet(scene, f"TLS {what}", server, NMS_CA_BUNDLE=str(bundle))
    with Tap(b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        yield _meet(scene, "plain HTTP at an https address", server)
    yield from _proxies(scene, good, bundle)


def _proxies(scene: Scene, good: ssl.SSLContext, bundle: Path) -> Iterator[Row]:
    """A proxy refuses, asks, ends, answers nonsense; the receiver itself is right."""
    answers = {
        "407": b"HTTP/1.1 407 Proxy Authentication Required\r\n"
        b'Proxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n',
        "403": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "closes": b"",
        "speaks nonsense": b"\x00\x01\x02\r\n\r\n",
    }
    for what, answer in answers.items():
        with Tap(tls=good) as behind, Tap(answer) as proxy:
            login = f"http://ada:{PROXY_LOGIN}@127.0.0.1:{proxy.port}"
            yield _meet(
                scene,
                f"proxy: {what}",
                behind,
                beside=proxy,
                NMS_CA_BUNDLE=str(bundle),
                NMS_PROXY_URL=login,
            )


def _meet(
    scene: Scene, case: str, server: Tap, beside: Tap | None = None, **settings: Any
) -> Row:
    scene.capture()
    url = f"https://localhost:{server.port}{PATH}"
    for _ in range(2):
        scene.deliver(NMS_TELEMETRY_URL=url, **settings)
        scene.forward(hours=2)
    secrets = _secrets(scene)
    told = server.holds(secrets) + (beside.holds(secrets) if beside else 0)
    met = len((beside or server).got)
    scene.drain()
    row = scene.row(case)
    row.secrets = told
    if met != 2:
        row.wrong.append(f"it was met {met} times, not twice")
    if beside and any(server.got):
        row.wrong.append("the proxy was passed by")
    written = scene.log.read_bytes()
    if any(one in written for one in [*secrets[:1], PROXY_LOGIN.encode()]):
        row.wrong.append("a secret stands in the log")
    return row


def _control(scene: Scene, good: ssl.SSLContext, bundle: Path) -> Row:
    """A certificate that is right: everything arrives, so what follows can fail."""
    scene.capture()
    with Sandbox(scene.folder / "sandbox", tls=good) as box:
        url = f"https://localhost:{box.vendor.port}{PATH}"
        scene.deliver(NMS_TELEMETRY_URL=url, NMS_CA_BUNDLE=str(bundle))
        arrived: Any = box.store.stats()
    scene.elsewhere += arrived["records_unique"]
    return scene.row("TLS that is right")


def _secrets(scene: Scene) -> list[bytes]:
    """Return what none of them may be told: the license, and what is in a body."""
    try:
        found = licensing.current()
        token = licensing.token(found.pk) if found else ""
    finally:
        connections.close_all()
    return [token[-60:].encode(), b"telemetryRecords", b"Idempotency-Key", b"Bearer"]


def _context(
    authority: trustme.CA,
    name: str,
    not_after: datetime | None = None,
    not_before: datetime | None = None,
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued = authority.issue_cert(name, not_after=not_after, not_before=not_before)
    issued.configure_cert(context)
    return context


def _old(context: ssl.SSLContext, name: str = "TLSv1") -> ssl.SSLContext:
    version = ssl.TLSVersion[name]
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context
