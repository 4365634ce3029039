"""One installation, what stands around it, its secrets, and every answer it gave."""

from __future__ import annotations

import base64
import contextlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from django.urls import Resolver404, resolve

from sandbox.server import Sandbox
from tests import canaries
from tests.e2e.canary_database import Database
from tests.e2e.canary_proxy import Proxy
from tests.e2e.console import Console

HREF = re.compile(r'(?:href|action)="(/[^"#]*)')

# What no page links to with an address of its own.
DIRECT = [
    "/ui/docs",
    "/ui/docs/openapi.json",
    "/ui/settings/license/courier.py",
    "/ui/settings/telemetry/delete-held",
    "/ui/settings/license/activation",
    "/ui/settings/license/send-usage/outcome",
    "/ui/settings/license/continuous-connection/off",
    "/ui/settings/connectivity/results",
    "/ui/settings/telemetry/data-points.json",
    "/ui/interaction-data/permission",
    "/ui/settings/web-analytics/opt-out",
    "/api/liveness/core",
    "/api/readiness",
    "/ui/health/rows",
    "/api/nothing",
    "/api/nginx-usage",
]


@dataclass
class Installation:
    """A console, what stands around it, every secret, and every answer it gave."""

    console: Console
    vendor: Sandbox
    proxy: Proxy
    database: Database
    folder: Path
    secrets: dict[str, str]
    answers: dict[str, bytes] = field(default_factory=dict)
    routes: set[str] = field(default_factory=set)

    def keep(self, place: str, content: bytes) -> None:
        self.answers[place] = self.answers.get(place, b"") + content

    def manage(self, *words: str, check: bool = True) -> str:
        said = self.console.manage(*words, check=check)
        self.keep(f"command: {words[0]}", said.encode())
        return said

    def issue(self, name: str, *words: str) -> str:
        """Make a license, kept as ``name``: all but its header, which is public."""
        token = self.manage("sandbox_license", *words).strip()
        self.secrets[name] = token.partition(".")[2]
        return token

    def curl(self, method: str, path: str, login: str, **more: Any) -> Any:
        """Call the API as a script does."""
        headers = {"Authorization": f"Basic {basic(login)}"} | more.pop("headers", {})
        answer = plain().request(
            method, self.console.base + path, headers=headers, timeout=30, **more
        )
        self.note(f"answer: {method} {urlsplit(path).path}", answer)
        return answer

    def note(self, place: str, answer: requests.Response) -> None:
        shown = {k: v for k, v in answer.headers.items() if k != "Set-Cookie"}
        cookies = repr(answer.cookies.items()).encode()
        self.keep("cookies", canaries.opened(cookies))
        self.keep(place, repr(shown).encode() + canaries.opened(answer.content))


def plain() -> requests.Session:
    """Return a client that takes nothing from this environment."""
    session = requests.Session()
    session.trust_env = False
    return session


def basic(login: str) -> str:
    return base64.b64encode(login.encode()).decode()


class Browser:
    """One person's browser: cookies, forms, and every answer kept."""

    def __init__(self, at: Installation) -> None:
        self.at, self.session = at, plain()

    def get(self, path: str) -> requests.Response:
        return self._ask("GET", path)

    def post(self, path: str, data: dict[str, str], **more: Any) -> requests.Response:
        """Send a form as the page would; ``files`` as requests takes them."""
        self.session.get(f"{self.at.console.base}/login", timeout=30)
        if not more.pop("forged", False):
            token = self.session.cookies.get("nms-csrf", "")
            data = {**data, "csrfmiddlewaretoken": token}
        return self._ask("POST", path, data=data, **more)

    def _ask(self, method: str, path: str, **more: Any) -> requests.Response:
        answer = self.session.request(
            method,
            self.at.console.base + path,
            timeout=30,
            allow_redirects=False,
            **more,
        )
        place = urlsplit(path).path
        if place.startswith("/welcome/"):
            place = "/welcome/"  # the address itself is the secret
        self.at.note(f"answer: {method} {place}", answer)
        with contextlib.suppress(Resolver404):
            if method == "GET":
                self.at.routes.add(resolve(urlsplit(path).path).url_name)
        return answer

    def cookie(self) -> str:
        return str(self.session.cookies["nms-session"])

    def crawl(self) -> None:
        """Open every address that any page leads to, each with two queries at most."""
        waiting = ["/ui/", "/privacy", "/login", "/", *DIRECT]
        seen: dict[str, set[str]] = {}
        while waiting:
            path = waiting.pop()
            known = seen.setdefault(urlsplit(path).path, set())
            if path in known or len(known) > 1 or path.startswith("/static"):
                continue
            known.add(path)
            answer = self.get(path)
            assert answer.status_code < 500, path
            if "text/html" in answer.headers.get("Content-Type", ""):
                waiting += [urljoin(path, one) for one in HREF.findall(answer.text)]
