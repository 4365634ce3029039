"""The one door out against a real receiver that has bad days."""

from __future__ import annotations

import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from egress import probes, transport
from egress.destinations import Destination, Target
from egress.errors import NotAllowed, TransientError
from egress.transport import Answer
from sandbox.faults import parse_rules
from sandbox.server import Sandbox
from tests.egress.conftest import PATH, Tap

SECRET = "tok3n-of-the-license"
SHORT = timedelta(seconds=0.6)
YES = lambda: True  # noqa: E731


def post(
    destination: Destination,
    *,
    allowed: Callable[[], bool] = YES,
    deadline: timedelta = timedelta(seconds=5),
) -> Answer:
    return transport.post(
        destination,
        b'{"a":1}',
        headers={"Authorization": f"Bearer {SECRET}"},
        key="the-key",
        allowed=allowed,
        deadline=deadline,
    )


def failure(destination: Destination, **options: Any) -> TransientError:
    with pytest.raises(TransientError) as caught:
        post(destination, **options)
    assert SECRET not in repr(caught.value) + caught.value.sentence
    return caught.value


def fault(box: Sandbox, mode: str, **args: object) -> None:
    box.faults.set(parse_rules([{"path": PATH, "mode": mode, "args": args}]))


def test_exactly_these_bytes_go_out(tap: Callable[..., Tap], settings) -> None:
    settings.NMS_F5_API_KEY = ""
    server = tap()
    post(Destination("telemetry", f"http://localhost:{server.port}{PATH}"))
    head, _, body = server.received().partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /ee/v1/telemetry HTTP/1.1"
    assert sorted(head.split(b"\r\n")[1:]) == [
        b"Authorization: Bearer tok3n-of-the-license",
        b"Content-Length: 7",
        b"Content-Type: application/json",
        b"Host: localhost:%d" % server.port,
        b"Idempotency-Key: the-key",
        b"User-Agent: nms-admin",
    ]
    assert body == b'{"a":1}'


def test_an_api_key_goes_along_when_one_is_set(
    tap: Callable[..., Tap], settings
) -> None:
    settings.NMS_F5_API_KEY = "the-api-key"
    server = tap()
    post(Destination("telemetry", f"http://localhost:{server.port}{PATH}"))
    assert b"\r\nF5-ApiKey: the-api-key\r\n" in server.received()


def test_nothing_is_taken_from_the_environment(
    tap: Callable[..., Tap], monkeypatch, tmp_path: Path
) -> None:
    proxy, server = tap(), tap()
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login ada password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    assert post(Destination("t", f"http://localhost:{server.port}/")).status == 204
    assert proxy.got == []
    assert b"Basic" not in server.received()


@pytest.mark.parametrize("answers", [[False], [True, False]])
def test_when_it_is_not_allowed_any_more_no_byte_is_sent(
    tap: Callable[..., Tap], answers: list[bool]
) -> None:
    server = tap()
    left = list(answers)
    with pytest.raises(NotAllowed):
        post(
            Destination("t", f"http://localhost:{server.port}/"),
            allowed=lambda: left.pop(0),
        )
    time.sleep(0.1)
    assert b"".join(server.got) == b""


def test_plain_http_is_for_this_host_in_sandbox_mode_only(settings) -> None:
    with pytest.raises(NotAllowed):
        post(Destination("t", "http://192.0.2.1/"))
    settings.SANDBOX = False
    with pytest.raises(NotAllowed):
        post(Destination("t", "http://localhost:9/"))


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("refuse_after_accept", "cut"),
        ("reset", "cut"),
        ("reset_after", "cut"),
        ("garbage", "cut"),
        ("truncated", "cut"),
        ("bad_chunk", "cut"),
        ("headers", "cut"),
        ("huge", "too_large"),
        ("gzip_bomb", "too_large"),
        ("hang", "deadline"),
        ("hang_after", "deadline"),
        ("drip", "deadline"),
        ("continue_flood", "deadline"),
    ],
)
def test_a_bad_answer_is_transient_and_over_by_the_deadline(
    box: Sandbox, receiver: Destination, mode: str, code: str
) -> None:
    args = {"hang": {"seconds": 5}, "hang_after": {"seconds": 5}}.get(mode, {})
    if mode == "drip":
        args = {"bytes_per_second": 5}
    if mode == "continue_flood":
        args = {"n": 500_000_000}
    fault(box, mode, **args)
    slow = code == "deadline"
    start = time.monotonic()
    error = failure(receiver, deadline=SHORT if slow else timedelta(seconds=5))
    assert time.monotonic() - start < (1.6 if slow else 5)
    assert (error.code, error.reached) == (code, True)


@pytest.mark.parametrize(
    ("mode", "status", "body"),
    [("html", 200, b"<!doctype"), ("empty", 200, b""), ("array", 200, b"[]")],
)
def test_any_whole_answer_is_handed_over_as_it_came(
    box: Sandbox, receiver: Destination, mode: str, status: int, body: bytes
) -> None:
    fault(box, mode)
    answer = post(receiver)
    assert answer.status == status
    assert answer.body.startswith(body)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_never_followed(
    box: Sandbox, receiver: Destination, tap: Callable[..., Tap], status: int
) -> None:
    elsewhere = tap()
    fault(
        box, "redirect", status=status, location=f"http://localhost:{elsewhere.port}/"
    )
    assert post(receiver).status == status
    assert elsewhere.got == []


def test_a_compressed_answer_is_not_inflated(
    box: Sandbox, receiver: Destination
) -> None:
    fault(box, "gzip_bomb", mb=10)
    answer = post(receiver)
    assert answer.headers["content-encoding"] == "gzip"
    assert len(answer.body) < 64 * 1024


def test_a_closed_port_is_named_and_nothing_reached_it() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    error = failure(Destination("t", f"http://127.0.0.1:{port}/"))
    assert (error.code, error.reached) == ("refused", False)


def test_a_name_that_does_not_exist_is_named(settings) -> None:
    error = failure(Destination("t", "https://no-such-host.invalid/"))
    assert (error.code, error.reached) == ("dns", False)


@dataclass
class Tls:
    """A certificate authority of the test, and files of it."""

    authority: trustme.CA
    folder: Path

    @property
    def bundle(self) -> str:
        path = self.folder / "ca.pem"
        self.authority.cert_pem.write_to_path(path)
        return str(path)

    def server(self, name: str = "localhost", **options: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name, **options).configure_cert(context)
        return context


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    return Tls(trustme.CA(), tmp_path)


def over_tls(box: Sandbox) -> Destination:
    return Destination("telemetry", f"https://localhost:{box.vendor.port}{PATH}")


def test_a_certificate_of_our_own_authority_is_trusted_once_it_is_set(
    tls: Tls, settings, sandbox_data: Path
) -> None:
    settings.NMS_CA_BUNDLE = tls.bundle
    with Sandbox(sandbox_data, tls=tls.server()) as box:
        assert post(over_tls(box)).status in (400, 401)
        assert len(box.store.arrivals()) == 1


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("untrusted", "certificate"),
        ("other host", "certificate"),
        ("expired", "certificate"),
        ("old", "tls"),
    ],
)
def test_over_a_bad_tls_no_byte_of_the_body_goes_out(
    tls: Tls, settings, sandbox_data: Path, case: str, code: str
) -> None:
    settings.NMS_CA_BUNDLE = "" if case == "untrusted" else tls.bundle
    context = tls.server("elsewhere.example" if case == "other host" else "localhost")
    if case == "expired":
        context = tls.server(not_after=datetime(2020, 1, 1, tzinfo=UTC))
    if case == "old":
        with pytest.deprecated_call():
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    with Sandbox(sandbox_data, tls=context) as box:
        error = failure(over_tls(box))
        assert (error.code, error.reached) == (code, False)
        assert ("NMS_CA_BUNDLE" in error.sentence) == (case == "untrusted")
        assert len(error.sentence) <= 300
        assert box.store.arrivals() == []


def test_a_proxy_that_refuses_is_named_without_its_password(
    tap: Callable[..., Tap], settings
) -> None:
    proxy = tap(
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    )
    settings.NMS_PROXY_URL = f"http://ada:pr0xy-secret@127.0.0.1:{proxy.port}"
    error = failure(Destination("t", "https://receiver.example/telemetry"))
    assert (error.code, error.reached) == ("proxy", False)
    assert "pr0xy-secret" not in repr(error) + error.sentence
    assert error.sentence == (
        f"The proxy 127.0.0.1:{proxy.port} asks for a user name and password (407):"
        " correct NMS_PROXY_URL and start again."
    )
    assert proxy.received().startswith(b"CONNECT receiver.example:443 ")
    assert SECRET.encode() not in proxy.received()


def test_a_login_outside_ascii_is_the_same_in_a_delivery_and_in_a_check(
    tap: Callable[..., Tap], settings
) -> None:
    proxy = tap(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
    settings.NMS_PROXY_URL = f"http://zo%C3%AB:p%C3%A4ss@127.0.0.1:{proxy.port}"
    failure(Destination("t", "https://receiver.example/telemetry"))
    target = Target("api", "https://receiver.example/ee/v1", "License")
    list(probes.check(target, clock=lambda: datetime.now(UTC)))
    login = b"Proxy-Authorization: Basic " + b64encode("zoë:päss".encode())
    assert proxy.received(2).count(login) == 2


def test_without_its_proxy_nothing_goes_directly(
    tls: Tls, settings, sandbox_data: Path
) -> None:
    settings.NMS_CA_BUNDLE = tls.bundle
    settings.NMS_PROXY_URL = "http://127.0.0.1:9"
    with Sandbox(sandbox_data, tls=tls.server()) as box:
        assert failure(over_tls(box)).reached is False
        assert box.store.arrivals() == []
