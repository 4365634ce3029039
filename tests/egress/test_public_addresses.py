"""Keys are fetched from public addresses only, whatever a name server says."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from egress import facts, probes, transport
from egress.destinations import Destination, Target
from egress.errors import NotAllowed, TransientError
from egress.probes import Step
from egress.transport import Answer
from sandbox.server import Sandbox
from tests.egress.conftest import Tap
from tests.names import NAME, PUBLIC, World
from tests.outbound import connections

PATH = "/ee/v1/keys/jwks"
HOST = "an address of this host"
PRIVATE, LOCAL = "a private address", "a link-local address"
NAT, RESERVED = "an address behind a provider’s NAT", "a reserved address"
CLOUD, MANY = "an address of the cloud’s own services", "a multicast address"
IN_FORM = "an IPv4 address in IPv6 form"
FORBIDDEN = {
    "0.0.0.0": HOST,
    "0.1.2.3": HOST,
    "127.0.0.1": HOST,
    "127.255.255.254": HOST,
    "10.0.0.0": PRIVATE,
    "10.255.255.255": PRIVATE,
    "172.16.0.1": PRIVATE,
    "172.31.255.255": PRIVATE,
    "192.168.0.1": PRIVATE,
    "192.168.255.255": PRIVATE,
    "100.64.0.1": NAT,
    "100.100.100.200": NAT,  # metadata of Alibaba Cloud
    "100.127.255.255": NAT,
    "169.254.169.254": LOCAL,  # metadata of AWS, Azure, Google Cloud
    "169.254.0.1": LOCAL,
    "168.63.129.16": CLOUD,  # Azure
    "192.0.0.192": RESERVED,  # metadata of Oracle Cloud
    "192.0.2.1": RESERVED,
    "192.88.99.1": RESERVED,
    "198.18.0.1": RESERVED,
    "198.19.255.255": RESERVED,
    "198.51.100.1": RESERVED,
    "203.0.113.1": RESERVED,
    "224.0.0.1": MANY,
    "239.255.255.255": MANY,
    "240.0.0.1": RESERVED,
    "255.255.255.255": RESERVED,
    "::": HOST,
    "::1": HOST,
    "0:0:0:0:0:0:0:1": HOST,
    "::7f00:1": IN_FORM,
    "::ffff:127.0.0.1": IN_FORM,
    "::ffff:159.60.126.21": IN_FORM,
    "::ffff:a9fe:a9fe": IN_FORM,
    "64:ff9b::7f00:1": HOST,
    "64:ff9b::10.0.0.1": PRIVATE,
    "64:ff9b::a9fe:a9fe": LOCAL,
    "64:ff9b:1::a00:1": RESERVED,
    "2002:7f00:1::": IN_FORM,
    "2001::1": RESERVED,  # Teredo
    "2001:db8::1": RESERVED,
    "3fff::1": RESERVED,
    "100::1": RESERVED,
    "5f00::1": RESERVED,
    "fc00::1": PRIVATE,
    "fd00:ec2::254": PRIVATE,  # metadata of AWS over IPv6
    "fe80::1": LOCAL,
    "fe80::1%eth0": LOCAL,
    "fec0::1": PRIVATE,
    "ff02::1": MANY,
}
ALLOWED = [
    PUBLIC,
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "64:ff9b::159.60.126.21",  # NAT64: a host that has IPv6 alone
    "2001:200::1",
    "2606:4700::1111",
    "2a00:1450:4001::200e",
]


@pytest.fixture
def world(monkeypatch, settings) -> World:
    """Live mode, in a world of the test's own."""
    settings.SANDBOX = False
    settings.NMS_PROXY_URL = ""
    world = World()
    monkeypatch.setattr("socket.getaddrinfo", world.resolve)
    monkeypatch.setattr("socket.create_connection", world.connect)
    return world


@pytest.fixture
def vendor(
    tmp_path: Path, settings, sandbox_data: Path
) -> Iterator[Callable[..., Sandbox]]:
    """Start what stands at the public address, with a certificate for a name."""
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(bundle)
    settings.NMS_CA_BUNDLE = str(bundle)
    started: list[Sandbox] = []

    def start(name: str = NAME) -> Sandbox:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        box = Sandbox(sandbox_data, tls=context)
        started.append(box.__enter__())
        settings.NMS_JWKS_URL = f"https://{NAME}:{box.vendor.port}{PATH}"
        return box

    yield start
    for box in started:
        box.__exit__(None, None, None)


def keys(port: int = 9, host: str = NAME, scheme: str = "https") -> Destination:
    return Destination("keys", f"{scheme}://{host}:{port}{PATH}")


def get(destination: Destination) -> Answer:
    return transport.get(destination, headers={}, allowed=lambda: True)


def refused(destination: Destination) -> TransientError:
    """Ask; return why it was not, having seen that nothing was connected to."""
    with connections() as seen, pytest.raises(TransientError) as caught:
        get(destination)
    assert seen == []
    assert (caught.value.code, caught.value.reached) == ("not_public", False)
    return caught.value


@pytest.mark.parametrize(("address", "kind"), FORBIDDEN.items())
def test_what_is_no_public_address_is_named(address: str, kind: str) -> None:
    assert facts.not_public(address) == kind


@pytest.mark.parametrize("address", ALLOWED)
def test_the_neighbours_of_those_ranges_are_public(address: str) -> None:
    assert facts.not_public(address) == ""


@pytest.mark.parametrize(("address", "kind"), FORBIDDEN.items())
def test_keys_are_not_fetched_there_and_nothing_is_connected_to(
    world: World, address: str, kind: str
) -> None:
    world.answers = [[address]]
    said = refused(keys()).sentence
    assert f"leads to {address}, {kind}," in said
    assert "NMS_PROXY_URL" in said
    assert "NMS_JWKS_FILE" in said
    assert (world.asked, world.ways) == (1, [])


def test_one_such_address_among_public_ones_is_enough(world: World) -> None:
    world.answers = [[PUBLIC, "2606:4700::1111", "127.0.0.1"]]
    assert "127.0.0.1" in refused(keys()).sentence
    assert world.ways == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "10.0.0.5", "2130706433"])
def test_an_address_in_place_of_a_name_is_checked_as_well(
    world: World, host: str
) -> None:
    refused(keys(host=host))
    assert world.ways == []


def test_the_name_is_resolved_once_and_what_was_checked_is_connected_to(
    world: World, vendor: Callable[..., Sandbox]
) -> None:
    """DNS rebinding: the second answer, this host itself, is never asked for."""
    box = vendor()
    world.answers = [[PUBLIC], ["127.0.0.1"]]
    answer = get(keys(box.vendor.port))
    assert answer.status == 200
    assert (world.asked, world.ways) == (1, [PUBLIC])
    error = refused(keys(box.vendor.port))
    assert "127.0.0.1" in error.sentence
    assert (world.asked, world.ways) == (2, [PUBLIC])
    assert len(box.store.arrivals()) == 1


def test_the_certificate_is_verified_for_the_name_not_the_address(
    world: World, vendor: Callable[..., Sandbox]
) -> None:
    box = vendor("elsewhere.example")
    with pytest.raises(TransientError) as caught:
        get(keys(box.vendor.port))
    assert (caught.value.code, caught.value.reached) == ("certificate", False)
    assert box.store.arrivals() == []


def test_through_a_proxy_it_is_the_proxy_that_resolves(
    world: World, tap: Callable[..., Tap], settings
) -> None:
    world.answers = [["10.0.0.5"]]
    proxy = tap(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
    settings.NMS_PROXY_URL = f"http://127.0.0.1:{proxy.port}"
    with pytest.raises(TransientError) as caught:
        get(keys())
    assert caught.value.code == "proxy"
    assert proxy.received().startswith(f"CONNECT {NAME}:9 ".encode())
    assert world.asked == 0


@pytest.mark.parametrize("host", [NAME, "localhost"])
def test_keys_come_by_https_alone_in_live_mode(world: World, host: str) -> None:
    with connections() as seen, pytest.raises(NotAllowed):
        get(keys(host=host, scheme="http"))
    assert (seen, world.asked) == ([], 0)


def test_other_deliveries_may_go_to_a_server_inside(world: World, settings) -> None:
    world.answers = [["127.0.0.1"]]
    inside = Destination("telemetry", f"https://{NAME}:9/ee/v1/telemetry")
    with pytest.raises(TransientError) as caught:
        get(inside)
    assert caught.value.code == "refused"


def test_the_sandbox_of_this_host_is_asked_and_no_api_key_goes_there(
    tap: Callable[..., Tap], settings
) -> None:
    settings.NMS_F5_API_KEY = "the-api-key"
    server = tap(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    assert get(keys(server.port, "localhost", "http")).body == b"{}"
    assert b"f5-apikey" not in server.received().lower()


def check(name: str, host: str = NAME) -> list[Step]:
    target = Target(name, f"https://{host}:9/", "License keys")
    clock = lambda: datetime.now(UTC)  # noqa: E731
    return list(probes.check(target, clock=clock))


def test_a_check_says_so_and_goes_no_further_than_a_fetch(
    world: World, settings
) -> None:
    settings.NMS_JWKS_URL = keys().url
    world.answers = [["10.0.0.5"]]
    dns, *rest = check("keys")
    assert (dns.state, dns.code, dns.found) == ("failed", "not_public", "10.0.0.5")
    assert "10.0.0.5, a private address" in dns.happened
    assert "NMS_JWKS_FILE" in dns.todo
    assert {one.found for one in rest} == {"Not run"}
    assert world.ways == []


def test_at_a_host_that_takes_deliveries_too_it_is_a_warning(
    world: World, settings
) -> None:
    settings.NMS_JWKS_URL = keys().url
    world.answers = [["127.0.0.1"]]
    dns, tcp, *_ = check("api")
    assert (dns.state, dns.code) == ("warning", "not_public")
    assert tcp.code == "tcp_refused"
