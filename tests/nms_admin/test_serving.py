"""A command in a second terminal takes the addresses of the console that runs."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nms_admin import serving

ROOT = Path(__file__).parent.parent.parent
STARTED_WITH = {
    "NMS_PORT": "8100",
    "NMS_SANDBOX_PORT": "8101",
    "NMS_PROXY_URL": "http://ada:pr0xy-secret@proxy.example:3128",
}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """The data folder of a console that runs on other ports."""
    serving.remember(tmp_path, STARTED_WITH)
    with (tmp_path / serving.LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield tmp_path


def addresses(folder: Path, **environ: str) -> list[str]:
    """Return what another process takes as its addresses."""
    code = (
        "from nms_admin import settings as s; print(s.NMS_PUBLIC_URL, s.NMS_JWKS_URL)"
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith("NMS_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=kept | {"NMS_DATA_DIR": str(folder)} | environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


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
    assert serving.in_force(tmp_path) == {}
    assert addresses(tmp_path)[0] == "http://127.0.0.1:8000"


def test_no_secret_is_written_and_only_its_user_reads_it(running: Path) -> None:
    file = running / serving.FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert "secret" not in file.read_text()


def test_a_file_nobody_can_read_changes_nothing(running: Path) -> None:
    (running / serving.FILE).write_text("{")
    assert serving.in_force(running) == {}
    (running / serving.FILE).write_text("[]")
    assert serving.in_force(running) == {}
