"""One connection for several calls: they share it, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from egress import transport
from egress.destinations import Destination
from egress.errors import NotAllowed, TransientError

YES = lambda: True  # noqa: E731


@dataclass
class Host:
    """A real HTTP/1.1 server that keeps connections open, and what it saw."""

    port: int = 0
    callers: list[int] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    hangs_up: bool = False
    hangs: threading.Event | None = None
    hung_up: threading.Event = field(default_factory=threading.Event)

    def post(self, key: str, allowed: Callable[[], bool] = YES) -> int:
        return transport.post(
            Destination("telemetry", f"http://localhost:{self.port}/"),
            b"{}",
            headers={"Authorization": f"Bearer of {key}"},
            key=key,
            allowed=allowed,
            deadline=timedelta(seconds=1),
        ).status


@pytest.fixture
def host() -> Iterator[Host]:
    found = Host()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            found.callers.append(self.client_address[1])
            found.heads.append(dict(self.headers))
            if found.hangs:
                found.hangs.wait(5)
            self.send_response(204)
            self.send_header("Set-Cookie", "seen=before")
            self.end_headers()
            self.close_connection = found.hangs_up

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def shutdown_request(self, request: Any) -> None:
            super().shutdown_request(request)
            found.hung_up.set()

    with Server(("127.0.0.1", 0), Handler) as server:
        found.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        if found.hangs:
            found.hangs.set()
        server.shutdown()


def test_calls_share_a_connection_but_no_header_and_no_cookie(host: Host) -> None:
    with transport.keep_alive():
        for key in ("one", "two"):
            assert host.post(key) == 204
    assert host.callers[0] == host.callers[1]
    assert [head["Authorization"] for head in host.heads] == [
        "Bearer of one",
        "Bearer of two",
    ]
    assert [head["Idempotency-Key"] for head in host.heads] == ["one", "two"]
    assert not any("Cookie" in head for head in host.heads)


def test_without_it_every_call_has_its_own_connection(host: Host) -> None:
    host.post("one")
    host.post("two")
    assert host.callers[0] != host.callers[1]


def test_a_call_that_is_not_allowed_sends_nothing_on_an_open_connection(
    host: Host,
) -> None:
    asked: list[int] = []

    def no() -> bool:
        asked.append(len(host.heads))
        return False

    with transport.keep_alive():
        host.post("one")
        with pytest.raises(NotAllowed):
            host.post("two", no)
        host.post("three")
    assert asked == [1]
    assert [head["Idempotency-Key"] for head in host.heads] == ["one", "three"]


def test_a_connection_that_the_host_closed_is_opened_again(host: Host) -> None:
    host.hangs_up = True
    with transport.keep_alive():
        assert host.post("one") == 204
        assert host.hung_up.wait(5)
        assert host.post("two") == 204
    assert host.callers[0] != host.callers[1]


def test_a_call_is_cut_off_at_its_deadline_on_an_open_connection(host: Host) -> None:
    with transport.keep_alive():
        host.post("one")
        host.hangs = threading.Event()
        with pytest.raises(TransientError) as caught:
            host.post("two")
        host.hangs.set()
        assert host.post("three") == 204
    assert (caught.value.code, caught.value.reached) == ("deadline", True)
    assert host.callers[0] == host.callers[1] != host.callers[2]
