"""The License page against Django admin's change form and the session+user floor."""

from __future__ import annotations

import gzip
import http.client
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.utils import timezone

from analytics import services as analytics
from bench.report import Row, median, ratios
from common import setup
from common.models import Via
from common.roles import Role
from nms_admin.models import User

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS, TIMES = 7, 150


def _signed_in(name: str = "bench") -> tuple[User, str]:
    row = setup.current()
    row.claimed_at = row.finished_at = timezone.now()
    row.save()
    analytics.set_choice(
        collect=False, by="bench", via=Via.SETTINGS, now=timezone.now()
    )
    user = User.objects.create_superuser(name, password="x", role=Role.ADMINISTRATOR)
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.save()
    return user, f"{settings.SESSION_COOKIE_NAME}={store.session_key}"


def free_port() -> int:
    """Return a port nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def listening(command: list[str], port: int, **more: Any) -> Iterator[int]:
    """Start a web server, wait until it listens, and stop it at the end."""
    process = subprocess.Popen(command, **more)
    try:
        for _ in range(400):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(15)


@contextmanager
def server() -> Iterator[int]:
    """Start gunicorn on a free port and return it; the same for every case."""
    port = free_port()
    command = f"-m gunicorn -b 127.0.0.1:{port} -k gthread --threads 4"
    command += " --preload --no-control-socket --log-level error nms_admin.wsgi"
    with listening([sys.executable, *command.split()], port):
        yield port


class Browser:
    """One keep-alive connection with a session cookie."""

    def __init__(self, port: int, cookie: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.headers = {"Cookie": cookie, "Accept-Encoding": "gzip"}

    def get(self, path: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Return status, headers and the body as it was on the wire."""
        self.connection.request("GET", path, headers=self.headers)
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def p50(self, path: str) -> float:
        """Return the median time of one page in microseconds."""
        taken = []
        for _ in range(TIMES):
            began = time.perf_counter()
            status, _, _ = self.get(path)
            taken.append((time.perf_counter() - began) * 1e6)
            if status != 200:
                raise RuntimeError(f"{path} answered {status}")
        return median(taken)

    def first_load(self, path: str) -> tuple[int, int, int]:
        """Return bytes without fonts, bytes with fonts, and requests of a first visit."""
        _, headers, page = self.get(path)
        html = gzip.decompress(page) if headers["Content-Encoding"] == "gzip" else page
        total, fonts = len(gzip.compress(html, 6)), 0
        found = set(re.findall(rb'(?:src|href)="(/static/[^"#]+)', html))
        styles = [name for name in found if name.endswith(b".css")]
        for name in styles:
            _, headers, body = self.get(name.decode())
            text = (
                gzip.decompress(body) if headers["Content-Encoding"] == "gzip" else body
            )
            folder = name.rsplit(b"/", 1)[0]
            for inner in re.findall(rb'url\("?([^")]+\.woff2)', text):
                found.add(inner if inner.startswith(b"/") else folder + b"/" + inner)
        for name in sorted(found):
            size = len(self.get(name.decode())[2])
            if name.endswith(b".woff2"):
                fonts += size
            else:
                total += size
        return total, total + fonts, len(found) + 1


def run() -> list[Row]:
    """Return page times and first-load bytes."""
    user, cookie = _signed_in()
    pages = {
        "license": "/ui/settings/license",
        "admin": f"/admin/nms_admin/user/{user.pk}/change/",
        "floor": "/floor",
    }
    with server() as port:
        browser = Browser(port, cookie)
        for path in pages.values():
            browser.p50(path)
        taken: dict[str, list[float]] = {name: [] for name in pages}
        for number in range(ROUNDS):
            for name in pages if number % 2 == 0 else reversed(pages):
                taken[name].append(browser.p50(pages[name]))
        ours, peer = (
            browser.first_load(pages["license"]),
            browser.first_load(pages["admin"]),
        )
    rows = []
    for name, label, goal in (
        ("admin", "Django admin change form", "≤ 0.5×"),
        ("floor", "session and user alone", "≤ 3.5×"),
    ):
        ratio, spread = ratios(taken["license"], taken[name])
        subject = f"p50 {median(taken['license']) / 1000:.2f} ms"
        reference = f"{label} {median(taken[name]) / 1000:.2f} ms"
        rows.append(Row("License page", subject, reference, ratio, spread, goal))
    rows.append(_bytes_row("first load without fonts", ours[0], peer[0], "≤ 60 kB"))
    rows.append(_bytes_row("first load with fonts", ours[1], peer[1], "≤ 150 kB"))
    requests = f"{ours[2]} requests", f"admin {peer[2]} requests"
    rows.append(Row("first load", *requests, ours[2] / peer[2], "", "≤ 9"))
    return rows


def _bytes_row(case: str, ours: int, peer: int, goal: str) -> Row:
    subject, reference = f"{ours / 1000:.1f} kB gz", f"admin {peer / 1000:.1f} kB gz"
    return Row(case, subject, reference, ours / peer, "", goal)
