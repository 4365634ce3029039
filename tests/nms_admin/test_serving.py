"""A command in a second terminal takes the addresses of the console that runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nms_admin import serving
from tests.e2e.console import Console, wait_for

ROOT = Path(__file__).parent.parent.parent
PROXY = {"NMS_PROXY_URL": "http://ada:pr0xy-secret@proxy.example:3128"}
STARTED_WITH = {
    "NMS_PORT": "8100",
    "NMS_SANDBOX_PORT": "8101",
    "NMS_OPERATION_MODE": "disconnected",
    "DO_NOT_TRACK": "1",
}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """The data folder of a console that runs on other ports."""
    serving.remember(tmp_path, STARTED_WITH)
    with (tmp_path / serving.LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield tmp_path


def command(
    folder: Path, shown: str, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Print settings (``s``) in another process."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("NMS_")}
    return subprocess.run(
        [sys.executable, "-c", f"from nms_admin import settings as s; print({shown})"],
        cwd=ROOT,
        env=kept | {"NMS_DATA_DIR": str(folder)} | environ,
        capture_output=True,
        text=True,
        check=False,
    )


def addresses(folder: Path, **environ: str) -> list[str]:
    """Return what another process takes as its addresses."""
    return command(folder, "s.NMS_PUBLIC_URL, s.NMS_JWKS_URL", **environ).stdout.split()


def test_what_holds_the_console_back_holds_a_command_back(running: Path) -> None:
    shown = "s.NMS_OPERATION_MODE, s.DO_NOT_TRACK"
    assert command(running, shown).stdout == "disconnected True\n"


@pytest.mark.parametrize(
    "environ",
    [
        PROXY,
        {"NMS_PROXY_URL_FILE": "/etc/nms-admin/proxy-url"},
        {"PROXY_ENABLE": "true", "PROXY_HOST": "proxy.example"},
        {"NMS_DATABASE_URL": "postgresql://u:p@db/n"},
    ],
)
def test_what_is_not_written_down_has_to_be_told(running: Path, environ) -> None:
    serving.remember(running, STARTED_WITH | environ)
    refused = command(running, "1")
    assert refused.returncode
    assert "Set the same here, or stop the console." in refused.stderr
    kept = {k: v for k, v in environ.items() if not k.endswith("_FILE")}
    if kept:
        assert command(running, "1", **kept).stdout == "1\n"


def test_the_ports_of_the_running_console_reach_a_command(running: Path) -> None:
    console, keys = addresses(running)
    assert console == "http://127.0.0.1:8100"
    assert keys == "http://localhost:8101/ee/v1/keys/jwks"


def test_what_the_command_was_told_itself_goes_first(running: Path) -> None:
    console, keys = addresses(running, NMS_SANDBOX_PORT="8201")
    assert console == "http://127.0.0.1:8100"
    assert keys == "http://localhost:8201/ee/v1/keys/jwks"


def test_the_ports_of_a_console_that_ended_are_forgotten(tmp_path: Path) -> None:
    serving.remember(tmp_path, STARTED_WITH)
    (tmp_path / serving.LOCK).touch()
    assert serving.in_force(tmp_path, {}) == {}
    assert addresses(tmp_path)[0] == "http://127.0.0.1:8000"


def test_no_secret_is_written_and_only_its_user_reads_it(running: Path) -> None:
    serving.remember(running, STARTED_WITH | PROXY)
    file = running / serving.FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert "secret" not in file.read_text()


def test_a_file_nobody_can_read_changes_nothing(running: Path) -> None:
    (running / serving.FILE).write_text("{")
    assert serving.in_force(running, {}) == {}
    (running / serving.FILE).write_text("[]")
    assert serving.in_force(running, {}) == {}


@pytest.mark.e2e
def test_what_the_console_writes_is_its_users_alone(tmp_path: Path) -> None:
    """Whatever umask it was started under, and also what an older version left open."""
    folder = tmp_path / "data"
    folder.mkdir()
    left = folder / "nms-admin.sqlite3"
    left.touch(mode=0o644)
    console = Console(folder)
    serve = subprocess.Popen(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT,
        env=console.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        umask=0o022,
    )
    try:
        wait_for((folder / "sandbox" / "key.pem").exists, 60, "its processes started")
        modes = modes_of_files(folder)
    finally:
        serve.send_signal(signal.SIGTERM)
        serve.wait(30)
    assert left in modes
    assert len(modes) > 4
    assert {file.name for file, mode in modes.items() if mode & 0o077} == set()


def modes_of_files(folder: Path) -> dict[Path, int]:
    """Return the mode of each file below a folder that others write to just now."""
    found = {}
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if file.is_file():
                found[file] = file.stat().st_mode
    return found
