"""What an administrator, an operator, scripts and agents do, and get wrong."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from sandbox.app import BULK
from tests import canaries, make
from tests.dataplanes.agent import FakeAgent
from tests.e2e.canary_database import damaged, without_licenses
from tests.e2e.canary_world import Browser, Installation, basic, plain
from tests.e2e.console import wait_for
from tests.licensing.test_protocol_facts import scripted
from tests.licensing.test_reading import certificate
from tests.test_access import API
from tests.test_access import PAGES as ROUTES

BASE = "/api/platform/v1"
LICENSE, ADD = "/ui/settings/license", "/ui/settings/license/add"
UUID = "0d4f3b52-6f0e-3b0e-9b44-0d9a4c8a5c11"


def canary(words: str) -> str:
    """Return a secret that looks different in every form."""
    return f'{words} é&<{secrets.token_urlsafe(12)}>+"%/ü'


def smime(content: bytes) -> bytes:
    """Return a license of the older kind, signed by nobody we know."""
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
    signer = builder.add_signer(certificate(), make.private_key(), hashes.SHA256())
    options = [pkcs7.PKCS7Options.Binary]
    return signer.sign(serialization.Encoding.DER, options)


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
    with without_licenses(at.database):
        assert ada.post(ADD, {"token": token}).status_code == 503
        put = at.curl("PUT", f"{BASE}/license", person(at, "ada"), json=scripted(token))
        assert put.status_code >= 500
    with damaged(at.database):
        assert ada.post(ADD, {"token": token}).status_code == 500
        put = at.curl("PUT", f"{BASE}/license", person(at, "ada"), json=scripted(token))
        assert put.status_code == 500


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
