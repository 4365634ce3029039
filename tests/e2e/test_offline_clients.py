"""Published offline scripts against a disconnected server, call by call with curl.

The order and form of each call is that of the scripts; numbers are those of the facts
about public clients. The vendor's side is the sandbox of the same installation.
"""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PASSWORD
from tests.e2e.console import Console
from tests.e2e.test_license_clients import BASE, USER, Client
from tests.licensing.test_protocol_facts import scripted

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
BULK = "/ee/v1/entitlements/telemetry/bulk"
DONE = '{"message":"Report uploaded successfully."}'


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("offline")
    (folder / "password").write_text(PASSWORD)
    mode = {"NMS_API_VERSION": "2.19.4", "NMS_OPERATION_MODE": "disconnected"}
    started = Console(folder / "data", tls=True, **mode)
    started.start()
    words = ["--username", USER, "--password-file", str(folder / "password")]
    started.manage("provision", *words)
    yield started
    started.stop()


@pytest.fixture
def client(console: Console) -> Client:
    """curl at a disconnected console without a license."""
    found = Client(console)
    found("DELETE", "/license")
    assert found.word() == "NONE"
    return found


def download(client: Client, query: str, target: Path) -> str:
    """Fetch a report as the scripts do; return the status."""
    words = ["curl", "-sS", "-k", "-X", "GET", "-o", str(target), "-w", "%{http_code}"]
    words += [f"{client.console.base}{BASE}/report/download?{query}"]
    words += ["-H", f"authorization: Basic {client.basic}"]
    words += ["-H", "accept: application/json"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def carried(client: Client, report: Path, token: str) -> Path:
    """Send a report to the vendor and fetch what it returns, with one question."""
    vendor = client.console.sandbox.base.removesuffix("/__sandbox")
    bearer = ["curl", "-sS", "--fail", "-H", f"Authorization: Bearer {token}"]

    def call(*words: str) -> str:
        done = subprocess.run([*bearer, *words], capture_output=True, check=True)
        return done.stdout.decode(errors="replace")

    sent = json.loads(call("-F", f"file=@{report}", f"{vendor}{BULK}"))
    status = sent["statusLink"].removeprefix(f"{BULK}/status/")
    said = json.loads(call(f"{vendor}{BULK}/status/{status}"))
    assert (said["percentageComplete"], said["readyForDownload"]) == (100, True)
    number = said["downloadLink"].rpartition("/")[2]
    target = report.with_suffix(".ack.zip")
    call("-o", str(target), f"{vendor}{BULK}/download/{number}")
    return target


def upload(client: Client, file: Path) -> tuple[int, str]:
    return client("POST", "/report/upload", None, "-F", f"file=@{file}")


def intact(report: Path) -> list[str]:
    tested = subprocess.run(["unzip", "-tq", str(report)], check=False)
    assert tested.returncode == 0, "an empty zip is refused"
    with zipfile.ZipFile(report) as opened:
        return opened.namelist()


def test_facts_3_4_5_and_9_the_flow_of_2_19_from_the_license_to_the_acknowledgement(
    client: Client, tmp_path: Path
) -> None:
    first = tmp_path / "initial.zip"
    assert download(client, "format=zip&reportType=initial", first) == "402"
    assert "Add the JSON Web Token" in json.loads(first.read_text())["message"]

    token = client.console.manage("sandbox_license").strip()
    assert client("GET", "/report/device_mode")[1] == '{"device_mode":"DISCONNECTED"}'
    for _ in range(2):  # the script posts twice and ignores the second answer
        client("POST", "/license?telemetry=true", scripted(token))
    assert client("PUT", "/license?telemetry=true", scripted(token))[0] == 200
    assert client.word() == "CONFIG_REPORT_READY"
    assert client.licensed() == '{"licensed":false}'

    assert download(client, "format=zip&reportType=initial", first) == "200"
    assert any(re.fullmatch(r"usage/\w+/jwt\.txt", name) for name in intact(first))
    returned = carried(client, first, token)
    assert upload(client, returned) == (200, DONE)
    assert (client.word(), client.licensed()) == ("VALID", '{"licensed":true}')
    assert upload(client, returned) == (200, DONE), "the same again"

    ask = "/report/download?format=zip&reportType=telemetry&telemetryAction="
    status, text = client("GET", f"{ask}prepare")
    assert (status, text) == (200, '{"telemetry":"Report generation in progress"}')
    assert '"telemetry":"Report generation in progress"' in text, "as grep looks for it"
    later = tmp_path / "telemetry.zip"
    assert download(client, ask.partition("?")[2] + "download", later) == "200"
    intact(later)
    assert later.read_bytes() != first.read_bytes()
    assert upload(client, carried(client, later, token)) == (200, DONE)


def test_the_flow_of_2_20_downloads_and_carries_by_one_call_each(
    client: Client, tmp_path: Path
) -> None:
    token = client.console.manage("sandbox_license").strip()
    client("POST", "/license?telemetry=true", scripted(token))
    report = tmp_path / "report.zip"
    assert download(client, "format=zip", report) == "200", report.read_text()[:300]
    again = tmp_path / "again.zip"
    assert download(client, "format=zip", again) == "200"
    assert intact(again) == intact(report), "never one per GET"
    assert upload(client, carried(client, report, token)) == (200, DONE)
    assert token not in client.console.output()


def test_a_login_page_is_refused_and_changes_nothing(
    client: Client, tmp_path: Path
) -> None:
    page = tmp_path / "page.zip"
    page.write_text("<html>Sign in</html>")
    status, text = upload(client, page)
    assert (status, json.loads(text)["code"]) == (400, 400)
