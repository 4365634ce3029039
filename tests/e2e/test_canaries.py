"""No secret stands anywhere it need not: a whole installation, searched byte by byte.

Every secret is a canary of the test's own. The vendor stands behind a proxy that wants a
password, and speaks TLS; what an administrator, an operator, scripts, agents and people
who get it wrong do is done, and everything that is left behind is searched for every
canary in every form. ``ALLOWED`` is the whole list of where one may stand, and each of
them is found there: a search that sees nothing fails.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import secrets
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pytest
import requests
import trustme
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from django.core import signing
from django.urls import Resolver404, resolve

from sandbox.app import BULK
from sandbox.server import Sandbox
from tests import canaries, make
from tests.dataplanes.agent import FakeAgent
from tests.e2e.console import Console, wait_for
from tests.licensing.test_protocol_facts import scripted
from tests.licensing.test_reading import certificate
from tests.test_access import API
from tests.test_access import PAGES as ROUTES

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
HOST, BASE = "f5.example", "/api/platform/v1"
LICENSE, ADD = "/ui/settings/license", "/ui/settings/license/add"
UUID = "0d4f3b52-6f0e-3b0e-9b44-0d9a4c8a5c11"
HREF = re.compile(r'(?:href|action)="(/[^"#]*)')

# Secret -> the places it may, and must, be found in.
ALLOWED = {
    "license": {
        "vendor: Authorization",
        "download with credentials",
        "command: sandbox_license",
        "answer: POST /ui/settings/users/add",  # the form gives back what was typed
    },
    "license signature": {
        "vendor: Authorization",
        "download with credentials",
        "command: sandbox_license",
        "answer: POST /ui/settings/users/add",  # the form gives back what was typed
    },
    "replaced license": {"vendor: Authorization", "command: sandbox_license"},
    "expired license": {"command: sandbox_license"},
    "trial license": {"vendor: Authorization", "command: sandbox_license"},
    "F5 API key": {"vendor: F5-ApiKey"},
    "proxy password": {"proxy: Proxy-Authorization"},
    "proxy Basic": {"proxy: Proxy-Authorization"},
    "setup code": {"output before set-up", "answer: POST /setup/1"},  # the same
    "password as a name": {"answer: POST /login"},  # the same
    "one-time link": {"answer: POST /ui/settings/users/add"},
    "agent token": {"answer: POST /ui/data-planes/tokens/issue"},
    "session of ada": {"cookies"},
    "session of otto": {"cookies"},
}


def canary(words: str) -> str:
    """Return a secret that looks different in every form."""
    return f'{words} é&<{secrets.token_urlsafe(12)}>+"%/ü'


def smime(content: bytes) -> bytes:
    """Return a license of the older kind, signed by nobody we know."""
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
    signer = builder.add_signer(certificate(), make.private_key(), hashes.SHA256())
    options = [pkcs7.PKCS7Options.Binary]
    return signer.sign(serialization.Encoding.DER, options)


class Proxy:
    """A forward proxy that wants a password; keeps the bytes it could read."""

    def __init__(self, login: str, port: int) -> None:
        self.wants = base64.b64encode(login.encode()).decode()
        self.behind, self.refuses = port, False
        self.heads: list[bytes] = []
        self.passed: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=[sock], daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (part := sock.recv(4096)):
                    return
                head += part
            self.heads.append(head)
            right = f"Proxy-Authorization: Basic {self.wants}\r\n".encode() in head
            if self.refuses or not right:
                sock.sendall(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", self.behind)) as vendor:
                sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=self._pump, args=[vendor, sock])
                back.start()
                self._pump(sock, vendor)
                back.join()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := one.recv(65536):
                self.passed.append(part)
                other.sendall(part)
            other.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@dataclass
class Installation:
    """A console, what stands around it, every secret, and every answer it gave."""

    console: Console
    vendor: Sandbox
    proxy: Proxy
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


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("canaries")
    data = folder / "data"
    data.mkdir(mode=0o700)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "localhost").configure_cert(context)
    known = {
        "secret key": secrets.token_urlsafe(48),
        "seal key": Fernet.generate_key().decode(),
        "F5 API key": secrets.token_urlsafe(30),
        "proxy password": f"proxy é&<{secrets.token_urlsafe(12)}>+%/",
    }
    files = {
        "NMS_SECRET_KEY_FILE": known["secret key"],
        "NMS_SEAL_KEYS_FILE": known["seal key"],
        "NMS_F5_API_KEY_FILE": known["F5 API key"],
    }
    with Sandbox(data / "sandbox", tls=context) as vendor:
        login = f"courier:{known['proxy password']}"
        proxy = Proxy(login, vendor.vendor.port)
        known["proxy Basic"] = proxy.wants
        coded = quote(known["proxy password"], safe="")
        files["NMS_PROXY_URL_FILE"] = f"http://courier:{coded}@127.0.0.1:{proxy.port}"
        for name, content in files.items():
            (folder / name).write_text(content + "\n")
        console = Console(
            data,
            NMS_LOG_LEVEL="DEBUG",
            NMS_CA_BUNDLE=str(folder / "ca.pem"),
            NMS_F5_API_URL=f"https://{HOST}/ee/v1",
            NMS_F5_SECURE_API_URL=f"https://{HOST}/ee",
            NMS_ENTITLEMENTS_URL=f"https://{HOST}/ee/v1/entitlements",
            NMS_TERMINATE_URL=f"https://{HOST}/ee/v1/licenses/terminate",
            **{name: str(folder / name) for name in files},
        )
        own = console.sandbox.base.removesuffix("/__sandbox")
        console.environment["NMS_JWKS_URL"] = f"{own}/ee/v1/keys/jwks"
        console.start()
        yield Installation(console, vendor, proxy, folder, known)
        console.stop()
        proxy.close()


def person(at: Installation, name: str) -> str:
    return f"{name}:{at.secrets[f'password of {name}']}"


def set_up(at: Installation, ada: Browser, token: str) -> None:
    """The five steps: wrong code, weak password, refused license, right ones."""
    at.secrets["setup code"] = code = at.console.setup_code()
    at.keep("output before set-up", at.console.log.read_bytes())
    at.console.log.write_bytes(b"")  # from here on it stands nowhere
    weak = {"code": "ABCD-EFGH-JKMN-PQRS", "username": "ada", "time_zone": "UTC"}
    at.secrets["weak password"] = weak["password"] = canary("ada")
    assert ada.post("/setup/1", weak).status_code in (403, 422)
    form = {**weak, "code": code, "password": at.secrets["password of ada"]}
    assert ada.post("/setup/1", {**form, "username": "?"}).status_code == 422
    assert ada.post("/setup/1", form).status_code == 302
    assert ada.post("/setup/2", {"connection": "on"}).status_code == 302
    assert ada.post("/setup/3", {"mode": "connected"}).status_code == 302
    refused = {"add": "1", "token": token[:-12] + "A" * 12}
    assert ada.post("/setup/4", refused).status_code == 422
    files = {"file": ("license.jwt", token.encode())}
    assert ada.post("/setup/4", {"add": "1"}, files=files).status_code == 302
    assert ada.post("/setup/5", {}).status_code == 302
    wait_for(lambda: arrived(at, "/ee/v1/telemetry"), 30, "events are at the vendor")
    wait_for(lambda: arrived(at, "/ee/v1/entitlements"), 30, "entitlements are asked")


def arrived(at: Installation, path: str) -> list[Any]:
    return at.vendor.store.arrivals(host="vendor", prefix=path)


def brought(at: Installation, token: str) -> bool:
    """Return whether a license came to the vendor as the bearer of a request."""
    all_ = at.vendor.store.arrivals(host="vendor")
    return any(token in value for one in all_ for _, value in one.headers)


def people(at: Installation, ada: Browser) -> Browser:
    """Otto comes by his one-time link, types wrong passwords, and changes his."""
    new = {"username": "otto", "email": "otto@example.net", "role": "operator"}
    page = ada.post("/ui/settings/users/add", new)
    link = re.search(r"/welcome/([\w.~-]+)", page.text)
    assert link
    at.secrets["one-time link"] = link[1]
    otto, path = Browser(at), f"/welcome/{link[1]}"
    assert otto.get(path).status_code == 200
    assert otto.post(path, {"password": "x"}, forged=True).status_code == 403
    assert otto.post(path, {"password": "short"}).status_code == 422
    first = {"password": at.secrets["first password of otto"]}
    assert otto.post(path, first).status_code == 302
    assert otto.post(path, first).status_code == 404
    wrong = {"username": "otto", "password": at.secrets["wrong password"]}
    assert otto.post("/login", wrong).status_code == 422
    mixed_up = {"username": at.secrets["password as a name"], "password": "otto"}
    assert otto.post("/login", mixed_up).status_code == 422
    assert otto.post("/login", {**first, "username": "otto"}).status_code == 302
    forms = [
        {"old": wrong["password"], "password": "short"},
        {
            "old": first["password"],
            "password": at.secrets["password of otto"],
        },
    ]
    assert otto.post("/ui/profile/password", forms[0]).status_code == 422
    assert otto.post("/ui/profile/password", forms[1]).status_code == 302
    login = f"otto:{wrong['password']}"
    at.secrets["wrong Basic"] = basic(login)
    assert at.curl("GET", f"{BASE}/userinfo", login).status_code == 401
    assert at.curl("GET", f"{BASE}/userinfo", person(at, "otto")).status_code == 200
    return otto


def licenses(at: Installation, ada: Browser, token: str) -> str:
    """Refused in many ways, replaced by the page and by the API; a way that fails."""
    ended = at.issue("expired license", "--days", "-200")
    head, payload, signature = token.split(".")
    for bad in (
        ended,
        f"{token}\n{ended}",
        token[:-20] + "A" * 20,
        f"<html>{token}</html>",
        f"{payload}.{signature}",
        f"{head}.{payload}",
        token.replace(".", " "),
    ):
        assert ada.post(ADD, {"token": bad}).status_code == 422, bad[:20]
        answer = at.curl(
            "PUT", f"{BASE}/license", person(at, "ada"), json=scripted(bad)
        )
        assert answer.status_code in (400, 422)
    for content in (token.encode("utf-16"), b"PK\x03\x04" + token.encode()):
        files = {"file": ("license.jwt", content)}
        assert ada.post(ADD, {}, files=files).status_code == 422
    ada_by = person(at, "ada")
    again = at.curl("POST", f"{BASE}/license", ada_by, json=scripted(token))
    assert again.status_code == 409
    newer = at.issue("license")
    put = at.curl("PUT", f"{BASE}/license", ada_by, json=scripted(newer))
    assert put.status_code == 200
    at.secrets["license signature"] = newer.rpartition(".")[2]
    # Where people put it by mistake
    for path in (f"/license/{newer}", f"/license?content={newer}"):
        at.curl("GET", f"{BASE}{path}", ada_by, data=newer)
    at.curl("POST", f"{BASE}/license", ada_by, data=newer)
    ada.get(f"/ui/settings/{newer}")
    assert ada.post("/ui/settings/users/add", {"username": newer}).status_code == 422
    return newer


def exceptions(at: Installation, ada: Browser, token: str) -> None:
    """What nobody expected happens while a license and a password are handed over."""
    with writing(at) as rows:
        rows.execute("ALTER TABLE licensing_license RENAME TO away")
    try:
        assert ada.post(ADD, {"token": token}).status_code == 503
        put = at.curl("PUT", f"{BASE}/license", person(at, "ada"), json=scripted(token))
        assert put.status_code >= 500
    finally:
        with writing(at) as rows:
            rows.execute("ALTER TABLE away RENAME TO licensing_license")
    damage = "UPDATE licensing_license SET applied_at = ? WHERE current"
    with writing(at) as rows:
        query = "SELECT applied_at FROM licensing_license WHERE current"
        before = rows.execute(query).fetchone()
        rows.execute(damage, ["2026-13-45 00:00:00"])
    try:
        assert ada.post(ADD, {"token": token}).status_code == 500
        put = at.curl("PUT", f"{BASE}/license", person(at, "ada"), json=scripted(token))
        assert put.status_code == 500
    finally:
        with writing(at) as rows:
            rows.execute(damage, before)


@contextlib.contextmanager
def writing(at: Installation) -> Iterator[sqlite3.Connection]:
    """Return the database itself, as somebody with a shell has it."""
    file = at.console.folder / "nms-admin.sqlite3"
    connection = sqlite3.connect(file, timeout=20)
    with contextlib.closing(connection), connection:
        yield connection


def agents(at: Installation, ada: Browser) -> None:
    page = ada.post("/ui/data-planes/tokens/issue", {"name": "fleet one"})
    shown = re.search(r'id="agent-token"[^>]*>([^<]+)<', page.text)
    assert shown
    at.secrets["agent token"] = token = shown[1].strip()
    at.secrets["wrong agent token"] = wrong = secrets.token_urlsafe(32)
    wait_for(at.console.takes_agents, 30, "dpm listens")
    lost = FakeAgent(at.console.agents, UUID[::-1], wrong).start()
    agent = FakeAgent(at.console.agents, UUID, token).start()
    assert agent.registered(20)
    assert not lost.registered(1)
    agent.stop()
    lost.stop()


def usage(at: Installation, ada: Browser, token: str) -> None:
    """NGINX reports with the license; a report goes out, and is carried by hand."""
    for bearer in (token, token[:-9], at.secrets["agent token"]):
        head = {"Authorization": f"Bearer {bearer}"}
        at.curl("POST", "/api/nginx-usage", "x:y", headers=head, json={"uuid": "x"})
    assert ada.post(f"{LICENSE}/send-usage", {}).status_code == 302
    wait_for(lambda: arrived(at, BULK + "/download"), 40, "it is acknowledged")
    ask = f"{BASE}/report/download?format=zip"
    who = person(at, "ada")
    omit = at.curl("GET", f"{ask}&credentials=omit", who)
    assert omit.content.startswith(b"PK"), omit.text[:200]
    headers = {"Authorization": f"Basic {basic(who)}"}
    whole = plain().get(at.console.base + ask, headers=headers, timeout=30)
    at.keep("download with credentials", canaries.opened(whole.content))
    assert at.curl("GET", ask, person(at, "otto")).status_code == 403
    carried = upload(at, omit.content, token)
    done = [
        at.curl("POST", f"{BASE}/report/upload", who, files={"file": ("a.zip", file)})
        for file in (b"<html>Sign in</html>", token.encode(), carried)
    ]
    assert [one.status_code < 300 for one in done] == [False, False, True]


def upload(at: Installation, report: bytes, token: str) -> bytes:
    """Carry a report to the vendor from another machine; return what it answers."""
    vendor = f"https://localhost:{at.vendor.vendor.port}"
    context = plain()
    context.verify = str(at.folder / "ca.pem")
    context.headers["Authorization"] = f"Bearer {token}"
    sent = context.post(f"{vendor}{BULK}", files={"file": report}, timeout=30)
    status = context.get(vendor + sent.json()["statusLink"], timeout=30)
    return context.get(vendor + status.json()["downloadLink"], timeout=30).content


def commands(at: Installation) -> None:
    new = at.folder / "new-password"
    new.write_text(at.secrets["password of otto"] + "\n")
    for words in (
        ["doctor", "--json"],
        ["telemetry", "explain", "--json"],
        ["telemetry", "preview"],
        ["outbox", "status", "--json"],
        ["outbox", "drain", "--once"],
        ["audit", "verify"],
        ["reset_password", "otto", "--password-file", str(new)],
        ["unlock", "otto"],
        ["setup_code"],
        ["check"],
    ):
        at.manage(*words, check=False)


def a_proxy_that_refuses(at: Installation, ada: Browser) -> None:
    """407 for everything: deliveries, checks, the doctor."""
    at.proxy.refuses = True
    before = len(at.proxy.heads)
    ada.post("/ui/settings/connectivity/run", {})
    at.curl("POST", f"{BASE}/report/send", person(at, "ada"))
    ada.post("/ui/settings/telemetry/try-now", {})
    wait_for(lambda: len(at.proxy.heads) > before + 1, 30, "the proxy refused")
    at.manage("doctor", "--json", check=False)
    at.proxy.refuses = False


def the_end(at: Installation, ada: Browser) -> None:
    """Terminated with a notice; an S/MIME license and a trial come after it."""
    shown = json.loads(at.curl("GET", f"{BASE}/license", person(at, "ada")).text)
    number = shown["currentStatus"]["subscription"]["id"]
    form = {"confirm": number, "tell": "on"}
    assert ada.post(f"{LICENSE}/terminate", {"confirm": "no"}).status_code == 422
    assert ada.post(f"{LICENSE}/terminate", form).status_code == 302
    notice = "/ee/v1/licenses/terminate"
    wait_for(lambda: arrived(at, notice), 60, "the vendor is told")
    older = smime(at.secrets["S/MIME content"].encode())
    files = {"file": ("old.lic", older)}
    assert ada.post(ADD, {"subscription_id": ""}, files=files).status_code == 302
    trial = at.issue("trial license", "--type", "eval")
    assert ada.post(ADD, {"token": trial, "telemetry": "off"}).status_code == 302
    wait_for(lambda: brought(at, trial), 60, "entitlements of the trial are asked")


def everything_is_read(at: Installation, ada: Browser) -> None:
    """Every page, export and answer of the API, as the administrator."""
    ada.crawl()
    assert ada.post("/ui/health/bundle", {}).status_code == 200
    wanted = {name for name, (_, methods) in ROUTES.items() if "GET" in methods}
    assert wanted - at.routes <= {"setup", "setup-step"}
    for operation in API:
        method, path = operation.split()
        if method == "GET" and path != "/report/download":
            answer = at.curl(
                "GET", BASE + path.replace("{uid}", "none"), person(at, "ada")
            )
            assert answer.status_code < 500, operation


# Where it is searched


def left_behind(at: Installation) -> dict[str, bytes]:
    """Return what is on this host, by what people call it: files, rows, processes."""
    found = {"output of all processes": at.console.log.read_bytes()}
    for file in at.console.folder.rglob("*"):
        if file.is_file() and file != at.console.log:
            found[f"file {file.relative_to(at.console.folder)}"] = file.read_bytes()
    with writing(at) as rows:
        found["dump"] = "\n".join(rows.iterdump()).encode()
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        for (table,) in rows.execute(query).fetchall():
            values = [
                canaries.opened(
                    value if isinstance(value, bytes) else str(value).encode()
                )
                for row in rows.execute(f'SELECT * FROM "{table}"')
                for value in row
            ]
            found[f"table {table}"] = b"\n".join(values)
    for number, (command, environment) in processes(at).items():
        found[f"command line of {number}"] = command
        found[f"environment of {number}"] = environment
    return found


def processes(at: Installation) -> dict[str, tuple[bytes, bytes]]:
    """Return command line and environment of every process of this installation."""
    marker, found = f"NMS_DATA_DIR={at.console.folder}".encode(), {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                environment = (entry / "environ").read_bytes()
                if marker in environment.split(b"\0"):
                    found[entry.name] = (entry / "cmdline").read_bytes(), environment
    return found


def vendor_side(at: Installation) -> dict[str, bytes]:
    """Return what left: each header by its name, every body, what the proxy read."""
    found: dict[str, bytes] = {}
    for one in at.vendor.store.arrivals():
        parts = {name: value.encode() for name, value in one.headers}
        parts |= {"body": canaries.opened(one.body), "path": one.target.encode()}
        for part, content in parts.items():
            place = f"vendor: {part}"
            found[place] = found.get(place, b"") + content + b"\n"
    own = [(one["headers"], one["body"]) for one in at.console.sandbox.arrivals()]
    found["the sandbox's own receiver"] = repr(own).encode()
    for head in at.proxy.heads:
        first, *lines = head.split(b"\r\n")
        for line in [b"line: " + first, *lines]:
            name, _, value = line.partition(b": ")
            place = f"proxy: {name.decode()}"
            found[place] = found.get(place, b"") + value + b"\n"
    found["bytes through the proxy"] = b"".join(at.proxy.passed)
    return found


def test_no_secret_is_anywhere_it_need_not_be(at: Installation) -> None:
    for name in ("ada", "otto"):
        at.secrets[f"password of {name}"] = canary(name)
    at.secrets["first password of otto"] = canary("first")
    at.secrets["wrong password"] = canary("wrong")
    at.secrets["password as a name"] = canary("name")
    at.secrets["S/MIME content"] = canary("a license") * 3
    with writing(at) as rows:  # keep what was ever queued: workers delete it
        rows.execute("CREATE TABLE queued (payload TEXT)")
        rows.execute(
            "CREATE TRIGGER queued AFTER INSERT ON nms_admin_message BEGIN"
            " INSERT INTO queued VALUES (NEW.payload); END"
        )
    ada = Browser(at)
    first = at.issue("replaced license")
    set_up(at, ada, first)
    otto = people(at, ada)
    newer = licenses(at, ada, first)
    exceptions(at, ada, newer)
    agents(at, ada)
    usage(at, ada, newer)
    commands(at)
    a_proxy_that_refuses(at, ada)
    everything_is_read(at, ada)
    the_end(at, ada)
    for path in ("/ui/", LICENSE, f"{LICENSE}/history", "/ui/audit/export.json"):
        assert ada.get(path).status_code == 200
    at.secrets["session of ada"], at.secrets["session of otto"] = (
        ada.cookie(),
        otto.cookie(),
    )
    for name in ("ada", "otto"):
        at.secrets[f"Basic of {name}"] = basic(person(at, name))

    known = {name: value.encode() for name, value in at.secrets.items()}
    with_seal = {"seal key, decoded": base64.urlsafe_b64decode(known["seal key"])}
    everywhere = at.answers | left_behind(at) | vendor_side(at)
    stands = set(canaries.found(known | with_seal, everywhere))
    allowed = {(name, place) for name, all_ in ALLOWED.items() for place in all_}
    assert stands - allowed == set()
    assert allowed - stands == set(), "the search sees what is there"
    assert everywhere["table queued"].count(b"licensing") > 1
    log = everywhere["output of all processes"]
    assert log.count(b'"level": "debug"') > 10
    assert log.count(b"Traceback") >= 3
    assert b"eyJ" not in log
    assert len(processes(at)) >= 5  # core, its worker, integrations, scheduler, dpm
    modes(at)

    at.console.stop()
    assert processes(at) == {}
    assert canaries.found(known | with_seal, left_behind(at)) == {}
    the_search_finds_what_is_planted(at, known)


def modes(at: Installation) -> None:
    """Nobody else on this machine reads a file of the data folder."""
    assert at.console.folder.stat().st_mode & 0o077 == 0
    ours = [file for file in at.console.folder.iterdir() if file.is_file()]
    ours.remove(at.console.log)
    assert [file.name for file in ours if file.stat().st_mode & 0o077] == []
    assert (at.console.folder / "sandbox" / "key.pem").stat().st_mode & 0o077 == 0


def the_search_finds_what_is_planted(at: Installation, known: dict[str, bytes]) -> None:
    """One canary in each kind of place, each in another form."""
    password, key = known["password of ada"], known["F5 API key"]
    token, plant = known["license"], known["agent token"]
    with writing(at) as rows:
        rows.execute(
            "UPDATE nms_admin_user SET last_name = ? WHERE username = 'ada'",
            [password.decode()],
        )
        typed = [known["wrong password"].decode()] * 9
        packed = signing.dumps({"typed": typed}, compress=True)
        rows.execute("UPDATE nms_admin_session SET session_data = ?", [packed])
        rows.execute("INSERT INTO queued VALUES (?)", [token[:80].hex()])
    with at.console.log.open("ab") as log:
        log.write(base64.b64encode(b"x" + key))
    (at.console.folder / "left.txt").write_bytes(plant.decode().encode("utf-16"))
    environment = {**at.console.environment, "CANARY": quote(password.decode())}
    words = [sys.executable, "-c", "import time; time.sleep(60)", key.decode()]
    process = subprocess.Popen(words, env=environment)
    try:
        wait_for(lambda: processes(at), 10, "it runs")
        hit = canaries.found(known, left_behind(at))
    finally:
        process.kill()
        process.wait()
    expected = {
        ("password of ada", "table nms_admin_user"): "raw",
        ("password of ada", "dump"): "raw",
        ("wrong password", "table nms_admin_session"): "JSON",
        ("license", "table queued"): "hex",
        ("F5 API key", "output of all processes"): "base64",
        ("agent token", "file left.txt"): "UTF-16",
        ("F5 API key", f"command line of {process.pid}"): "raw",
        ("password of ada", f"environment of {process.pid}"): "URL",
    }
    assert expected.items() <= hit.items()
