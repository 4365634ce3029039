"""Published offline scripts against a disconnected server, call by call with curl.

The order and form of each call is that of the scripts; numbers are those of the facts
about public clients. The vendor's side is a sandbox with the keys of the installation,
over TLS under an authority of its own, as the scripts want it.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.server import Sandbox
from tests.conftest import PASSWORD
from tests.e2e.console import Console
from tests.e2e.test_license_clients import BASE, USER, Client, serve
from tests.licensing.test_protocol_facts import scripted
from tests.licensing.test_protocol_facts_of_reports import BATCH, over_tls

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


@pytest.fixture(scope="module")
def receiver(
    console: Console, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Sandbox, Path]]:
    folder = tmp_path_factory.mktemp("receiver")
    with over_tls(console.folder / "sandbox", folder) as (box, ca):
        yield box, ca


@pytest.fixture
def vendor(receiver: tuple[Sandbox, Path]) -> Vendor:
    box, ca = receiver
    box.store.reset()
    return Vendor(box, ca)


@pytest.fixture
def client(console: Console) -> Client:
    """curl at a disconnected console without a license."""
    found = Client(console)
    serve(console, "2.19.4", "disconnected")
    found("DELETE", "/license")
    assert found.word() == "NONE"
    return found


def download(client: Client, query: str, target: Path, *more: str) -> str:
    """Fetch a report as the scripts do; return the status."""
    words = ["curl", "-sS", "-k", "-X", "GET", "-o", str(target), "-w", "%{http_code}"]
    words += more
    words += [f"{client.console.base}{BASE}/report/download?{query}"]
    words += ["-H", f"authorization: Basic {client.basic}"]
    words += ["-H", "accept: application/json"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


class Vendor:
    """F5's side by curl: no ``-k``, and its ALPN is looked for as the script does."""

    def __init__(self, box: Sandbox, ca: Path) -> None:
        self.box, self.ca = box, ca
        self.base = f"https://localhost:{box.vendor.port}"

    def call(self, token: str, path: str, *words: str) -> str:
        asked = ["curl", "-sS", "-v", "--fail", "--cacert", str(self.ca)]
        asked += ["-H", f"Authorization: Bearer {token}", *words, f"{self.base}{path}"]
        done = subprocess.run(asked, capture_output=True, check=False)
        said = done.stderr.decode(errors="replace")
        assert done.returncode == 0, said
        assert "server accepted" in said
        return done.stdout.decode(errors="replace")

    def carries(self, report: Path, token: str, *, doubled: bool = False) -> Path:
        """Upload a report, ask once, fetch what comes back.

        Args:
            doubled: Ask as the script does that was given the short form of the link.
        """
        sent = json.loads(self.call(token, BULK, "-F", f"file=@{report}"))
        link = sent["statusLink"]
        assert link.startswith(f"{BULK}/status/")
        number = link.removeprefix(f"{BULK}/status/")
        asked = f"{BULK}/status//status/{number}" if doubled else link
        text = self.call(token, asked)
        assert re.search(r'"percentageComplete":100[,}]', text)
        said = json.loads(text)
        assert said["readyForDownload"] is True
        target = report.with_suffix(".ack.zip")
        last = said["downloadLink"].rpartition("/")[2]
        self.call(token, f"{BULK}/download/{last}", "-o", str(target))
        return target


def upload(client: Client, file: Path) -> tuple[int, str]:
    return client("POST", "/report/upload", None, "-F", f"file=@{file}")


def intact(report: Path) -> list[str]:
    tested = subprocess.run(["unzip", "-tq", str(report)], check=False)
    assert tested.returncode == 0, "an empty zip is refused"
    with zipfile.ZipFile(report) as opened:
        return opened.namelist()


def test_facts_3_4_5_and_9_the_flow_of_2_19_from_the_license_to_the_acknowledgement(
    client: Client, vendor: Vendor, tmp_path: Path
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
    returned = vendor.carries(first, token)
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
    assert upload(client, vendor.carries(later, token)) == (200, DONE)


def test_the_flow_of_2_20_downloads_and_carries_by_one_call_each(
    client: Client, vendor: Vendor, tmp_path: Path
) -> None:
    serve(client.console, "2.20.0", "disconnected")
    token = client.console.manage("sandbox_license").strip()
    client("POST", "/license?telemetry=true", scripted(token))
    report = tmp_path / "report.zip"
    assert download(client, "format=zip", report) == "200", report.read_text()[:300]
    again = tmp_path / "again.zip"
    assert download(client, "format=zip", again) == "200"
    assert intact(again) == intact(report), "never one per GET"
    assert upload(client, vendor.carries(report, token)) == (200, DONE)
    assert token not in client.console.output()


@pytest.mark.parametrize("version", ["2.18.0", "2.19.4", "2.20.0"])
def test_the_script_in_mode_initial_and_then_in_mode_telemetry(
    client: Client, vendor: Vendor, tmp_path: Path, version: str
) -> None:
    """The second run begins anew: versions before 2.20 PUT the token without a POST."""
    serve(client.console, version, "disconnected")
    older = version != "2.20.0"
    token = client.console.manage("sandbox_license").strip()
    reachable = ["curl", "-sS", "-k", "--fail", "-o", "/dev/null", client.console.base]
    for mode in ("initial", "telemetry"):
        assert subprocess.run(reachable, check=False).returncode == 0
        assert client.version() == version
        assert (
            client("GET", "/report/device_mode")[1] == '{"device_mode":"DISCONNECTED"}'
        )
        if mode == "initial":
            first, again = (
                client("POST", "/license?telemetry=true", scripted(token))
                for _ in range(2)
            )
            assert first[0] == 202
            assert again[0] == 202 or "already registered" in again[1]
        if older:
            put = client("PUT", "/license?telemetry=true", scripted(token))
            assert put[0] == 200
        query = "format=zip"
        if older and mode == "initial":
            query += "&reportType=initial"
        elif older:
            query += "&reportType=telemetry&telemetryAction="
            prepared = client("GET", f"/report/download?{query}prepare")
            assert prepared == (200, '{"telemetry":"Report generation in progress"}')
            query += "download"
        report = tmp_path / f"{mode}.zip"
        assert download(client, query, report) == "200", report.read_text()[:300]
        intact(report)
        assert upload(client, vendor.carries(report, token)) == (200, DONE)
        assert client.licensed() == '{"licensed":true}'


@pytest.mark.parametrize("pages", [True, False])
def test_the_script_of_2411_polls_for_each_word_with_and_without_a_page(
    client: Client, vendor: Vendor, tmp_path: Path, pages: bool
) -> None:
    """It waits for *false* before the acknowledgement, and takes the last of the link."""
    named = ["-H", f"Origin: {client.console.base}"]
    named += ["-H", f"Referer: {client.console.base}/ui/settings/license"]
    more = named if pages else []
    token = client.console.manage("sandbox_license").strip()
    status, text = client("POST", "/license?telemetry=true", scripted(token), *more)
    assert status == 202
    assert json.loads(text)["currentStatus"]["modeOfOperation"] == "DISCONNECTED"

    def instance() -> dict[str, object]:
        found = json.loads(client("GET", "/license", None, *more)[1])
        return dict(found["currentStatus"]["state"]["currentInstance"])

    seen = instance()
    assert seen["status"] == "INITIALIZE_ACTIVATION_COMPLETE"
    assert (seen["fileType"], bool(seen["features"])) == ("JWT", True)
    put = client("PUT", "/license?telemetry=true", scripted(""), *more)
    assert put[0] == 200
    assert instance()["status"] == "CONFIG_REPORT_READY"
    for _ in range(2):
        said = client("GET", "/modules/licensed", None, *more)
        assert said == (200, '{"licensed":false}')
    report = tmp_path / "initial.zip"
    assert download(client, "format=zip&reportType=initial", report, *more) == "200"
    returned = vendor.carries(report, token, doubled=True)
    words = ["-F", f"file=@{returned}", *more]
    assert client("POST", "/report/upload", None, *words) == (200, DONE)
    assert instance()["status"] == "VALID"
    assert client.licensed() == '{"licensed":true}'


def test_facts_8_and_9_the_export_loop_of_2_22_posts_each_file_once(
    client: Client, vendor: Vendor, tmp_path: Path
) -> None:
    """Directories at depth 2, a token in each, every ``usage*.gzip`` as one POST."""
    serve(client.console, "2.22.0", "disconnected")
    token = client.console.manage("sandbox_license").strip()
    client("POST", "/license?telemetry=true", scripted(token))
    message = {
        "version": "1.29.0",
        "uuid": "5a3b9c1e0d2f4a6b8c7d9e0f1a2b3c4d",
        "nap": "active",
        "http": {"client": {"received": 1, "sent": 2, "requests": 3}},
        "start_time": int(time.time()) - 3600,
        "end_time": int(time.time()) - 60,
    }
    words = ["curl", "-sS", "-k", "--fail", "-d", json.dumps(message)]
    words += ["-H", "content-type: application/json"]
    address = f"{client.console.base}/api/nginx-usage"
    subprocess.run([*words, address], check=True, capture_output=True)
    archive, folder = tmp_path / "export.zip", tmp_path / "export"
    assert download(client, "format=zip", archive) == "200"
    intact(archive)
    subprocess.run(["unzip", "-q", str(archive), "-d", str(folder)], check=True)
    found = subprocess.run(
        ["find", str(folder), "-mindepth", "2", "-maxdepth", "2", "-type", "d"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    (tokens,) = (Path(one) for one in found)
    assert (tokens / "jwt.txt").read_text().strip() == token
    files = sorted(tokens.glob("usage*.gzip"))
    assert len(files) == 1
    for one in files:
        words = ["-X", "POST", "-H", "Content-Type: application/gzip"]
        words += ["--data-binary", f"@{one}", "-o", "/dev/null", "-w", "%{http_code}"]
        assert vendor.call(token, BATCH, *words) in ("200", "201", "204")
    (arrived,) = vendor.box.store.arrivals(host="vendor", prefix=BATCH)
    assert arrived.body == files[0].read_bytes()


def test_a_login_page_is_refused_and_changes_nothing(
    client: Client, tmp_path: Path
) -> None:
    page = tmp_path / "page.zip"
    page.write_text("<html>Sign in</html>")
    status, text = upload(client, page)
    assert (status, json.loads(text)["code"]) == (400, 400)
