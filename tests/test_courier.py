"""The courier, run as a process of its own against the sandbox."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tests import make
from tests.usage.conftest import sandbox_data, vendor  # noqa: F401  (fixtures)
from usage import acknowledgement, document
from usage.document import Count, Heading

ROOT = Path(__file__).parent.parent
COURIER = ROOT / "courier.py"
NUMBER = "2214e480-0000-4000-8000-000000000001"
BULK = "/ee/v1/entitlements/telemetry/bulk"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def report(tmp_path) -> Path:
    heading = Heading(
        report_id=NUMBER,
        sequence=1,
        subscription_id="SBX-00198432",
        detail="totals",
        previous_digest="",
        audit_head="0" * 64,
        token="folder",
    )
    made = document.build(heading, [Count(date(2026, 11, 22), "NGINX_INSTANCES", 48)])
    path = tmp_path / f"usage-report-{NUMBER}.zip"
    path.write_bytes(made.archive)
    (tmp_path / "license.jwt").write_text(make.token(datetime.now(UTC)) + "\n")
    return path


@pytest.fixture
def words(report, vendor) -> list[str]:  # noqa: F811
    return [
        *(sys.executable, "-I", str(COURIER), "--report", str(report)),
        *("--license", str(report.parent / "license.jwt"), "--pause", "0.01"),
        *("--url", f"http://localhost:{vendor.box.vendor.port}/ee/v1"),
    ]


@pytest.fixture
def run(words, report) -> Run:
    token = (report.parent / "license.jwt").read_text().strip()

    def go(*more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*words, *more], capture_output=True, text=True, timeout=60, check=False
        )
        said = done.stdout + done.stderr
        assert token not in said
        assert "Traceback" not in said
        return done

    return go


def answer_of(report: Path) -> Path:
    return report.parent / f"acknowledgement-{NUMBER}.zip"


def is_accepted(report: Path) -> bool:
    with zipfile.ZipFile(report) as opened:
        digest = hashlib.sha256(opened.read("manifest.json")).hexdigest()
    return acknowledgement.read(
        answer_of(report).read_bytes(),
        report_id=NUMBER,
        digest=digest,
        jwks=make.jwks(),
        algorithms=["RS512"],
    ).checked


def test_it_brings_the_acknowledgement_of_the_report(run, report, vendor) -> None:  # noqa: F811
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert is_accepted(report)
    assert vendor.archives == [report.read_bytes()]


def test_a_second_run_uploads_nothing_again(run, vendor) -> None:  # noqa: F811
    assert run().returncode == 0
    again = run("--resume")
    assert again.returncode == 0
    assert "uploaded before" in again.stdout
    assert len(vendor.uploads) == 1


@pytest.mark.parametrize(
    ("mode", "args"),
    [
        ("status", {"status": 500}),
        ("status", {"status": 429, "retry_after": 0}),
        ("reset", {}),
        ("reset_after", {}),
        ("truncated", {}),
        ("garbage", {}),
    ],
)
@pytest.mark.parametrize("path", [BULK, f"{BULK}/status", f"{BULK}/download"])
def test_what_passes_by_itself_is_tried_again(run, report, vendor, mode, args, path):  # noqa: F811
    vendor.fails(mode, path, times=2, **args)
    done = run()
    assert done.returncode == 0, done.stderr
    assert is_accepted(report)


def test_a_slow_answer_is_waited_for(run, report, vendor) -> None:  # noqa: F811
    vendor.fails("drip", f"{BULK}/download", times=1, bytes_per_second=1000)
    assert run().returncode == 0
    assert is_accepted(report)


def test_a_vendor_that_stays_away_ends_with_4(run, report, vendor) -> None:  # noqa: F811
    vendor.fails("status", BULK, status=503)
    done = run()
    assert done.returncode == 4
    assert "goes on where it stopped" in done.stderr
    vendor.recovers()
    assert run().returncode == 0


def test_a_check_that_is_not_over_ends_with_5_and_goes_on_later(run, vendor) -> None:  # noqa: F811
    body = json.dumps({"percentageComplete": 65, "readyForDownload": False})
    vendor.fails("status", f"{BULK}/status", status=200, body=body)
    done = run("--wait", "0.1")
    assert done.returncode == 5
    assert "has checked 65%" in done.stderr
    vendor.recovers()
    assert run("--resume").returncode == 0
    assert len(vendor.uploads) == 1


def test_killed_while_it_waits_it_goes_on_where_it_stopped(
    words,
    run,
    report,
    vendor,  # noqa: F811
) -> None:
    vendor.fails("hang", f"{BULK}/status", times=1)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    state = report.with_name(f"{report.name}.courier.json")
    end = time.monotonic() + 20
    while not state.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    shown = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
    assert "eyJ" not in shown
    process.kill()
    process.communicate()
    vendor.recovers()
    assert run("--resume").returncode == 0
    assert is_accepted(report)
    assert len(vendor.uploads) == 1


@pytest.mark.parametrize("status", [401, 403, 400, 413, 302])
def test_a_refusal_ends_with_3_at_once(run, report, vendor, status) -> None:  # noqa: F811
    vendor.fails("status", BULK, status=status)
    done = run()
    assert done.returncode == 3
    assert str(status) in done.stderr
    assert len(vendor.uploads) == 1
    assert not answer_of(report).exists()


def test_another_page_is_no_acknowledgement(run, report, vendor) -> None:  # noqa: F811
    vendor.fails("html", f"{BULK}/download")
    done = run()
    assert (done.returncode, "captive portal" in done.stderr) == (3, True)
    assert not answer_of(report).exists()


def test_a_changed_report_is_not_uploaded(run, report, vendor) -> None:  # noqa: F811
    packed = io.BytesIO()
    with zipfile.ZipFile(report) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b" " if "usage-" in name else b""))
    report.write_bytes(packed.getvalue())
    done = run()
    assert (done.returncode, "is not what was built" in done.stderr) == (3, True)
    report.write_bytes(report.read_bytes()[:100])
    assert run().returncode == 3
    assert vendor.calls == []


def test_wrong_use_ends_with_2(run, report, vendor) -> None:  # noqa: F811
    assert "nothing to resume" in run("--resume").stderr
    assert run("--resume").returncode == 2
    assert run("--url", "http://f5.example.net").returncode == 2
    assert run("--report", str(report.parent / "none.zip")).returncode == 2
    (report.parent / "license.jwt").write_text("no token")
    done = run()
    assert (done.returncode, "no JSON Web Token" in done.stderr) == (2, True)
    assert vendor.calls == []


def test_it_is_one_file_of_the_standard_library_for_python_3_9() -> None:
    tree = ast.parse(COURIER.read_text(), feature_version=(3, 9))
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert {name.split(".")[0] for name in imported if name} <= sys.stdlib_module_names
    assert COURIER.stat().st_mode & 0o111
