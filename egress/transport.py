"""HTTP out: the only importer of ``requests``.

One connection per call, except inside ``keep_alive``. What leaves is what is listed
here: the headers handed in, ``User-Agent: nms-admin``, and what HTTP itself needs
(Host, Content-Length).
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3 import exceptions as u3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import HTTPResponse
from urllib3.util import SKIP_HEADER

from common import faults
from egress import facts, sockets
from egress.destinations import BATCH, KEYS, Destination
from egress.errors import NotAllowed, TransientError

DEADLINE = timedelta(seconds=30)
CONNECT = timedelta(seconds=10)
LIMIT = 64 * 1024
KEPT = ("content-type", "content-encoding", "retry-after", "date")
NOT_PUBLIC = (
    "Its name leads to {address}, {kind}, and keys are fetched from public addresses"
    " only. Check DNS; set NMS_PROXY_URL if a proxy leads out, or bring the keys by"
    " NMS_JWKS_FILE."
)
FAILURES = (
    requests.RequestException,
    u3.HTTPError,
    OSError,
    http.client.HTTPException,
)
Question = Callable[[], bool]


@dataclass(frozen=True)
class Answer:
    """What came back: the status, four headers in lower case, the body as it came."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def post(
    destination: Destination,
    body: bytes,
    *,
    headers: Mapping[str, str],
    key: str,
    allowed: Question,
    content_type: str = "application/json",
    deadline: timedelta = DEADLINE,
    limit: int = LIMIT,
) -> Answer:
    """Send one body and return the answer, whatever its status.

    Args:
        headers: Further headers, such as ``Authorization``.
        key: The ``Idempotency-Key``; the same for every try of the same item.
        allowed: Asked right before a socket opens and always before the first byte.
        deadline: For all of it: connecting, sending and reading.
        limit: The longest body that is read, in bytes.

    Raises:
        NotAllowed: ``allowed`` said no; nothing was sent.
        TransientError: There is no answer, or not a whole one.
    """
    named = {**headers, "Content-Type": content_type, "Idempotency-Key": key}
    return _call("POST", destination, body, named, allowed, deadline, limit)


def get(
    destination: Destination,
    *,
    headers: Mapping[str, str],
    allowed: Question,
    deadline: timedelta = DEADLINE,
    limit: int = LIMIT,
) -> Answer:
    """Ask for something and return the answer, whatever its status; else as ``post``."""
    return _call("GET", destination, None, headers, allowed, deadline, limit)


class _Call:
    """One running call: asks before it connects, and is cut off at its deadline.

    ``public`` says that it connects to public addresses only.
    """

    def __init__(self, allowed: Question, deadline: timedelta, public: bool) -> None:
        self.allowed = allowed
        self.public = public
        self.ends = time.monotonic() + deadline.total_seconds()
        self.connection: HTTPConnection | None = None
        self.reached = False
        self.over = False

    def left(self) -> float:
        """Return the seconds until the deadline; never quite none."""
        return max(self.ends - time.monotonic(), 0.001)

    def check(self) -> None:
        """Stop before anything is sent when it is too late or not allowed any more."""
        if self.over or time.monotonic() >= self.ends:
            raise TimeoutError
        if not self.allowed():
            raise NotAllowed

    def cut(self) -> None:
        """End whatever the call is waiting for; runs in the timer's thread."""
        self.over = True
        sock = getattr(self.connection, "sock", None)
        while sock is not None and not isinstance(sock, socket.socket):
            sock = getattr(sock, "socket", None)  # TLS inside a TLS proxy
        if sock is not None:
            with suppress(OSError):  # closed already
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


_running: ContextVar[_Call] = ContextVar("_running")


class _Checked(HTTPConnection):
    """A connection that asks its call before the socket opens and before it is used."""

    def endheaders(self, *args: Any, **kwargs: Any) -> None:
        """Ask before the first byte on a connection that an earlier call left open."""
        call = _running.get()
        if self.sock is not None and call.connection is not self:
            call.check()
            call.connection, call.reached = self, True
        super().endheaders(*args, **kwargs)

    def connect(self) -> None:
        call = _running.get()
        call.check()
        call.connection = self
        super().connect()
        try:
            call.check()
        except BaseException:
            self.close()
            raise
        call.reached = True
        faults.reach("egress.connected")

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        """Read the answer: the whole request was written."""
        faults.reach("egress.written")
        return super().getresponse()

    def _new_conn(self) -> socket.socket:
        """Resolve once and connect to what was checked: no second answer counts.

        Through a proxy it is the proxy that resolves, and nothing is checked here.

        Raises:
            TransientError: One of the addresses is not public; none was connected to.
        """
        if not _running.get().public or self.proxy:
            return super()._new_conn()
        seconds = min(CONNECT.total_seconds(), _running.get().left())
        addresses = sockets.resolve(self.host, self.port, seconds)
        for address in addresses:
            if kind := facts.not_public(address):
                sentence = NOT_PUBLIC.format(address=address, kind=kind)
                raise TransientError("not_public", sentence, reached=False)
        sock = sockets.connect(addresses, self.port, seconds)
        sock.settimeout(seconds)
        return sock


class _CheckedTls(_Checked, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Checked


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _CheckedTls


@lru_cache(maxsize=4)
def trust(bundle: str) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities and those of ``bundle``."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    paths = ssl.get_default_verify_paths()
    if not (paths.cafile or paths.capath):
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    if bundle:
        context.load_verify_locations(bundle)
    return context


class _Adapter(HTTPAdapter):
    """Checked connections under our own trust; nothing comes from the environment."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Use our pools and our context."""
        super().init_poolmanager(
            *args, **kwargs, ssl_context=trust(settings.NMS_CA_BUNDLE)
        )
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Use them through the proxy as well."""
        context = trust(settings.NMS_CA_BUNDLE)
        manager = super().proxy_manager_for(
            proxy, **kwargs, ssl_context=context, proxy_ssl_context=context
        )
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """Log in at the proxy as the checks do."""
        return sockets.proxy_login(proxy)

    def cert_verify(self, conn: Any, *_: Any) -> None:
        """Verify always, by the context alone."""
        conn.cert_reqs = "CERT_REQUIRED"


_kept: ContextVar[_Adapter | None] = ContextVar("_kept", default=None)


@contextmanager
def keep_alive() -> Iterator[None]:
    """Let the calls inside use a connection again that the host left open.

    Each is allowed or not by itself, right before its first byte. Of the others they
    share the connection alone, with the address and the certificate it was opened to.
    """
    adapter = _Adapter()
    token = _kept.set(adapter)
    try:
        yield
    finally:
        _kept.reset(token)
        adapter.close()


def _call(
    method: str,
    destination: Destination,
    body: bytes | None,
    headers: Mapping[str, str],
    allowed: Question,
    deadline: timedelta,
    limit: int,
) -> Answer:
    if not destination.encrypted and not (settings.SANDBOX and destination.local):
        raise NotAllowed("plain http goes to this host only, in sandbox mode")
    call = _Call(allowed, deadline, destination.public)
    seconds = deadline.total_seconds()
    with _adapter() as adapter, _under_way(call, seconds):
        try:
            response = _session(destination, headers, adapter).request(
                method,
                destination.url,
                data=body,
                timeout=(min(CONNECT.total_seconds(), seconds), seconds),
                allow_redirects=False,
                stream=True,
            )
            with response:
                return _read(response, limit)
        except FAILURES as error:
            raise _explain(error, call) from None


@contextmanager
def _under_way(call: _Call, seconds: float) -> Iterator[None]:
    """Let connections know whose they are, and cut the call off at its deadline."""
    token = _running.set(call)
    timer = threading.Timer(seconds, call.cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        _running.reset(token)


@contextmanager
def _adapter() -> Iterator[_Adapter]:
    """Give the adapter that is kept, else one for this call alone."""
    if kept := _kept.get():
        yield kept
        return
    adapter = _Adapter()
    try:
        yield adapter
    finally:
        adapter.close()


def _session(
    destination: Destination, headers: Mapping[str, str], adapter: _Adapter
) -> requests.Session:
    """Return what one call is made with; nothing of it outlives the call, no cookie."""
    session = requests.Session()
    session.trust_env = False
    session.headers.clear()
    session.headers.update(headers)
    session.headers["User-Agent"] = "nms-admin"
    session.headers["Accept-Encoding"] = SKIP_HEADER
    if settings.NMS_F5_API_KEY and destination.name not in (KEYS, BATCH):
        session.headers["F5-ApiKey"] = settings.NMS_F5_API_KEY
    if settings.NMS_PROXY_URL:
        session.proxies["https"] = settings.NMS_PROXY_URL
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


def _read(response: requests.Response, limit: int) -> Answer:
    """Read up to the limit, exactly as it came: nothing is inflated."""
    parts: list[bytes] = []
    size = 0
    while size <= limit:
        part = response.raw.read(min(16_384, limit + 1 - size), decode_content=False)
        if not part:
            break
        parts.append(part)
        size += len(part)
    if size > limit:
        raise TransientError(
            "too_large",
            f"The answer is longer than {limit // 1024} KB; it was not read further.",
            status=response.status_code,
        )
    kept = {name: response.headers[name] for name in KEPT if name in response.headers}
    return Answer(response.status_code, kept, b"".join(parts))


def _explain(error: BaseException, call: _Call) -> TransientError:
    """Name what went wrong in our own words: the errors' texts may hold secrets."""
    code, sentence = _cause(error, call)
    return TransientError(code, sentence, reached=call.reached)


def _cause(error: BaseException, call: _Call) -> tuple[str, str]:
    chain = list(_chain(error))
    if call.over or time.monotonic() >= call.ends:
        return "deadline", "There was no whole answer in time."
    for one in chain:
        if isinstance(one, ssl.SSLCertVerificationError):
            return "certificate", _untrusted(one)
        if isinstance(one, socket.gaierror):
            return "dns", "Its name was not found (DNS)."
        if isinstance(one, ConnectionRefusedError):
            return "refused", "Nothing listens at its address (connection refused)."
    for one in chain:
        if isinstance(one, u3.ProxyError | requests.exceptions.ProxyError):
            return "proxy", _not_passed(one)
        if isinstance(one, ssl.SSLError):
            return "tls", "No encrypted connection could be agreed on (TLS)."
        if isinstance(one, TimeoutError | u3.TimeoutError | requests.Timeout):
            return "timeout", "It did not answer in time."
    if call.reached:
        return "cut", "The connection ended before the whole answer was there."
    return "connection", "No connection could be made."


def _untrusted(error: ssl.SSLCertVerificationError) -> str:
    said = f"Its certificate is not valid: {error.verify_message}."
    if error.verify_code not in facts.UNKNOWN:
        return said
    return (
        f"{said} A proxy that inspects TLS is the likely cause: Run checks under"
        " Connectivity names its CA. Add that one with NMS_CA_BUNDLE."
    )


def _not_passed(error: BaseException) -> str:
    """Say whether the proxy wants a password; its own text may hold anything."""
    parts = urlsplit(settings.NMS_PROXY_URL)
    proxy = parts.netloc.rpartition("@")[2]
    if any("Tunnel connection failed: 407" in str(one) for one in _chain(error)):
        return (
            f"The proxy {proxy} asks for a user name and password (407): correct"
            " NMS_PROXY_URL and start again."
        )
    return f"The proxy {proxy} did not pass the connection on."


def _chain(error: BaseException | None) -> Any:
    """Yield an error and everything it stands for, the innermost last."""
    seen: set[int] = set()
    queue = [error]
    while queue:
        one = queue.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        queue += [
            one.__cause__,
            one.__context__,
            getattr(one, "reason", None),
            *one.args,
        ]
