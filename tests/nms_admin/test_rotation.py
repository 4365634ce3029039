"""New keys of this server: everything opens at every moment, and nobody is thrown out."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings as configured
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.db import connections
from django.db.models import BinaryField
from django.test import Client

from audit.models import Record
from common import sealing
from common.models import Via
from licensing import connection
from licensing import services as licensing
from licensing.models import License
from nms_admin import serving, start_up
from nms_admin.models import User
from telemetry import processes
from tests import make
from tests.nms_admin.test_backup import archive, back_up, clock, host, put_back

__all__ = ["archive", "clock", "host"]  # fixtures
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.both_databases,
    pytest.mark.usefixtures("finished"),
]
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def folder(host) -> Path:
    """The data folder of this test's server, with its keys."""
    return Path(configured.NMS_DATA_DIR)


def read_again(settings) -> None:
    """Know the keys as a process does that starts now."""
    settings.SEAL_KEYS = settings.NMS_SEAL_KEYS_FILE.read_text().split()
    text = (settings.NMS_DATA_DIR / "secret.key").read_text().strip()
    settings.NMS_SECRET_KEY = text
    settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS = text.split("\n")


def rotate(settings, **options: bool) -> None:
    read_again(settings)
    call_command("rotate_keys", **options)
    read_again(settings)


def test_everything_is_sealed_with_the_new_key(
    folder: Path, settings, now: datetime
) -> None:
    settings.NMS_SEAL_KEYS_FILE.chmod(0o600)
    found = make.license(now)
    token, old = licensing.token(found.pk), settings.SEAL_KEYS
    rotate(settings)
    assert settings.SEAL_KEYS[1:] == old
    assert stat.S_IMODE(settings.NMS_SEAL_KEYS_FILE.stat().st_mode) == 0o600
    settings.SEAL_KEYS = settings.SEAL_KEYS[:1]
    assert licensing.token(found.pk) == token


def test_who_could_read_the_keys_file_still_can_and_nobody_else(
    folder: Path, settings, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.keys"
    settings.NMS_SEAL_KEYS_FILE.replace(elsewhere)
    settings.NMS_SEAL_KEYS_FILE.symlink_to(elsewhere)
    elsewhere.chmod(0o644)
    rotate(settings)
    assert settings.NMS_SEAL_KEYS_FILE.is_symlink()
    assert len(elsewhere.read_text().split()) == 2
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o640


def test_the_old_keys_are_dropped_when_nothing_needs_them(
    folder: Path, settings, now: datetime
) -> None:
    found = make.license(now)
    rotate(settings)
    rotate(settings, drop_old=True)
    assert len(settings.SEAL_KEYS) == 1
    assert settings.SECRET_KEY_FALLBACKS == []
    assert licensing.token(found.pk)


def test_an_old_key_that_is_needed_stays(folder: Path, settings, now: datetime) -> None:
    found = make.license(now)
    settings.NMS_SEAL_KEYS_FILE.write_text(
        "\n".join([sealing.new_key(), *settings.SEAL_KEYS]) + "\n"
    )
    with pytest.raises(CommandError, match="1 stored values are not sealed with the"):
        rotate(settings, drop_old=True)
    read_again(settings)
    assert len(settings.SEAL_KEYS) == 2
    assert licensing.token(found.pk)


def test_a_value_no_key_opens_is_told_and_keeps_the_old_keys(
    folder: Path, settings, now: datetime, capsys
) -> None:
    make.license(now)
    settings.NMS_SEAL_KEYS_FILE.write_text(sealing.new_key() + "\n")
    rotate(settings)
    assert (
        "1 open with none of the keys and stay as they are" in capsys.readouterr().out
    )
    with pytest.raises(CommandError, match="add that key at its end"):
        rotate(settings, drop_old=True)


def test_the_audit_log_says_that_there_are_new_keys(folder: Path, settings) -> None:
    rotate(settings)
    rotate(settings, drop_old=True)
    rows = Record.objects.filter(action__startswith="own_keys.").order_by("pk")
    said = [(row.action, row.actor) for row in rows]
    assert said == [
        ("own_keys.rotated", "command line"),
        ("own_keys.dropped", "command line"),
    ]
    text = str([row.details for row in rows])
    assert not [one for one in settings.SEAL_KEYS if one in text]
    call_command("audit", "verify")


def test_a_running_console_is_left_alone(folder: Path, settings, now: datetime) -> None:
    before = settings.NMS_SEAL_KEYS_FILE.read_text()
    with (
        serving.hold(folder),
        pytest.raises(CommandError, match="A console already runs on"),
    ):
        rotate(settings)
    run = processes.started("core", now)  # on another host
    with pytest.raises(CommandError, match="The process core of this installation"):
        rotate(settings)
    processes.stopped(run.pk, now)
    assert settings.NMS_SEAL_KEYS_FILE.read_text() == before
    rotate(settings)


def test_whoever_is_signed_in_stays_so_until_the_old_keys_are_dropped(
    folder: Path, settings, ada: User, vera: User
) -> None:
    read_again(settings)
    first, second = Client(), Client()
    for client, user in ((first, ada), (second, vera)):
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    rotate(settings)
    assert first.get("/ui/").status_code == 200
    rotate(settings, drop_old=True)
    assert first.get("/ui/").status_code == 200  # under the new key since
    assert second.get("/ui/").url.startswith("/login")


def test_a_signing_key_of_the_operator_is_left_to_them(
    folder: Path, settings, capsys
) -> None:
    (folder / "secret.key").unlink()
    settings.SECRET_KEY = settings.NMS_SECRET_KEY = "the operator's own"
    call_command("rotate_keys")
    assert not (folder / "secret.key").exists()
    assert "NMS_SECRET_KEY, which is yours to change" in capsys.readouterr().out


@pytest.mark.parametrize("step", ["added", "resealing", "resealed"])
def test_a_rotation_that_is_killed_leaves_everything_open(
    folder: Path, settings, now: datetime, step: str
) -> None:
    found = make.license(now)
    token = licensing.token(found.pk)
    done = command(folder, NMS_FAULT=f"rotation.{step}")
    assert done.returncode == -signal.SIGKILL, done.stderr
    read_again(settings)
    assert len(settings.SEAL_KEYS) == 2
    assert licensing.token(found.pk) == token
    assert command(folder).returncode == 0  # given again
    rotate(settings, drop_old=True)
    assert licensing.token(found.pk) == token


def command(folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process of its own on this test's database."""
    connections.close_all()
    script = (
        "import django; django.setup()\n"
        "from django.db import connection\n"
        f"connection.settings_dict['NAME'] = {database.settings_dict['NAME']!r}\n"
        "from django.core.management import call_command\n"
        "call_command('rotate_keys')\n"
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, "NMS_DATA_DIR": str(folder), **more}
        | {"DJANGO_SETTINGS_MODULE": "nms_admin.settings"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_rotation_knows_the_keys_of_one_that_ended_after_its_start(
    folder: Path, settings, now: datetime
) -> None:
    found = make.license(now)
    token = licensing.token(found.pk)
    call_command("rotate_keys")
    call_command("rotate_keys")  # with the settings of before the first
    read_again(settings)
    assert len(settings.SEAL_KEYS) == len(settings.NMS_SECRET_KEY.split()) == 3
    assert licensing.token(found.pk) == token


def test_a_backup_from_before_is_restored_after_the_old_keys_are_gone(
    archive: Path, host: Callable[[str], Path], settings, now: datetime
) -> None:
    found = make.license(now)
    token = licensing.token(found.pk)
    read_again(settings)
    back_up(archive)
    rotate(settings)
    rotate(settings, drop_old=True)
    put_back(archive)
    read_again(settings)
    assert licensing.token(found.pk) == token
    with pytest.raises(CommandError, match="not sealed with the newest key"):
        rotate(settings, drop_old=True)
    rotate(settings)
    rotate(settings, drop_old=True)
    assert licensing.token(found.pk) == token


@pytest.mark.parametrize("dropped", [False, True])
def test_a_backup_from_before_is_of_this_server_until_its_signing_key_is_dropped(
    archive: Path, settings, now: datetime, dropped: bool
) -> None:
    make.license(now)
    connection.set_choice(on=True, by="ada", via=Via.SETTINGS, now=now)
    read_again(settings)
    back_up(archive)
    rotate(settings)
    if dropped:
        rotate(settings, drop_old=True)
    put_back(archive)
    start_up.prepare(now)
    assert connection.is_on() is not dropped


def test_a_backup_that_is_made_meanwhile_holds_the_keys_of_both(
    archive: Path, settings, now: datetime
) -> None:
    make.license(now)
    read_again(settings)
    old = settings.SEAL_KEYS
    rotate(settings)
    new = settings.SEAL_KEYS
    settings.SEAL_KEYS = old  # read before the rotation
    back_up(archive)
    assert kept(archive) == new


def kept(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as file:
        return file.read("seal.keys").decode().split()


def test_every_sealed_column_is_one_the_rotation_knows() -> None:
    sealed = [
        one.model
        for model in apps.get_models()
        for one in model._meta.get_fields()
        if isinstance(one, BinaryField) and one.name.startswith("sealed")
    ]
    assert sealed == [License]
    importing = r"from common\.sealing import [^\n]*\bseal\b"
    sealing_files = [
        file.name
        for app in configured.INSTALLED_APPS
        for file in (ROOT / app).glob("*.py")
        if re.search(importing, file.read_text())
    ]
    assert sealing_files == ["checking.py"]
