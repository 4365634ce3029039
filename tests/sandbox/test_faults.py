from __future__ import annotations

import http.client
import json
import socket
import time
import zlib
from typing import Any

import pytest

from tests.sandbox.clients import Client, batch

TELEMETRY = "/ee/v1/telemetry"


def play(client: Client, mode: str, times: int | None = 1, **args: Any) -> None:
    rule = {"path": TELEMETRY, "mode": mode, "times": times, "args": args}
    client.control("POST", "faults", [rule])


def post_raw(client: Client, body: bytes) -> bytes:
    head = (
        f"POST {TELEMETRY} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {client.token}\r\nContent-Type: application/json\r\n"
        f"Idempotency-Key: {json.loads(body)['telemetryId']}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return client.raw(head.encode() + body)


def taken(client: Client) -> int:
    return int(client.control("GET", "stats")["batches_unique"])


def test_a_status_is_answered_as_told_and_nothing_is_taken(client: Client) -> None:
    play(client, "status", status=429, retry_after=7, body="no", content_type="a/b")
    reply = client.post_batch(batch())
    assert (reply.status, reply.body) == (429, b"no")
    assert (reply.headers["retry-after"], reply.headers["content-type"]) == ("7", "a/b")
    assert taken(client) == 0


def test_a_status_after_taking_leaves_the_effect(client: Client) -> None:
    play(client, "status", status=502, after=True)
    assert client.post_batch(batch()).status == 502
    assert taken(client) == 1


def test_a_fault_ends_after_its_times_and_holds_for_its_path_only(
    client: Client,
) -> None:
    play(client, "status", times=2)
    assert client.get("/ee/v1/keys/jwks").status == 200
    answers = [client.post_batch(batch()).status for _ in range(3)]
    assert answers == [503, 503, 200]
    assert client.control("GET", "faults")[0]["times"] == 0


def test_a_fault_can_be_likely_or_unlikely(client: Client) -> None:
    rule = {"path": "/", "mode": "status", "p": 0}
    client.control("POST", "faults", [rule])
    assert client.post_batch(batch()).status == 200
    client.control("POST", "faults", [rule | {"p": 0.5}])
    seen = {client.get("/ee/v1/keys/jwks").status for _ in range(60)}
    assert seen == {200, 503}
    client.control("DELETE", "faults")
    assert client.control("GET", "faults") == []


def test_a_fault_can_be_limited_to_the_collector(client: Client) -> None:
    rule = {"path": "/", "mode": "status", "host": "collector"}
    client.control("POST", "faults", [rule])
    assert client.post_batch(batch()).status == 200
    assert client.send("POST", "/tp2", b"{}", host="collector").status == 503


def test_a_refused_connection_ends_without_answer_or_effect(client: Client) -> None:
    play(client, "refuse_after_accept")
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        client.post_batch(batch())
    [request] = client.control("GET", "requests")["requests"]
    assert (request["status"], request["fault"]) == (0, "refuse_after_accept")
    assert taken(client) == 0


@pytest.mark.parametrize(("mode", "effects"), [("reset", 0), ("reset_after", 1)])
def test_a_reset_is_an_rst(client: Client, mode: str, effects: int) -> None:
    play(client, mode)
    with pytest.raises(ConnectionResetError):
        post_raw(client, batch())
    assert taken(client) == effects


def test_a_hanging_vendor_takes_nothing_from_a_client_that_left(
    client: Client,
) -> None:
    play(client, "hang", seconds=0.3)
    client.timeout = 0.1
    with pytest.raises(TimeoutError):
        client.post_batch(batch())
    time.sleep(0.4)
    client.timeout = 5
    assert taken(client) == 0


def test_a_hanging_vendor_answers_a_client_that_waits(client: Client) -> None:
    play(client, "hang", seconds=0.2)
    began = time.monotonic()
    assert client.post_batch(batch()).status == 200
    assert time.monotonic() - began >= 0.2


def test_a_vendor_that_hangs_afterwards_has_taken_the_batch(client: Client) -> None:
    play(client, "hang_after", seconds=0.3)
    client.timeout = 0.1
    with pytest.raises(TimeoutError):
        client.post_batch(batch())
    client.timeout = 5
    assert taken(client) == 1


def test_a_dripping_answer_arrives_whole_but_late(client: Client) -> None:
    play(client, "drip", bytes_per_second=2_000)
    began = time.monotonic()
    body = batch()
    assert client.post_batch(body).json()["accepted"] == 1
    assert time.monotonic() - began >= 0.1


def test_a_closing_sandbox_ends_a_drip_at_once(client: Client) -> None:
    play(client, "drip", bytes_per_second=1)
    port = client.box.vendor.port
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(f"POST {TELEMETRY} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert sock.recv(1) == b"H"
        began = time.monotonic()
        client.box.close()
        while sock.recv(4_096):
            pass
    assert time.monotonic() - began < 2


def test_garbage_is_not_http(client: Client) -> None:
    play(client, "garbage")
    assert not post_raw(client, batch()).startswith(b"HTTP/")
    assert taken(client) == 0


@pytest.mark.parametrize(
    ("mode", "content_type", "start"),
    [
        ("html", "text/html; charset=utf-8", b"<!doctype html>"),
        ("empty", "application/json", b""),
        ("array", "application/json", b"[]"),
    ],
)
def test_an_answer_that_is_no_receipt_takes_nothing(
    client: Client, mode: str, content_type: str, start: bytes
) -> None:
    play(client, mode)
    reply = client.post_batch(batch())
    assert (reply.status, reply.headers["content-type"]) == (200, content_type)
    assert reply.body[: len(start) or 1] == start
    assert taken(client) == 0


def test_a_truncated_answer_is_shorter_than_announced(client: Client) -> None:
    play(client, "truncated")
    with pytest.raises(http.client.IncompleteRead):
        client.post_batch(batch())
    assert taken(client) == 1


def test_a_wrong_id_is_of_no_batch_we_sent(client: Client) -> None:
    play(client, "wrong_id")
    body = batch()
    receipt = client.post_batch(body).json()
    assert receipt["telemetryId"] != json.loads(body)["telemetryId"]
    assert receipt["accepted"] == 1


def test_a_huge_answer_is_as_long_as_told(client: Client) -> None:
    play(client, "huge", mb=2)
    assert client.post_batch(batch()).body == b" " * 2 * 1024 * 1024


def test_a_gzip_bomb_is_small_until_unpacked(client: Client) -> None:
    play(client, "gzip_bomb", mb=4)
    reply = client.post_batch(batch())
    assert reply.headers["content-encoding"] == "gzip"
    assert len(reply.body) < 10_000
    assert len(zlib.decompress(reply.body, 31)) == 4 * 1024 * 1024


def test_a_redirect_names_another_place(client: Client) -> None:
    play(client, "redirect", status=307, location="http://localhost:1/x")
    reply = client.post_batch(batch())
    assert (reply.status, reply.headers["location"]) == (307, "http://localhost:1/x")


def test_a_bad_chunk_breaks_the_body(client: Client) -> None:
    play(client, "bad_chunk")
    with pytest.raises((http.client.IncompleteRead, ValueError)):
        client.post_batch(batch())


def test_a_flood_of_headers_comes_as_counted(client: Client) -> None:
    play(client, "headers", n=500)
    assert post_raw(client, batch()).count(b"X-Flood-") == 500


def test_a_flood_of_continues_never_becomes_an_answer(client: Client) -> None:
    play(client, "continue_flood", n=3_000)
    answer = post_raw(client, batch())
    assert answer == b"HTTP/1.1 100 Continue\r\n\r\n" * 3_000
