"""What the packet counter says of a packet."""

from __future__ import annotations

import socket
import struct

import pytest

from tests.networks import Packet, read

IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
SYN, ACK = 0x02, 0x10


def ipv4(number: int, payload: bytes, to: str = "192.0.2.1") -> bytes:
    head = bytes([0x45, *[0] * 8, number, *[0] * 6])
    return head + socket.inet_aton(to) + payload


def tcp(source: int, port: int, flags: int) -> bytes:
    return struct.pack("!HH", source, port) + bytes(9) + bytes([flags]) + bytes(6)


def icmpv6(kind: int, target: str) -> bytes:
    head = bytes([0x60, *[0] * 5, 58, 255]) + bytes(32)
    return head + bytes([kind, *[0] * 7]) + socket.inet_pton(socket.AF_INET6, target)


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        (IPV4, ipv4(6, tcp(8000, 443, SYN)), Packet("tcp", "192.0.2.1", 443, 0)),
        (IPV4, ipv4(6, tcp(8000, 5, SYN | ACK)), Packet("tcp", "192.0.2.1", 5, 8000)),
        (IPV4, ipv4(6, tcp(8000, 5, ACK)), Packet("tcp", "192.0.2.1", 5, 8000)),
        (IPV4, ipv4(17, tcp(8000, 53, 0)), Packet("udp", "192.0.2.1", 53, 0)),
        (IPV4, ipv4(1, b"\x08"), Packet("icmp", "192.0.2.1", 0, 0)),
        (IPV6, icmpv6(135, "2001:db8::1"), Packet("ipv6", "2001:db8::1", 0, 0)),
        (0x1234, b"", Packet("kind 0x1234", "", 0, 0)),
    ],
)
def test_a_packet_is_counted_by_whom_it_is_for(kind, content, said) -> None:
    assert read(kind, content) == said


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (ARP, b""),
        (IPV6, icmpv6(135, "fe80::1")),
        (IPV6, icmpv6(133, "::")),
        (IPV6, bytes([0x60, *[0] * 5, 0, 1]) + bytes(60)),
    ],
)
def test_what_the_kernel_does_for_a_link_is_not_counted(kind, content) -> None:
    assert read(kind, content) is None
