"""Ten networks, each broken in its own way, before a license: ten different answers."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from licensing.models import License
from sandbox.server import Sandbox
from tests import make
from tests.egress.conftest import over_tls

Start = Callable[..., Any]
ASKS = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
PAGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>Sign in to the hotel</p>"


@pytest.fixture
def unused() -> Iterator[int]:
    """A port nothing listens on."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture
def broken(
    request: pytest.FixtureRequest, settings: Any, secure: Start, tap: Start
) -> Start:
    """Return what breaks the way to the vendor's API, by name."""

    def through(port: int) -> str:
        settings.NMS_PROXY_URL = f"http://127.0.0.1:{port}"
        return "https://receiver.example/ee/v1"

    def inspected() -> str:
        settings.NMS_CA_BUNDLE = ""
        return over_tls(secure())

    def off() -> str:
        date = datetime.now(UTC) - timedelta(hours=3)
        head = f"Date: {date:%a, %d %b %Y %H:%M:%S} GMT"
        server = tap(f"HTTP/1.1 404 Not Found\r\n{head}\r\n\r\n".encode())
        return f"http://localhost:{server.port}/ee/v1"

    def black() -> str:
        return f"https://127.0.0.1:{request.getfixturevalue('black_hole')}/ee/v1"

    unused = request.getfixturevalue("unused")
    ended = datetime(2020, 1, 1, tzinfo=UTC)
    ways: dict[str, Callable[[], str]] = {
        "no such name": lambda: "https://no-such-host.invalid/ee/v1",
        "refused": lambda: f"https://127.0.0.1:{unused}/ee/v1",
        "black hole": black,
        "proxy down": lambda: through(unused),
        "proxy asks": lambda: through(tap(ASKS).port),
        "inspected": inspected,
        "expired": lambda: over_tls(secure(not_after=ended)),
        "wrong host": lambda: over_tls(secure("elsewhere.example")),
        "clock": off,
        "wrong answer": lambda: f"http://localhost:{tap(PAGE).port}/ee/v1",
    }
    return lambda name: ways[name]()


ANSWERS = {
    "no such name": ("dns", "The name no-such-host.invalid cannot be resolved."),
    "refused": ("tcp_refused", "Something answered and refused: 127.0.0.1, port"),
    "black hole": ("tcp_timeout", "DNS works, so a firewall is the likely cause."),
    "proxy down": ("proxy_down", "Nothing listens at the proxy 127.0.0.1:"),
    "proxy asks": ("proxy_auth", "asks for a user name and password (407)."),
    "inspected": ("tls_unknown_ca", "Example Corp Inspection"),
    "expired": ("tls_expired", "1 Jan 2020"),
    "wrong host": ("tls_wrong_host", "elsewhere.example"),
    "clock": ("clock", "is 3 h ahead of the clock of localhost"),
    "wrong answer": ("http_page", "A page for people came back from localhost"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_doctor_names_the_cause_before_a_license_too(
    db, settings, box: Sandbox, broken: Start, name: str
) -> None:
    settings.NMS_DATA_DIR.chmod(0o700)
    make.keys_file()
    well = f"http://localhost:{box.vendor.port}/ee"
    settings.NMS_F5_API_URL = broken(name)
    settings.NMS_F5_SECURE_API_URL = well
    settings.NMS_TELEMETRY_URL = f"{well}/v1/telemetry"
    settings.NMS_ENTITLEMENTS_URL = f"{well}/v1/entitlements"
    settings.NMS_JWKS_URL = f"{well}/v1/keys/jwks"
    settings.NMS_TERMINATE_URL = f"{well}/v1/licenses/terminate"
    assert not License.objects.exists()
    steps = examined()
    (wrong,) = [one for one in steps if one["code"]]
    code, said = ANSWERS[name]
    assert wrong["code"] == code
    assert said in wrong["happened"]
    assert wrong["todo"]


def test_no_two_of_them_have_the_same_answer() -> None:
    assert len({code for code, _ in ANSWERS.values()}) == len(ANSWERS) == 10


def examined() -> list[dict[str, str]]:
    """Return the steps to the API, as ``manage.py doctor --json`` prints them."""
    output = io.StringIO()
    with suppress(CommandError):
        call_command("doctor", "--json", stdout=output)
    targets = json.loads(output.getvalue())["targets"]
    found: list[dict[str, str]] = targets[0]["steps"]
    return found
