"""Backup and restore by the commands, with the real processes of an installation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PASSWORD
from tests.e2e.console import Console

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture
def consoles(tmp_path: Path) -> Iterator[list[Console]]:
    """Two hosts; whatever a test leaves running is stopped."""
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir(mode=0o700)
    found = [Console(folder) for folder in folders]
    yield found
    for one in found:
        one.stop()


def test_a_console_moves_to_another_folder_by_two_commands(
    consoles: list[Console], tmp_path: Path
) -> None:
    first, second = consoles
    first.start()
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    words = ("--username", "ada", "--password-file", str(password))
    first.manage("provision", *words, "--continuous-connection", "on")
    taken = tmp_path / "running.backup"
    assert "It holds the keys" in first.manage("backup", "--output", str(taken))
    refused = first.manage("restore", str(taken), "--replace", check=False)
    assert f"A console already runs on {first.folder}" in refused
    first.stop()

    second.manage("restore", str(taken))
    second.start()
    explained = json.loads(second.manage("telemetry", "explain", "--json"))
    assert "database restored" in json.dumps(explained)
    assert "Setup code" not in second.output()  # set-up was finished in the backup
    second.stop()
    assert "holds an installation" in second.manage("restore", str(taken), check=False)
