"""The doctor on the command line: the same checks, and what this host says."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from common import setup
from sandbox.server import Sandbox
from tests import make
from tests.outbound import connections

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def vendor(tmp_path: Path, settings) -> Iterator[Sandbox]:
    settings.NMS_DATA_DIR.chmod(0o700)
    make.keys_file()
    with Sandbox(tmp_path / "sandbox") as box:
        base = f"http://localhost:{box.vendor.port}"
        settings.NMS_F5_API_URL = f"{base}/ee/v1"
        settings.NMS_F5_SECURE_API_URL = f"{base}/ee"
        settings.NMS_TELEMETRY_URL = f"{base}/ee/v1/telemetry"
        settings.NMS_ENTITLEMENTS_URL = f"{base}/ee/v1/entitlements"
        settings.NMS_JWKS_URL = f"{base}/ee/v1/keys/jwks"
        settings.NMS_TERMINATE_URL = f"{base}/ee/v1/licenses/terminate"
        yield box


def doctor(*words: str) -> str:
    output = io.StringIO()
    call_command("doctor", *words, stdout=output)
    return output.getvalue()


def test_when_all_is_well_it_says_so_before_a_license_too(db, vendor) -> None:
    said = doctor()
    assert "mode     sandbox, connected" in said
    assert "ok      database" in said
    assert "ok      broker" in said
    assert said.count("404 as expected") == 2
    assert said.endswith("All is well.\n")
    assert {one.method for one in vendor.store.arrivals()} == {"HEAD"}


def test_json_is_one_object_with_every_step(db, vendor) -> None:
    said = json.loads(doctor("--json"))
    assert said["ok"] is True
    assert [one["name"] for one in said["targets"][0]["steps"]] == [
        "DNS",
        "TCP",
        "Proxy",
        "TLS",
        "HTTP",
    ]


def test_a_failure_is_named_with_what_to_do_and_ends_with_1(
    db, vendor, settings
) -> None:
    settings.NMS_F5_API_URL = "https://no-such-host.invalid/ee/v1"
    output = io.StringIO()
    with pytest.raises(CommandError, match=r"^1 of \d+ checks failed\.$") as caught:
        call_command("doctor", "--json", stdout=output)
    assert caught.value.returncode == 1
    step = json.loads(output.getvalue())["targets"][0]["steps"][0]
    assert step["happened"] == "The name no-such-host.invalid cannot be resolved."


def test_disconnected_the_vendor_is_contacted_only_when_told(db, vendor) -> None:
    row = setup.current()
    row.operation_mode = "disconnected"
    row.save()
    with connections() as seen:
        said = doctor()
    assert "Add --anyway to check once." in said
    assert vendor.vendor.port not in {port for _, port in seen}
    assert "404 as expected" in doctor("--anyway")


def test_the_password_of_the_proxy_is_not_printed(db, vendor, settings) -> None:
    settings.NMS_PROXY_URL = "http://ada:pr0xy-secret@127.0.0.1:9"
    said = doctor()
    assert "http://•••@127.0.0.1:9" in said
    assert "pr0xy-secret" not in said


def test_a_wrong_word_on_the_command_line_ends_with_2() -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--nonsense"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "--nonsense" in done.stderr
