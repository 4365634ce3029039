"""Published clients of the license API, call by call with curl over TLS.

Each flow is the order and form a public script uses for one version of the product. The
report that ends a disconnected activation is tested in ``tests/usage``.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import PASSWORD
from tests.e2e.console import Console
from tests.licensing.test_protocol_facts import VERSION, scripted
from tests.licensing.test_reading import ENCODING, smime

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
USER = "ada"
BASE = "/api/platform/v1"


class Client:
    """curl as the scripts call it: Basic credentials in a header, ten seconds."""

    def __init__(self, console: Console) -> None:
        self.console = console
        pair = f"{USER}:{PASSWORD}".encode()
        self.basic = base64.b64encode(pair).decode()

    def __call__(
        self, method: str, path: str, body: object = None, *more: str
    ) -> tuple[int, str]:
        words = ["curl", "-sS", "-k", "--max-time", "10", "-X", method]
        words += ["-w", "\n%{http_code}", f"{self.console.base}{BASE}{path}"]
        words += ["-H", "accept: application/json"]
        words += ["-H", f"authorization: Basic {self.basic}", *more]
        if body is not None:
            words += ["-H", "content-type: application/json", "-d", json.dumps(body)]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        text, _, status = said.rpartition("\n")
        return int(status), text

    def bare(self, method: str, path: str, *words: str) -> int:
        """Call without credentials; return the status."""
        asked = ["curl", "-sS", "-k", "--max-time", "10", "-X", method, *words]
        asked += ["-o", "/dev/null", "-w", "%{http_code}"]
        address = f"{self.console.base}{BASE}{path}"
        done = subprocess.run([*asked, address], capture_output=True, check=True)
        return int(done.stdout)

    def instance(self) -> dict[str, Any]:
        status, text = self("GET", "/license")
        assert status == 200
        found: dict[str, Any] = json.loads(text)
        return dict(found["currentStatus"]["state"]["currentInstance"])

    def word(self) -> str:
        return str(self.instance()["status"])

    def licensed(self) -> str:
        return self("GET", "/modules/licensed")[1]

    def version(self) -> str:
        found = VERSION.search(self("GET", "/modules/versions")[1])
        assert found
        return found.group(1)


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("clients")
    (folder / "password").write_text(PASSWORD)
    started = Console(
        folder / "data",
        tls=True,
        NMS_API_VERSION="2.20.0",
        NMS_OPERATION_MODE="connected",
    )
    started.start()
    words = ["--username", USER, "--password-file", str(folder / "password")]
    started.manage("provision", *words)
    yield started
    started.stop()


@pytest.fixture
def client(console: Console) -> Client:
    """curl at a console without a license, advertising 2.20.0, connected."""
    found = Client(console)
    serve(console, "2.20.0", "connected")
    found("DELETE", "/license")
    assert found.word() == "NONE"
    return found


def serve(console: Console, version: str, mode: str) -> None:
    """Start again as that version in that mode, unless it runs so already."""
    wanted = {"NMS_API_VERSION": version, "NMS_OPERATION_MODE": mode}
    if wanted.items() <= console.environment.items():
        return
    console.environment.update(wanted)
    console.stop()
    console.start()


@pytest.fixture(scope="module")
def token(console: Console) -> str:
    return console.manage("sandbox_license").strip()


def test_2_20_connected_by_post_alone(client: Client, token: str) -> None:
    status, text = client("POST", "/license?telemetry=true", scripted(token))
    assert status == 202
    assert json.loads(text)["currentStatus"]["modeOfOperation"] == "CONNECTED"
    again, text = client("POST", "/license?telemetry=true", scripted(token))
    assert again != 202
    assert "failed to register token. already registered" in json.loads(text)["message"]
    assert client("GET", "/report/device_mode")[1] == '{"device_mode":"CONNECTED"}'


def test_2_20_connected_with_the_words_of_the_older_script(
    client: Client, token: str
) -> None:
    """It sends Origin and Referer, and polls for each word without an end."""
    old = ["-H", f"Origin: {client.console.base}"]
    old += ["-H", f"Referer: {client.console.base}/ui/settings/license"]
    assert client("POST", "/license?telemetry=true", scripted(token), *old)[0] == 202
    seen = client.instance()
    assert (seen["status"], seen["telemetry"]) == ("ACTIVATED", True)
    assert client("PUT", "/license?telemetry=true", scripted(""), *old)[0] == 200
    assert (client.word(), client.licensed()) == ("VALID", '{"licensed":true}')


@pytest.mark.parametrize("version", ["2.18.0", "2.19.4", "2.20.0"])
def test_connected_each_version_takes_the_script_of_2411(
    client: Client, token: str, version: str
) -> None:
    """Without Origin and Referer, as its later revisions call."""
    serve(client.console, version, "connected")
    assert client.version() == version
    assert client("POST", "/license?telemetry=true", scripted(token))[0] == 202
    assert client.word() == "ACTIVATED"
    assert client("PUT", "/license?telemetry=true", scripted(""))[0] == 200
    assert (client.word(), client.licensed()) == ("VALID", '{"licensed":true}')


@pytest.mark.parametrize("status_first", [True, False])
def test_an_older_client_puts_base64_in_lines_and_reads_the_status(
    client: Client, status_first: bool
) -> None:
    """It polls until the status is a word, in either order of the two members.

    It names its user in a header of the gateway, which must count for nothing.
    """
    content = base64.encodebytes(smime(ENCODING.DER)).decode()
    assert "\n" in content.strip()
    body = {"desiredState": {"content": content}, "metadata": {"name": "license"}}
    if status_first:
        body = dict(reversed(body.items()))
        status, text = client("GET", "/license/status")
        assert (status, text) == (200, '{"licenseStatus":"NONE"}')
    spoofed = ["-H", "Nginx-Management-Suite-User: admin"]
    nobody = ["-H", "authorization:", *spoofed]
    assert client.bare("GET", "/license", *nobody) == 401
    assert client.bare("PUT", "/license", *nobody, "-d", json.dumps(body)) == 401
    assert client.word() == "NONE"
    assert client("PUT", "/license", body, *spoofed)[0] in (200, 202)
    assert client.word() == "VALID"
    status, text = client("GET", "/license/status")
    assert (status, text) == (200, '{"licenseStatus":"VALID"}')


@pytest.mark.parametrize("version", ["2.18.0", "2.19.4", "2.20.0"])
def test_disconnected_up_to_the_report(
    client: Client, token: str, version: str
) -> None:
    serve(client.console, version, "disconnected")
    assert client.version() == version
    assert client("GET", "/report/device_mode")[1] == '{"device_mode":"DISCONNECTED"}'
    for _ in range(2):  # the script posts twice and ignores the second answer
        client("POST", "/license?telemetry=true", scripted(token))
    assert client.word() == "INITIALIZE_ACTIVATION_COMPLETE"
    older = re.match(r"2\.1[89]\.", version)
    put = scripted(token) if older else scripted("")
    assert client("PUT", "/license?telemetry=true", put)[0] == 200
    assert client.word() == "CONFIG_REPORT_READY"
    assert client.licensed() == '{"licensed":false}'
