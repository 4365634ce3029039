from __future__ import annotations

import socket

import pytest

from tests.sandbox.clients import Client

HEAD = b"POST /x HTTP/1.1\r\nHost: localhost\r\n"


def test_several_requests_share_a_connection(client: Client) -> None:
    one = b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert client.raw(one + last).count(b"HTTP/1.1 404 Not Found\r\n") == 2


def test_a_closed_sandbox_answers_no_more_on_open_connections(client: Client) -> None:
    port = client.box.vendor.port
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(4_096).startswith(b"HTTP/1.1 404")
        client.box.close()
        sock.sendall(b"GET /b HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert sock.recv(4_096) == b""


def test_a_body_in_chunks_is_read(client: Client) -> None:
    client.raw(
        HEAD + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: 1\r\n\r\n"
    )
    [arrival] = client.box.store.arrivals()
    assert arrival.body == b"abcde"


def test_a_client_that_asks_before_its_body_is_told_to_go_on(client: Client) -> None:
    answer = client.raw(
        HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
        b"{}"
    )
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404")


def test_a_request_cut_off_in_its_body_is_an_arrival(client: Client) -> None:
    port = client.box.vendor.port
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(HEAD + b"Content-Length: 9\r\n\r\n{}")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(4_096).startswith(b"HTTP/1.1 400")
    assert client.control("GET", "stats")["by_path"] == {"/x": 1}


def test_a_head_request_gets_no_body(client: Client) -> None:
    answer = client.raw(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: 99999999999\r\n\r\n", 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (HEAD + b"X: " + b"x" * 70_000 + b"\r\n\r\n", 431),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_ends(
    client: Client, request_bytes: bytes, status: int
) -> None:
    answer = client.raw(request_bytes)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Connection: close" in answer
