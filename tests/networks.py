"""Network namespaces: the links between them, and every packet on a link."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

_libc = ctypes.CDLL(None, use_errno=True)
_NEWNET = 0x40000000
_OURS = Path("/proc/thread-self/ns/net")


def ip(*words: str) -> str:
    """Run ``ip``, return what it prints.

    Raises:
        OSError: It failed, with what it said.
    """
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def missing() -> str:
    """Return why no namespace can be made here; empty when one can.

    A machine of CI whose user is root is expected to have the program.
    """
    if os.geteuid():
        return "network namespaces need root"
    if not shutil.which("ip"):
        if os.environ.get("CI") == "true":
            raise AssertionError("ip (iproute2) is missing: run scripts/peers")
        return "ip is not installed (Debian: iproute2)"
    words = ["unshare", "--net", "true"]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        return "the kernel allows no network namespace here, even to root"
    return ""


class Namespace:
    """One host's network, with only loopback until it is linked.

    Args:
        name: Unique on this machine.
        files: What stands in /etc for the programs in it, by name.
        here: Whether it is the one this process is in, and not a new one.
    """

    def __init__(
        self, name: str, files: Mapping[str, str] | None = None, *, here: bool = False
    ) -> None:
        self.name = name
        self.etc = Path("/etc/netns", name)
        ip("netns", *(["attach", name, str(os.getpid())] if here else ["add", name]))
        ip("-n", name, "link", "set", "lo", "up")
        for file, text in (files or {}).items():
            self.etc.mkdir(parents=True, exist_ok=True)
            (self.etc / file).write_text(text)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.etc, ignore_errors=True)
        with contextlib.suppress(OSError):
            ip("netns", "delete", self.name)

    @property
    def words(self) -> list[str]:
        """Put these before a command to run it in there."""
        return ["ip", "netns", "exec", self.name]

    def ip(self, *words: str) -> str:
        """Run ``ip`` in there."""
        return ip("-n", self.name, *words)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let this thread be in there: the sockets it makes now belong there."""
        with _OURS.open() as home, Path("/run/netns", self.name).open() as there:
            _set(there.fileno())
            try:
                yield
            finally:
                _set(home.fileno())

    def link(self, mine: str, other: Namespace, theirs: str, kind: str = "to") -> None:
        """Lay a cable to another; each end gets its address, as 192.0.2.1/30.

        The ends are called by the kind, a dash, and the name of the other without what
        stands before its last dash.
        """
        ends = [f"{kind}-{one.name.rpartition('-')[2]}" for one in (other, self)]
        words = ["link", "add", ends[0], "type", "veth", "peer", "name", ends[1]]
        self.ip(*words, "netns", other.name)
        for one, end, address in ((self, ends[0], mine), (other, ends[1], theirs)):
            one.ip("address", "add", address, "dev", end)
            one.ip("link", "set", end, "up")


def _set(descriptor: int) -> None:
    if _libc.setns(descriptor, _NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Packet(NamedTuple):
    """What a packet says of itself.

    Attributes:
        port: The one it is for; 0 where there are none.
        reply_from: The port it comes from when it belongs to a TCP connection that the
            other side may have opened: it does not ask for one. Else 0.
    """

    protocol: str
    address: str
    port: int
    reply_from: int


class Packets:
    """Counts every packet that comes out of a link, by what it says of itself.

    What the kernel does for the link itself is not counted: ARP, and in IPv6 its like
    for addresses of the link. A search for any other IPv6 address is: somebody wanted
    to send there.
    """

    LARGEST, ALL, OUTGOING, STATISTICS = 128, 3, 4, 6

    def __init__(self, where: Namespace, device: str) -> None:
        self.seen: Counter[Packet] = Counter()
        with where.entered():
            kind = socket.htons(self.ALL)
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, kind)
            self.sock.bind((device, self.ALL))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            try:
                content, (_, kind, sort, *_) = self.sock.recvfrom(self.LARGEST)
            except OSError:
                return
            packet = read(kind, content)
            if sort != self.OUTGOING and packet:
                self.seen[packet] += 1

    def dropped(self) -> int:
        """Return how many came that this did not see, since it was asked last."""
        found = self.sock.getsockopt(263, self.STATISTICS, 8)  # SOL_PACKET
        return int(struct.unpack("II", found)[1])

    def taken(self) -> Counter[Packet]:
        """Return what was counted, and begin anew."""
        assert self.dropped() == 0, "packets came too fast to count them"
        before, self.seen = self.seen, Counter()
        return before

    def close(self) -> None:
        """Count no more."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def _wanted(content: bytes) -> Packet | None:
    """Return whom an ICMPv6 message looks for beyond the link; None for all others."""
    target = content[48:64]
    beyond = content[40] == 135 and target[:2] != b"\xfe\x80"
    name = socket.inet_ntop(socket.AF_INET6, target) if beyond else ""
    return Packet("ipv6", name, 0, 0) if beyond else None


def read(kind: int, content: bytes) -> Packet | None:
    """Return what the packet says; None when it only looks for a neighbour."""
    if kind == 0x0800:
        start, number = (content[0] & 15) * 4, content[9]
        address = socket.inet_ntop(socket.AF_INET, content[16:20])
    elif kind == 0x86DD:
        start, number = 40, content[6]
        address = socket.inet_ntop(socket.AF_INET6, content[24:40])
        if number == 0:  # multicast listening
            return None
        if number == 58:
            return _wanted(content)
    else:
        return None if kind == 0x0806 else Packet(f"kind {kind:#x}", "", 0, 0)
    name = {6: "tcp", 17: "udp", 1: "icmp"}.get(number, str(number))
    if name not in ("tcp", "udp"):
        return Packet(name, address, 0, 0)
    source, port = struct.unpack("!HH", content[start : start + 4])
    asks = name == "udp" or content[start + 13] & 0x12 == 0x02
    return Packet(name, address, port, 0 if asks else source)
