"""Whether an address is reached, step by step: DNS, TCP, proxy, TLS, HTTP.

A check goes the way a delivery goes: the same proxy, the same trust, TLS 1.2 or newer
and always verified. It asks for the base path without a license, a key or a body.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from django.conf import settings
from urllib3.util.ssltransport import SSLTransport

from egress import destinations, facts, sockets, stories, transport
from egress.destinations import Target

STEP = timedelta(seconds=10)
ALL = timedelta(seconds=30)
SKEW = timedelta(seconds=60)
NAMES = ("DNS", "TCP", "Proxy", "TLS", "HTTP")
NOT_USED = "Not used"
CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError)
EXPIRED, NOT_YET, OTHER_HOST = (10,), (9,), (62, 64)


@dataclass(frozen=True)
class Step:
    """One step of a check.

    ``state`` is passed, warning, failed or not_run; ``found`` a few words; ``code``,
    ``happened`` and ``todo`` say what is wrong when something is.
    """

    name: str
    state: str
    found: str
    ms: int | None = None
    code: str = ""
    happened: str = ""
    todo: str = ""
    source: str = ""  # the address of this host, known from TCP on


@dataclass
class _Wrong(Exception):
    """A step found something; a warning does not end the check."""

    code: str
    found: str
    facts: Mapping[str, object] = field(default_factory=dict)
    state: str = "failed"


def check(
    target: Target,
    *,
    clock: Callable[[], datetime],
    step: timedelta = STEP,
    total: timedelta = ALL,
) -> Iterator[Step]:
    """Yield the five steps in order, each as soon as it ends.

    After the first failure the others are "Not run" and nothing more is connected to.

    Args:
        clock: Returns the time; compared with the ``Date`` of the answer.
        step: The most one step may take.
        total: The most all of them may take.
    """
    probe = _Probe(target, clock, step.total_seconds(), total.total_seconds())
    failed = False
    try:
        for name in NAMES:
            if failed:
                yield Step(name, "not_run", "Not run")
                continue
            result = probe.run(name)
            failed = result.state == "failed"
            yield result
    finally:
        probe.close()


class _Probe:
    """One check under way: what it found so far, and its connection."""

    def __init__(
        self, target: Target, clock: Callable[[], datetime], step: float, total: float
    ) -> None:
        self.target, self.clock, self.step = target, clock, step
        self.ends = self.all_ends = time.monotonic() + total
        proxied = target.encrypted and settings.NMS_PROXY_URL
        self.proxy = urlsplit(settings.NMS_PROXY_URL) if proxied else None
        self.way = (target.hostname, target.port)
        if self.proxy:
            standard = 443 if self.proxy.scheme == "https" else 80
            self.way = (self.proxy.hostname or "", self.proxy.port or standard)
        self.addresses: list[str] = []
        self.source = ""
        self.sock: Any = None  # plain, TLS, or TLS inside the proxy's TLS
        self.steps: dict[str, Callable[[], str]] = {
            "DNS": self._resolve,
            "TCP": self._connect,
            "Proxy": self._pass_proxy,
            "TLS": self._secure,
            "HTTP": self._ask,
        }

    def run(self, name: str) -> Step:
        """Run one step and return what it found, with the sentences about it."""
        begun = time.monotonic()
        self.ends = min(begun + self.step, self.all_ends)
        try:
            found = self.steps[name]()
        except _Wrong as wrong:
            ms = round((time.monotonic() - begun) * 1000)
            words = stories.diagnosis(wrong.code, {**self._facts(), **wrong.facts})
            told = (wrong.code, *words, self.source)
            return Step(name, wrong.state, wrong.found, ms, *told)
        if found == NOT_USED:
            return Step(name, "not_run", found)
        ms = round((time.monotonic() - begun) * 1000)
        took = f"{ms or '<1'} ms"
        said = f"{found}, {took}" if found else took
        return Step(name, "passed", said, ms, source=self.source)

    def close(self) -> None:
        """End the connection, if there is one."""
        if self.sock is not None:
            with suppress(OSError):
                self.sock.close()

    def _left(self) -> float:
        return max(self.ends - time.monotonic(), 0.001)

    def _facts(self) -> dict[str, object]:
        return {
            "host": self.target.hostname,
            "target_port": self.target.port,
            "name": self.way[0],
            "port": self.way[1],
            "proxy": "{}:{}".format(*self.way),
            "servers": facts.dns_servers(),
            "range": " and ".join(self.target.ranges),
        }

    def _late(self) -> str:
        return f"No answer in {self.step:g} s"

    def _resolve(self) -> str:
        try:
            self.addresses = sockets.resolve(*self.way, self._left())
        except TimeoutError:
            raise _Wrong("dns_timeout", self._late()) from None
        except OSError:
            raise _Wrong("dns", "Not found") from None
        self._keys_stay_away()
        ranges = self.target.ranges
        if ranges and self.proxy is None:
            outside = [one for one in self.addresses if not facts.within(one, ranges)]
            if outside:
                found = {"address": outside[0]}
                raise _Wrong("outside_range", outside[0], found, "warning")
        return self.addresses[0]

    def _keys_stay_away(self) -> None:
        """Say that keys are not fetched from here, when they are asked for here."""
        source = destinations.find(destinations.KEYS)
        if self.proxy or not source or not source.public:
            return
        for address in self.addresses:
            kind = facts.not_public(address)
            if kind and source.host == self.target.host:
                state = "failed" if self.target.name == source.name else "warning"
                found = {"address": address, "kind": kind}
                raise _Wrong("not_public", address, found, state)

    def _connect(self) -> str:
        try:
            self.sock = self._open()
        except _Wrong:
            self.source = sockets.source(self.addresses, self.way[1])
            raise
        self.source = str(self.sock.getsockname()[0])
        return ""

    def _open(self) -> Any:
        try:
            return sockets.connect(self.addresses, self.way[1], self._left())
        except TimeoutError:
            if self.proxy:
                raise _Wrong("proxy_timeout", self._late()) from None
            raise _Wrong("tcp_timeout", self._late()) from None
        except ConnectionRefusedError:
            if self.proxy:
                raise _Wrong("proxy_down", "Refused") from None
            raise _Wrong("tcp_refused", "Refused") from None
        except OSError as error:
            reason = {"reason": error.strerror or "unreachable"}
            raise _Wrong("tcp_unreachable", "No way there", reason) from None

    def _pass_proxy(self) -> str:
        if self.proxy is None:
            return NOT_USED
        self.sock = self._tunnel(self.sock)
        return "Connected through"

    def _tunnel(self, sock: Any) -> Any:
        """Ask the proxy to connect to the target; return the connection to go on with."""
        proxy = urlsplit(settings.NMS_PROXY_URL)
        if proxy.scheme == "https":
            sock = self._secure_proxy(sock)
        authority = f"{self.target.hostname}:{self.target.port}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        login = sockets.proxy_login(settings.NMS_PROXY_URL)
        lines += [f"{name}: {value}" for name, value in login.items()]
        try:
            status, _ = sockets.exchange(sock, lines, self._left())
        except (OSError, ValueError):
            raise _Wrong("proxy_silent", "No answer of a proxy") from None
        if status == 407:
            if login:
                raise _Wrong("proxy_login", "407, refused the password")
            raise _Wrong("proxy_auth", "407, wants a password")
        if not 200 <= status < 300:
            raise _Wrong("proxy_refused", f"Answered {status}", {"status": status})
        return sock

    def _secure_proxy(self, sock: Any) -> Any:
        try:
            sock.settimeout(self._left())
            return _trust().wrap_socket(sock, server_hostname=self.way[0])
        except OSError as error:
            reason = getattr(error, "verify_message", "") or "TLS failed"
            raise _Wrong("proxy_tls", "No TLS", {"reason": reason}) from None

    def _secure(self) -> str:
        if not self.target.encrypted:
            return NOT_USED
        try:
            self.sock = self._wrap(_trust(), self.sock)
        except ssl.SSLCertVerificationError as error:
            raise self._untrusted(error) from None
        except TimeoutError:
            raise _Wrong("tls_timeout", self._late()) from None
        except CUT:
            raise _Wrong("tls_cut", "Cut off") from None
        except ssl.SSLError as error:
            if re.search("UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION", error.reason or ""):
                raise _Wrong("tls_old", "Too old") from None
            raise _Wrong("tls_not_spoken", "No TLS") from None
        ends = ssl.cert_time_to_seconds(self.sock.getpeercert()["notAfter"])
        version = self.sock.version().removeprefix("TLSv")
        return f"{version}, valid to {facts.day(datetime.fromtimestamp(ends, UTC))}"

    def _wrap(self, context: ssl.SSLContext, sock: Any) -> Any:
        sock.settimeout(self._left())
        if isinstance(sock, ssl.SSLSocket):
            return SSLTransport(sock, context, server_hostname=self.target.hostname)
        return context.wrap_socket(sock, server_hostname=self.target.hostname)

    def _untrusted(self, error: ssl.SSLCertVerificationError) -> _Wrong:
        """Return what is wrong with a certificate, read from the certificate itself."""
        found, code = self._look(), error.verify_code
        if found and code in EXPIRED:
            ended = facts.day(found.not_valid_after_utc)
            return _Wrong("tls_expired", f"Ended {ended}", {"day": ended})
        if found and code in NOT_YET:
            begins = facts.day(found.not_valid_before_utc)
            return _Wrong("tls_not_yet", f"Begins {begins}", {"day": begins})
        if found and code in OTHER_HOST:
            names = facts.names_of(found)
            return _Wrong("tls_wrong_host", f"For {names}", {"names": names})
        if found and code in facts.UNKNOWN:
            issuer = facts.short(found.issuer)
            said = {"issuer": issuer, "bundle": settings.NMS_CA_BUNDLE}
            if settings.NMS_CA_BUNDLE:
                return _Wrong("tls_not_in_bundle", "Unknown issuer", said)
            return _Wrong("tls_unknown_ca", "Unknown issuer", said)
        return _Wrong("tls_certificate", "Not valid", {"reason": error.verify_message})

    def _look(self) -> x509.Certificate | None:
        """Return the certificate that was not trusted, to name it; None without one.

        It takes a second connection, over which nothing is asked.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        sock: Any = None
        try:
            sock = self._open()
            sock = self._tunnel(sock) if self.proxy else sock
            sock = self._wrap(context, sock)
            return x509.load_der_x509_certificate(sock.getpeercert(True))
        except (OSError, ValueError, _Wrong):
            return None
        finally:
            if sock is not None:
                sock.close()

    def _ask(self) -> str:
        lines = [
            f"HEAD {self.target.path} HTTP/1.1",
            f"Host: {self.target.authority}",
        ]
        try:
            status, headers = sockets.exchange(self.sock, lines, self._left())
        except TimeoutError:
            raise _Wrong("http_timeout", self._late()) from None
        except OSError:
            raise _Wrong("http_cut", "Cut off") from None
        except ValueError:
            raise _Wrong("http_not_spoken", "Not HTTP") from None
        found = {"status": status}
        page = "html" in str(headers.get("Content-Type", "")).lower()
        if status == 407:
            raise _Wrong("http_proxy_auth", "407, wants a password")
        if 300 <= status < 400:
            raise _Wrong("http_redirect", f"{status}, leads elsewhere", found)
        if status >= 500:
            raise _Wrong("http_trouble", f"Answered {status}", found, "warning")
        if page and status != 404:
            state = "failed" if status < 400 else "warning"
            raise _Wrong("http_page", f"{status} with a page", found, state)
        self._compare(headers.get("Date"))
        return "404 as expected" if status == 404 else f"Answered {status}"

    def _compare(self, date: str | None) -> None:
        """Warn when the clocks differ by more than a minute."""
        theirs = facts.dated(date or "")
        if theirs is None:
            return
        skew = self.clock() - theirs
        if abs(skew) > SKEW:
            by = facts.length(abs(skew))
            side = "ahead of" if skew > timedelta() else "behind"
            found = {"skew": by, "direction": side}
            raise _Wrong("clock", f"Clock {by} off", found, "warning")


def _trust() -> ssl.SSLContext:
    try:
        return transport.trust(settings.NMS_CA_BUNDLE)
    except OSError as error:
        reason = {"reason": error.strerror or "it is no PEM file"}
        raise _Wrong("ca_bundle", "No trust", reason) from None
