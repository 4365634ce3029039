"""What stands between this host and an address, found step by step on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from egress import probes, sockets
from egress.destinations import Target
from egress.probes import Step
from sandbox.faults import parse_rules
from sandbox.server import Sandbox
from tests.egress.conftest import Tap, over_tls
from tests.outbound import connections

SHORT = timedelta(seconds=0.3)


def check(
    url: str, *, step: timedelta = timedelta(seconds=5), ahead: timedelta | None = None
) -> list[Step]:
    target = Target("api", url, "License")
    clock = lambda: datetime.now(UTC) + (ahead or timedelta())  # noqa: E731
    return list(probes.check(target, clock=clock, step=step))


def failed(steps: list[Step]) -> Step:
    """Return the step the check ended at; all before it passed, none after it ran."""
    at = next(n for n, one in enumerate(steps) if one.state == "failed")
    assert all(one.state in ("passed", "not_run", "warning") for one in steps[:at])
    assert [one.found for one in steps[at + 1 :]] == ["Not run"] * (4 - at)
    return steps[at]


def test_a_reachable_address_passes_every_step(secure) -> None:
    steps = check(over_tls(secure()))
    assert [one.name for one in steps] == ["DNS", "TCP", "Proxy", "TLS", "HTTP"]
    assert [one.state for one in steps] == [
        "passed",
        "passed",
        "not_run",
        "passed",
        "passed",
    ]
    assert steps[2].found == "Not used"
    assert steps[3].found.startswith("1.3, valid to ")
    assert steps[4].found.startswith("404 as expected, ")


def test_a_check_sends_no_license_no_key_and_no_body(
    tap: Callable[..., Tap], settings
) -> None:
    settings.NMS_F5_API_KEY = "the-api-key"
    server = tap(b"HTTP/1.1 404 Not Found\r\n\r\n")
    check(f"http://localhost:{server.port}/ee/v1")
    assert server.received() == (
        b"HEAD /ee/v1 HTTP/1.1\r\nHost: localhost:%d\r\nUser-Agent: nms-admin\r\n\r\n"
        % server.port
    )


def test_a_check_connects_to_its_target_and_nowhere_else(secure) -> None:
    box = secure()
    with connections() as seen:
        check(over_tls(box))
    assert {port for _, port in seen} == {box.vendor.port}


def test_a_name_that_does_not_exist_names_the_dns_servers(
    monkeypatch, tmp_path: Path
) -> None:
    resolvers = tmp_path / "resolv.conf"
    resolvers.write_text("nameserver 10.0.0.2\nnameserver 10.0.0.3\n")
    monkeypatch.setattr("egress.facts.RESOLVERS", resolvers)
    step = failed(check("https://no-such-host.invalid/ee/v1"))
    assert (step.name, step.code) == ("DNS", "dns")
    assert step.happened == "The name no-such-host.invalid cannot be resolved."
    assert step.todo == "Check the DNS servers of this host: 10.0.0.2, 10.0.0.3."


def test_a_black_hole_makes_a_firewall_the_likely_cause(black_hole: int) -> None:
    begun = time.monotonic()
    step = failed(check(f"https://127.0.0.1:{black_hole}/", step=SHORT))
    assert time.monotonic() - begun < 2
    assert (step.name, step.code, step.found) == (
        "TCP",
        "tcp_timeout",
        "No answer in 0.3 s",
    )
    assert "a firewall is the likely cause" in step.happened


def test_a_closed_port_is_something_that_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        step = failed(check(f"https://127.0.0.1:{unused.getsockname()[1]}/"))
    assert (step.name, step.code) == ("TCP", "tcp_refused")
    assert step.todo == "Check the address. A firewall that rejects looks the same."


def test_an_unknown_authority_is_named_as_an_inspecting_proxy(secure, settings) -> None:
    box = secure()
    settings.NMS_CA_BUNDLE = ""
    step = failed(check(over_tls(box)))
    assert (step.name, step.code) == ("TLS", "tls_unknown_ca")
    assert "Example Corp Inspection" in step.happened
    assert "CA certificate of " in step.todo
    assert "Example Corp Inspection" in step.todo
    assert "set NMS_CA_BUNDLE to its path and start again" in step.todo
    assert box.store.arrivals() == []


def test_an_authority_that_the_own_bundle_does_not_hold_is_named_with_the_file(
    secure, settings, tmp_path
) -> None:
    other = tmp_path / "other-ca.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    box = secure()
    settings.NMS_CA_BUNDLE = str(other)
    step = failed(check(over_tls(box)))
    assert (step.name, step.code) == ("TLS", "tls_not_in_bundle")
    assert "Example Corp Inspection" in step.happened
    assert f"to {other} and start again" in step.todo


def test_a_certificate_of_another_host_says_whose_it_is(secure) -> None:
    step = failed(check(over_tls(secure("elsewhere.example"))))
    assert (step.code, step.found) == ("tls_wrong_host", "For elsewhere.example")


def test_a_certificate_that_ended_says_when(secure) -> None:
    box = secure(not_after=datetime(2020, 1, 1, tzinfo=UTC))
    step = failed(check(over_tls(box)))
    assert (step.code, step.found) == ("tls_expired", "Ended 1 Jan 2020")
    assert step.todo.startswith("Check the clock of this server first.")


def test_a_plain_answer_to_tls_is_named(box: Sandbox) -> None:
    step = failed(check(over_tls(box)))
    assert (step.name, step.code) == ("TLS", "tls_not_spoken")


def test_a_page_for_people_is_a_captive_portal(box: Sandbox) -> None:
    box.faults.set(parse_rules([{"path": "/", "mode": "html"}]))
    step = failed(check(f"http://localhost:{box.vendor.port}/ee/v1"))
    assert (step.name, step.code) == ("HTTP", "http_page")
    assert "captive portal" in step.todo


def test_a_page_that_refuses_is_a_warning(box: Sandbox) -> None:
    args = {"status": 403, "content_type": "text/html", "body": "<p>Blocked</p>"}
    box.faults.set(parse_rules([{"path": "/", "mode": "status", "args": args}]))
    step = check(f"http://localhost:{box.vendor.port}/ee/v1")[-1]
    assert (step.state, step.code, step.found) == (
        "warning",
        "http_page",
        "403 with a page",
    )


def test_a_redirect_is_named_and_not_followed(
    box: Sandbox, tap: Callable[..., Tap]
) -> None:
    elsewhere = tap()
    args = {"status": 302, "location": f"http://localhost:{elsewhere.port}/"}
    box.faults.set(parse_rules([{"path": "/", "mode": "redirect", "args": args}]))
    step = failed(check(f"http://localhost:{box.vendor.port}/ee/v1"))
    assert step.code == "http_redirect"
    assert elsewhere.got == []


def test_what_is_not_http_is_named(box: Sandbox) -> None:
    box.faults.set(parse_rules([{"path": "/", "mode": "garbage"}]))
    step = failed(check(f"http://localhost:{box.vendor.port}/ee/v1"))
    assert step.code == "http_not_spoken"


@pytest.mark.parametrize(
    ("ahead", "found"),
    [
        (timedelta(minutes=5), "is 5 min ahead of the clock of localhost"),
        (timedelta(hours=-3), "is 3 h behind the clock of localhost"),
    ],
)
def test_a_clock_that_is_off_is_a_warning(
    tap: Callable[..., Tap], ahead: timedelta, found: str
) -> None:
    date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    server = tap(f"HTTP/1.1 404 Not Found\r\nDate: {date}\r\n\r\n".encode())
    step = check(f"http://localhost:{server.port}/", ahead=ahead)[-1]
    assert (step.state, step.code) == ("warning", "clock")
    assert found in step.happened


def test_a_clock_half_a_minute_off_is_none(tap: Callable[..., Tap]) -> None:
    date = datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    server = tap(f"HTTP/1.1 404 Not Found\r\nDate: {date}\r\n\r\n".encode())
    steps = check(f"http://localhost:{server.port}/", ahead=timedelta(seconds=30))
    assert steps[-1].state == "passed"


def test_a_server_in_trouble_is_reached(box: Sandbox) -> None:
    box.faults.set(parse_rules([{"path": "/", "mode": "status"}]))
    step = check(f"http://localhost:{box.vendor.port}/ee/v1")[-1]
    assert (step.state, step.code) == ("warning", "http_trouble")


def test_a_proxy_that_wants_a_password_is_named_without_it(
    tap: Callable[..., Tap], settings
) -> None:
    proxy = tap(
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    )
    settings.NMS_PROXY_URL = f"http://ada:pr0xy%40secret@127.0.0.1:{proxy.port}"
    steps = check("https://receiver.example/ee/v1")
    step = failed(steps)
    assert (step.name, step.code) == ("Proxy", "proxy_login")
    assert f"The proxy 127.0.0.1:{proxy.port} refused the user name" in step.happened
    assert "NMS_PROXY_URL" in step.happened
    assert "secret" not in repr(steps)
    assert proxy.received().startswith(b"CONNECT receiver.example:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic YWRhOnByMHh5QHNlY3JldA==" in proxy.received()


def test_a_proxy_without_a_login_says_where_to_write_it(
    tap: Callable[..., Tap], settings
) -> None:
    proxy = tap(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
    settings.NMS_PROXY_URL = f"http://127.0.0.1:{proxy.port}"
    step = failed(check("https://receiver.example/ee/v1"))
    assert (step.name, step.code) == ("Proxy", "proxy_auth")
    name = f"127.0.0.1:{proxy.port}"
    assert step.happened == f"The proxy {name} asks for a user name and password (407)."
    assert f"NMS_PROXY_URL, as http://USER:PASSWORD@{name}, and" in step.todo


def test_a_proxy_that_refuses_the_host_is_named(
    tap: Callable[..., Tap], settings
) -> None:
    proxy = tap(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    settings.NMS_PROXY_URL = f"http://127.0.0.1:{proxy.port}"
    step = failed(check("https://receiver.example/ee/v1"))
    assert (step.code, step.found) == ("proxy_refused", "Answered 403")
    assert step.todo == "Allow receiver.example, port 443, on the proxy."


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_through_a_proxy_every_step_passes(
    secure, authority: trustme.CA, settings, scheme: str
) -> None:
    box = secure()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with relay(context if scheme == "https" else None) as port:
        settings.NMS_PROXY_URL = f"{scheme}://localhost:{port}"
        with connections() as seen:
            steps = check(over_tls(box))
    assert [one.state for one in steps] == ["passed"] * 5
    assert steps[2].found.startswith("Connected through, ")
    assert seen[0][1] == port


@contextmanager
def relay(tls: ssl.SSLContext | None) -> Iterator[int]:
    """Run a proxy for one connection; it does what CONNECT asks, over TLS or not."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client: socket.socket = listener.accept()[0]
            client = tls.wrap_socket(client, server_side=True) if tls else client
            authority = client.recv(4096).split()[1].decode()
            port = int(authority.rpartition(":")[2])
            server = socket.create_connection(("localhost", port))
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=pour, args=[server, client])
            back.start()
            pour(client, server)
            server.shutdown(socket.SHUT_RDWR)
            back.join()
            client.close()
            server.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def pour(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65_536):
            target.sendall(part)


def test_an_address_outside_the_published_range_is_a_warning(monkeypatch) -> None:
    monkeypatch.setattr(sockets, "resolve", lambda *_: ["127.0.0.1"])
    monkeypatch.setattr(sockets, "connect", _refuse)
    steps = check("https://product.apis.f5.com/ee/v1")
    assert (steps[0].state, steps[0].code) == ("warning", "outside_range")
    assert steps[0].todo == "Allow the name, not only the range."
    assert failed(steps).name == "TCP"


def _refuse(*_: object) -> None:
    raise ConnectionRefusedError


def test_a_certificate_file_that_cannot_be_read_is_named(
    secure, settings, tmp_path: Path
) -> None:
    box = secure()
    settings.NMS_CA_BUNDLE = str(tmp_path / "missing.pem")
    step = failed(check(over_tls(box)))
    assert (step.name, step.code) == ("TLS", "ca_bundle")
    assert "No such file" in step.happened
