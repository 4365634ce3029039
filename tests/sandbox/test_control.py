from __future__ import annotations

import base64
import hashlib
import json

import pytest

from sandbox import store
from tests.sandbox.clients import Client, batch


def test_arrivals_are_listed_byte_for_byte_with_their_headers(client: Client) -> None:
    body = batch()
    client.post_batch(body)
    [request] = client.control("GET", "requests")["requests"]
    assert base64.b64decode(request["body_base64"]) == body
    assert request["sha256"] == hashlib.sha256(body).hexdigest()
    assert ["Idempotency-Key", json.loads(body)["telemetryId"]] in request["headers"]
    assert (request["port"], request["method"]) == ("vendor", "POST")
    assert (request["path"], request["status"]) == ("/ee/v1/telemetry", 200)


def test_arrivals_are_found_by_listener_path_and_number(client: Client) -> None:
    client.get("/a?x=1")
    client.get("/b")
    client.send("POST", "/a", b"1", host="collector")
    first, *_ = client.control("GET", "requests")["requests"]
    for query, paths in (
        ("path=/a", ["/a?x=1", "/a"]),
        ("host=vendor", ["/a?x=1", "/b"]),
        (f"since={first['n']}", ["/b", "/a"]),
    ):
        found = client.control("GET", f"requests?{query}")["requests"]
        assert [request["path"] for request in found] == paths


def test_control_calls_are_not_arrivals(client: Client) -> None:
    client.control("GET", "faults")
    stats = client.control("GET", "stats")
    assert (stats["requests_vendor"], stats["by_path"]) == (0, {})


def test_a_reset_forgets_arrivals_counters_keys_and_faults(client: Client) -> None:
    body = batch()
    client.post_batch(body)
    client.control("POST", "faults", [{"path": "/", "mode": "empty"}])
    client.control("POST", "reset")
    assert client.control("GET", "requests")["requests"] == []
    assert client.control("GET", "faults") == []
    client.post_batch(body)
    stats = client.control("GET", "stats")
    assert (stats["batches_unique"], stats["batches_repeated"]) == (1, 0)
    assert stats["by_path"] == {"/ee/v1/telemetry": 1}


def test_the_newest_requests_are_kept_and_all_are_counted(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_REQUESTS", 2)
    monkeypatch.setattr(store, "MAX_BYTES", 100)
    for size in (1, 2, 3):
        client.send("POST", "/x", b"1" * size)
    kept = client.control("GET", "requests")["requests"]
    assert [len(base64.b64decode(request["body_base64"])) for request in kept] == [2, 3]
    client.send("POST", "/x", b"1" * 99)
    assert len(client.control("GET", "requests")["requests"]) == 1
    assert client.control("GET", "stats")["requests_vendor"] == 4


def test_the_page_shows_bodies_escaped_and_no_token(client: Client) -> None:
    client.post_batch(batch())
    client.send("POST", "/<script>", b"<script>alert(1)</script>")
    page = client.send("GET", "/__sandbox/", signed=False)
    text = page.body.decode()
    assert page.status == 200
    assert "&quot;documentType&quot;: &quot;nms-telemetry&quot;" in text
    assert "&lt;script&gt;alert(1)" in text
    assert "<script" not in text
    assert client.token not in text
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_a_foreign_page_can_neither_change_nor_rebind(client: Client) -> None:
    cross_site = {"Sec-Fetch-Site": "cross-site"}
    rebound = {"Host": "evil.example:8001"}
    assert client.send("POST", "/__sandbox/reset", b"", cross_site).status == 403
    assert client.send("GET", "/__sandbox/stats", b"", rebound).status == 403
    assert client.send("GET", "/__sandbox/", b"", cross_site).status == 200


@pytest.mark.parametrize(
    "rules",
    [
        {},
        ["reset"],
        [{"mode": "reset"}],
        [{"path": "/", "mode": "explode"}],
        [{"path": "/", "mode": "reset", "often": 1}],
        [{"path": "/", "mode": "reset", "times": "1"}],
        [{"path": "/", "mode": "reset", "host": "proxy"}],
    ],
)
def test_a_fault_that_is_no_rule_is_refused_with_the_reason(
    client: Client, rules: object
) -> None:
    body = json.dumps(rules).encode()
    reply = client.send("POST", "/__sandbox/faults", body, signed=False)
    assert reply.status == 400
    assert reply.json()["message"].endswith(".")
