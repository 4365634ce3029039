"""A backup holds what an installation needs, and coming back it decides nothing."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import zipfile
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.db.migrations.recorder import MigrationRecorder

from analytics import services as analytics
from audit import services as audit
from audit.models import Record
from common import choices, sealing
from common.models import Via
from licensing import connection
from licensing.models import License
from nms_admin import serving, start_up
from nms_admin.models import User
from telemetry import catalog, delivery, processes
from telemetry import services as telemetry
from telemetry.models import Batch, DailyCount, Event
from tests import make
from tests.usage.conftest import used
from usage import reports
from usage.models import Report

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.both_databases,
    pytest.mark.usefixtures("finished"),
]
HOUR = timedelta(hours=1)


@pytest.fixture
def clock(now: datetime):
    with time_machine.travel(now, tick=False) as traveller:
        yield traveller


@pytest.fixture
def host(settings, tmp_path: Path, clock) -> Callable[[str], Path]:
    """Return a function that makes this test's server another host, with keys."""

    def become(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir(mode=0o700, exist_ok=True)
        for file, setting in (("secret.key", "SECRET_KEY"), ("seal.keys", "")):
            path = folder / file
            if not path.exists():
                path.write_text(f"{Fernet.generate_key().decode()}\n")
            if setting:
                settings.SECRET_KEY = path.read_text().strip()
        settings.NMS_DATA_DIR = folder
        settings.NMS_SEAL_KEYS_FILE = folder / "seal.keys"
        settings.SEAL_KEYS = settings.NMS_SEAL_KEYS_FILE.read_text().split()
        settings.NMS_JWKS_FILE = str(tmp_path / "jwks.json")
        choices._written.clear()
        return folder

    become("first")
    return become


@pytest.fixture
def archive(tmp_path: Path, host) -> Path:
    return tmp_path / "console.backup"


def back_up(archive: Path) -> None:
    call_command("backup", output=archive)


def put_back(archive: Path, *, replace: bool = True, moved: bool = False) -> None:
    call_command("restore", str(archive), replace=replace, moved=moved)


def changed(archive: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Write the same archive with another manifest."""
    copy = archive.with_name("changed.backup")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "manifest.json":
                said = json.loads(content)
                change(said)
                content = json.dumps(said).encode()
            new.writestr(name, content)
    return copy


def test_only_its_owner_reads_a_backup_and_no_file_is_overwritten(
    archive: Path,
) -> None:
    back_up(archive)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    before = archive.read_bytes()
    with pytest.raises(CommandError, match="exists already; name another file"):
        back_up(archive)
    assert archive.read_bytes() == before
    left = {path.name for path in archive.parent.iterdir()}
    assert left == {"first", archive.name}


def test_a_database_of_an_older_version_is_left_to_that_version(archive: Path) -> None:
    kept = MigrationRecorder(database)
    kept.record_unapplied("telemetry", "0002_sealed")
    try:
        with pytest.raises(CommandError, match="is of an older version"):
            back_up(archive)
    finally:
        kept.record_applied("telemetry", "0002_sealed")
    assert not archive.exists()


def test_the_audit_log_says_that_somebody_took_the_keys(archive: Path) -> None:
    back_up(archive)
    record = Record.objects.get(action="backup.made")
    assert (record.actor, record.via) == ("command line", Via.COMMAND)
    assert set(record.details) == {"sha256"}


def test_an_opt_out_survives_the_restore_of_a_backup_from_before(
    archive: Path, now: datetime, clock
) -> None:
    make.license(now - HOUR)
    connection.set_choice(on=True, by="ada", via=Via.SETTINGS, now=now)
    back_up(archive)
    connection.set_choice(on=False, by="ada", via=Via.SETTINGS, now=now)
    analytics.set_choice(collect=False, by="ada", via=Via.SETTINGS, now=now)

    put_back(archive)
    assert connection.choice().value is True  # the database of before is back
    start_up.prepare(now + HOUR)

    assert connection.is_on() is False
    assert analytics.is_on() is False
    restored = Record.objects.get(action="backup.restored")
    assert restored.subject == archive.name
    assert audit.verify() is None
    start_up.prepare(now + 2 * HOUR)
    assert Record.objects.filter(action="backup.restored").count() == 1


def test_what_was_sent_after_the_backup_is_not_sent_again(
    archive: Path, now: datetime
) -> None:
    make.license(now - timedelta(days=3))
    connection.set_choice(on=True, by="ada", via=Via.SETTINGS, now=now)
    telemetry.record(catalog.LOGIN, now=now)
    used(now.date() - timedelta(days=1), 3)
    back_up(archive)
    assert delivery.seal(now) is not None
    reports.send(by="ada", via=Via.SETTINGS, now=now)

    put_back(archive)
    assert Event.objects.exists()
    assert not Batch.objects.exists()
    start_up.prepare(now + HOUR)

    assert connection.is_on()  # nobody decided anything after the backup
    assert not Event.objects.exists()
    assert "may have been sent" in DailyCount.objects.get(outcome="discarded").reason
    again = reports.send(by="ada", via=Via.SETTINGS, now=now + HOUR, force=True)
    assert again.report.record_count == 0


@pytest.mark.parametrize("lost", ["its choices.json", "the whole host"])
def test_a_host_that_cannot_know_what_came_after_sends_nothing(
    archive: Path, host, now: datetime, lost: str
) -> None:
    make.license(now - HOUR)
    connection.set_choice(on=True, by="ada", via=Via.SETTINGS, now=now)
    telemetry.record(catalog.LOGIN, now=now)
    back_up(archive)
    if lost == "the whole host":
        host("second")
        choices.remember(choices.CONNECTION, 1, True)  # of something else
        choices._written.clear()
    else:
        choices.where().unlink()

    put_back(archive)
    start_up.prepare(now + HOUR)
    assert connection.is_on() is False
    assert not analytics.is_on()
    assert not Event.objects.exists()


def test_an_installation_that_moved_goes_on_as_it_stood(
    archive: Path, host, now: datetime
) -> None:
    applied = make.license(now - HOUR)
    connection.set_choice(on=True, by="ada", via=Via.SETTINGS, now=now)
    telemetry.record(catalog.LOGIN, now=now)
    sealed = sealing.seal("a token")
    back_up(archive)

    folder = host("second")
    own = (folder / "seal.keys").read_text().split()
    License.objects.all().delete()
    put_back(archive, moved=True)
    host("second")  # as the next start reads its keys
    start_up.prepare(now + HOUR)

    assert connection.is_on()
    assert Event.objects.count() == 1
    assert License.objects.get().pk == applied.pk
    assert sealing.unseal(sealed) == "a token"
    assert (folder / "seal.keys").read_text().split()[:1] == own
    assert {p.name for p in folder.iterdir()} >= {"mode", "choices.json", "secret.key"}
    assert stat.S_IMODE((folder / "seal.keys").stat().st_mode) == 0o600


def test_a_backup_of_a_running_console_is_none_of_a_move(
    archive: Path, now: datetime
) -> None:
    run = processes.started("core", now)
    back_up(archive)
    processes.stopped(run.pk, now)
    with pytest.raises(CommandError, match="A console ran while this backup was made"):
        put_back(archive, moved=True)


def test_a_restore_refuses_while_a_console_runs(
    archive: Path, now: datetime, settings
) -> None:
    back_up(archive)
    with (
        serving.hold(settings.NMS_DATA_DIR),
        pytest.raises(CommandError, match="A console already runs on"),
    ):
        put_back(archive)


def test_a_restore_refuses_while_a_process_of_any_host_was_seen_lately(
    archive: Path, now: datetime, clock
) -> None:
    back_up(archive)
    processes.started("integrations", now)
    with pytest.raises(CommandError, match="The process integrations of this"):
        put_back(archive)
    clock.shift(timedelta(minutes=4))  # it was killed
    put_back(archive)


def test_an_installation_goes_only_when_that_is_asked_for(
    archive: Path, ada: User
) -> None:
    back_up(archive)
    ada.delete()
    with pytest.raises(CommandError, match="holds an installation already"):
        put_back(archive, replace=False)
    assert not User.objects.exists()
    put_back(archive)
    assert User.objects.get().username == "ada"


def newer(said: dict[str, Any]) -> None:
    said["version"] = "99.0.0"


def later_layout(said: dict[str, Any]) -> None:
    said["layout"] = 2


def unknown_migration(said: dict[str, Any]) -> None:
    said["migrations"].append("telemetry.0999_of_tomorrow")


def other_mode(said: dict[str, Any]) -> None:
    said["mode"] = "live"


def other_digest(said: dict[str, Any]) -> None:
    said["files"]["database"]["sha256"] = "0" * 64


def longer_than_it_says(said: dict[str, Any]) -> None:
    said["files"]["database"]["size"] -= 1


def without_keys(said: dict[str, Any]) -> None:
    del said["files"]["seal.keys"]


def with_another_file(said: dict[str, Any]) -> None:
    said["files"]["../../etc/passwd"] = {"size": 1, "sha256": ""}


def of_another_program(said: dict[str, Any]) -> None:
    said["format"] = "pictures"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (newer, "made by version 99.0.0"),
        (later_layout, "writes backups in another way"),
        (unknown_migration, "it knows telemetry.0999_of_tomorrow"),
        (other_mode, "is of mode live and NMS_F5_MODE says sandbox"),
        (other_digest, "is damaged: database is not what was backed up"),
        (longer_than_it_says, "is damaged: database is not what was backed up"),
        (without_keys, "does not name what is needed"),
        (with_another_file, "does not name what is needed"),
        (of_another_program, "is no backup of this product"),
    ],
)
def test_a_backup_that_does_not_fit_changes_nothing(
    archive: Path, ada: User, change, words: str, settings
) -> None:
    back_up(archive)
    ada.delete()
    before = contents(settings.NMS_DATA_DIR)
    with pytest.raises(CommandError, match=words):
        put_back(changed(archive, change))
    assert not User.objects.exists()
    assert contents(settings.NMS_DATA_DIR) == before


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a data folder, except what locks it and the database."""
    kept = ("secret.key", "seal.keys", "choices.json", "mode", "restored.json")
    strange = {path.name for path in folder.iterdir() if path.name.startswith(".")}
    assert strange == set()
    return {name: (folder / name).read_bytes() for name in kept if _is(folder / name)}


def _is(path: Path) -> bool:
    return path.exists()


@pytest.mark.parametrize("content", [b"", b"not a backup", b"PK\x05\x06" + b"\0" * 18])
def test_a_file_of_something_else_is_refused(archive: Path, content: bytes) -> None:
    archive.write_bytes(content)
    with pytest.raises(CommandError, match="is no backup"):
        put_back(archive)


def test_a_file_that_is_not_there_is_named(archive: Path) -> None:
    with pytest.raises(CommandError, match=r"console\.backup cannot be read: No such"):
        put_back(archive)


def test_one_bit_that_fell_over_is_found(archive: Path, ada: User) -> None:
    back_up(archive)
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    ada.delete()
    with pytest.raises(CommandError, match="damaged"):
        put_back(archive)
    assert not User.objects.exists()


def test_a_restore_that_fails_at_the_last_step_leaves_everything_as_it_was(
    archive: Path, host, now: datetime, monkeypatch
) -> None:
    connection.set_choice(on=True, by="ada", via=Via.SETTINGS, now=now)
    back_up(archive)
    folder = host("second")
    before = contents(folder) | {"seal.keys": b""}
    if database.vendor == "sqlite":  # what takes the file's place is not there
        monkeypatch.setattr(Path, "replace", _only_small(Path.replace))
        words = "No space left"
    else:
        monkeypatch.setenv("PATH", str(_without_psql(folder.parent)))
        words = "psql failed: gone"
    with pytest.raises(CommandError, match=words):
        put_back(archive)
    monkeypatch.undo()
    assert contents(folder) | {"seal.keys": b""} == before
    choices._written.clear()
    start_up.prepare(now + HOUR)
    assert connection.is_on()


def _only_small(real: Callable[..., Path]) -> Callable[..., Path]:
    def replace(path: Path, target: Path) -> Path:
        if path.name == "database":
            raise OSError(28, "No space left on device", str(target))
        return real(path, target)

    return replace


def _without_psql(folder: Path) -> Path:
    """Return a folder of programs in which psql is one that fails."""
    programs = folder / "bin"
    programs.mkdir()
    psql = programs / "psql"
    psql.write_text("#!/bin/sh\necho gone >&2\nexit 3\n")
    psql.chmod(0o755)
    for name in ("pg_restore", "sh"):
        (programs / name).symlink_to(shutil.which(name) or name)
    return Path(f"{programs}{os.pathsep}{os.environ['PATH']}")


def test_nothing_of_the_old_database_is_played_into_the_new_one(
    archive: Path, ada: User
) -> None:
    if database.vendor != "sqlite":
        return
    back_up(archive)
    file = Path(database.settings_dict["NAME"])
    with closing(sqlite3.connect(file)) as other:  # keeps its log beside the file
        other.execute("UPDATE nms_admin_user SET username = 'eve'")
        other.commit()
        assert file.with_name(f"{file.name}-wal").stat().st_size > 0
        put_back(archive)
    assert User.objects.get().username == "ada"
    with database.cursor() as cursor:
        cursor.execute("PRAGMA integrity_check")
        assert cursor.fetchone() == ("ok",)


def test_without_the_programs_of_postgresql_it_says_what_to_install(
    archive: Path, monkeypatch, tmp_path: Path
) -> None:
    if database.vendor != "postgresql":
        return
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        CommandError, match=r"pg_dump is not on PATH.*postgresql-client"
    ):
        back_up(archive)
    assert not archive.exists()


def test_tables_of_a_newer_version_do_not_stay_behind(archive: Path) -> None:
    back_up(archive)
    with database.cursor() as cursor:
        cursor.execute("CREATE TABLE telemetry_of_tomorrow (number int)")
    put_back(archive)
    assert "telemetry_of_tomorrow" not in database.introspection.table_names()
    assert Report.objects.count() == 0
