"""The support bundle tells how the installation is, and none of its secrets."""

from __future__ import annotations

import io
import json
import os
import secrets
import socket
import stat
import zipfile

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from audit.models import Record
from dataplanes.models import DataPlane
from egress.models import Attempt, Gate
from licensing.models import License
from nms_admin import bundle
from telemetry import processes
from tests import canaries, make
from tests.conftest import PASSWORD

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.both_databases,
    pytest.mark.usefixtures("finished", "at_noon"),
]


def canary(words: str) -> str:
    return f'{words} é&<{secrets.token_urlsafe(12)}>+"%ü'


def opened(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def planted(settings, now, monkeypatch) -> dict[str, bytes]:
    """Secrets in every setting and table that the bundle reads from."""
    found = {
        "secret key": canary("sign"),
        "api key": canary("api"),
        "seal key": Fernet.generate_key().decode(),
        "database password": canary("postgres"),
        "proxy password": secrets.token_urlsafe(12),
        "broker password": secrets.token_urlsafe(12),
    }
    settings.SECRET_KEY = settings.NMS_SECRET_KEY = found["secret key"]
    settings.NMS_F5_API_KEY = found["api key"]
    settings.SEAL_KEYS = [*settings.SEAL_KEYS, found["seal key"]]
    default = settings.DATABASES["default"]
    monkeypatch.setitem(default, "PASSWORD", found["database password"])
    settings.NMS_PROXY_URL = (
        f"http://ada:{found['proxy password']}@proxy.acme.test:3128"
    )
    settings.NMS_BROKER_URL = f"redis://:{found['broker password']}@redis.acme.test/0"
    make.license(now)
    token = make.token(now)
    found["license"] = token
    said = " ".join([*list(found.values())[:3], token, "Bearer abcdef0123456789"])
    Gate.objects.create(host="vendor.acme.test:443", failures=1, closed_until=now)
    Gate.objects.update(sentence=said[:300], cause=found["api key"][:40])
    Attempt.objects.create(
        kind="batch",
        item="1",
        destination="telemetry",
        host="vendor.acme.test:443",
        key=found["api key"],
        size=3,
        choice=0,
        started_at=now,
        outcome="failed",
        cause=found["api key"][:40],
        sentence=said[:300],
    )
    processes.started("core", now)
    return {name: value.encode() for name, value in found.items()}


def test_no_planted_secret_is_in_any_file_in_any_form(planted, now) -> None:
    files = opened(bundle.write(now, actor="ada", via="settings"))
    assert canaries.found(planted, files) == {}
    assert b"Bearer abcdef" not in b"".join(files.values())


def test_hosts_addresses_and_subscriptions_are_numbered_alike(
    planted, settings, now
) -> None:
    settings.NMS_BIND = "192.0.2.77"
    files = opened(bundle.write(now, actor="ada", via="settings"))
    text = b"".join(files.values()).decode()
    name = License.objects.get().subscription_id
    for known in ("acme.test", "192.0.2.77", name, f" {socket.gethostname()}."):
        assert known not in text, known
    gates = json.loads(files["gates.json"])["gates"]
    attempts = json.loads(files["attempts.json"])
    assert gates[0]["host"] == attempts[0]["host"]
    assert gates[0]["host"].startswith("host-")


def test_it_holds_what_helps(planted, now) -> None:
    files = opened(bundle.write(now, actor="ada", via="settings"))
    assert set(files) == {
        "README.txt",
        "health.json",
        "metrics.txt",
        "gates.json",
        "attempts.json",
        "settings.json",
        "rows.json",
        "versions.json",
    }
    shown = json.loads(files["settings.json"])
    assert shown["NMS_SECRET_KEY"] == "set"
    assert shown["NMS_RETENTION_DAYS"] == 400
    assert json.loads(files["rows.json"])["egress.Attempt"] == 1
    assert json.loads(files["rows.json"])["dataplanes.DataPlane"] == (
        DataPlane.objects.count()
    )
    assert b"nms_gate_open" in files["metrics.txt"]


def test_it_stays_small_however_many_calls_there_were(now) -> None:
    Attempt.objects.bulk_create(
        Attempt(
            kind="batch",
            item=str(number),
            destination="telemetry",
            host="vendor.acme.test:443",
            size=3,
            choice=0,
            started_at=now,
            outcome="failed",
        )
        for number in range(700)
    )
    content = bundle.write(now, actor="ada", via="settings")
    assert len(json.loads(opened(content)["attempts.json"])) == 500
    assert len(content) < 1024**2


def test_an_administrator_takes_it_and_the_audit_log_says_so(signed_in, ada) -> None:
    answer = signed_in(ada).post("/ui/health/bundle")
    assert answer["Content-Disposition"].startswith('attachment; filename="support-')
    assert "README.txt" in opened(answer.content)
    record = Record.objects.get(action="support.bundle_downloaded")
    assert (record.actor, record.via) == ("ada", "settings")
    assert PASSWORD.encode() not in answer.content


def test_the_command_writes_a_file_once(tmp_path, capsys) -> None:
    path = tmp_path / "bundle.zip"
    call_command("support_bundle", output=path)
    assert "health.json" in opened(path.read_bytes())
    record = Record.objects.get(action="support.bundle_downloaded")
    assert (record.actor, record.via) == ("command line", "command")
    with pytest.raises(CommandError, match="exists already"):
        call_command("support_bundle", output=path)


def test_nobody_else_can_read_the_file_of_the_command(tmp_path) -> None:
    path = tmp_path / "bundle.zip"
    before = os.umask(0)
    try:
        call_command("support_bundle", output=path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_command_writes_through_no_link(tmp_path) -> None:
    there, link = tmp_path / "elsewhere", tmp_path / "bundle.zip"
    link.symlink_to(there)
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("support_bundle", output=link)
    assert not there.exists()
