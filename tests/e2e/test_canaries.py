"""No secret stands anywhere it need not: a whole installation, searched byte by byte.

Every secret is a canary of the test's own. The vendor stands behind a proxy that wants a
password, and speaks TLS; what an administrator, an operator, scripts, agents and people
who get it wrong do is done, and everything that is left behind is searched for every
canary in every form. ``ALLOWED`` is the whole list of where one may stand, and each of
them is found there: a search that sees nothing fails.
"""

from __future__ import annotations

import base64
import secrets
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme
from cryptography.fernet import Fernet
from django.core import signing

from sandbox.server import Sandbox
from tests import canaries
from tests.e2e import canary_story as story
from tests.e2e.canary_database import Database, PostgreSql, Sqlite
from tests.e2e.canary_proxy import Proxy
from tests.e2e.canary_search import left_behind, processes, vendor_side
from tests.e2e.canary_story import LICENSE, canary
from tests.e2e.canary_world import Browser, Installation, basic
from tests.e2e.console import Console, wait_for
from tests.telemetry.test_worker import database  # noqa: F401 - a fixture

pytestmark = [pytest.mark.e2e, pytest.mark.both_databases, pytest.mark.timeout(300)]
HOST = "f5.example"

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


@pytest.fixture
def at(tmp_path: Path, database: str) -> Iterator[Installation]:  # noqa: F811
    folder, data = tmp_path, tmp_path / "data"
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
        rows: Database = Sqlite(data)
        if database:
            rows = PostgreSql(database)
            console.environment["NMS_DATABASE_URL"] = database
        own = console.sandbox.base.removesuffix("/__sandbox")
        console.environment["NMS_JWKS_URL"] = f"{own}/ee/v1/keys/jwks"
        console.start()
        yield Installation(console, vendor, proxy, rows, folder, known)
        console.stop()
        proxy.close()


def test_no_secret_is_anywhere_it_need_not_be(at: Installation) -> None:
    for name in ("ada", "otto"):
        at.secrets[f"password of {name}"] = canary(name)
    at.secrets["first password of otto"] = canary("first")
    at.secrets["wrong password"] = canary("wrong")
    at.secrets["password as a name"] = canary("name")
    at.secrets["S/MIME content"] = canary("a license") * 3
    at.database.keep_messages()  # workers delete them
    ada = Browser(at)
    first = at.issue("replaced license")
    story.set_up(at, ada, first)
    otto = story.people(at, ada)
    newer = story.licenses(at, ada, first)
    story.exceptions(at, ada, newer)
    story.agents(at, ada)
    story.usage(at, ada, newer)
    story.commands(at)
    story.a_proxy_that_refuses(at, ada)
    story.everything_is_read(at, ada)
    story.the_end(at, ada)
    for path in ("/ui/", LICENSE, f"{LICENSE}/history", "/ui/audit/export.json"):
        assert ada.get(path).status_code == 200
    at.secrets["session of ada"], at.secrets["session of otto"] = (
        ada.cookie(),
        otto.cookie(),
    )
    for name in ("ada", "otto"):
        at.secrets[f"Basic of {name}"] = basic(story.person(at, name))

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
    execute = at.database.execute
    execute(
        "UPDATE nms_admin_user SET last_name = %s WHERE username = 'ada'",
        password.decode(),
    )
    typed = [known["wrong password"].decode()] * 9
    packed = signing.dumps({"typed": typed}, compress=True)
    execute("UPDATE nms_admin_session SET session_data = %s", packed)
    execute("INSERT INTO queued VALUES (%s)", token[:80].hex())
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
