"""A client of the sandbox that shows the bare answer, and what it may send."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import uuid
from dataclasses import dataclass
from typing import Any

from sandbox.server import Sandbox

SUBSCRIPTION = "SBX-00000001"


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Sends requests to one sandbox; one connection each."""

    box: Sandbox
    token: str
    timeout: float = 5

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        host: str = "vendor",
        signed: bool = True,
    ) -> Reply:
        port = getattr(self.box, host).port
        connection = http.client.HTTPConnection("127.0.0.1", port, self.timeout)
        bearer = {"Authorization": f"Bearer {self.token}"} if signed else {}
        try:
            connection.request(method, path, body or None, bearer | (headers or {}))
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, names, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        return self.send("GET", path)

    def control(self, method: str, path: str, value: object = None) -> Any:
        body = b"" if value is None else json.dumps(value).encode()
        reply = self.send(method, f"/__sandbox/{path}", body, signed=False)
        assert reply.status in (200, 204), reply
        return reply.json() if reply.body else None

    def post_batch(self, body: bytes, **headers: str) -> Reply:
        sent = {
            "Content-Type": "application/json",
            "Idempotency-Key": json.loads(body)["telemetryId"],
        }
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("POST", "/ee/v1/telemetry", body, sent)

    def upload(self, content: bytes) -> Reply:
        body = (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="r.zip"\r\n'
            b"Content-Type: application/zip\r\n\r\n" + content + b"\r\n--b--\r\n"
        )
        form = {"Content-Type": "multipart/form-data; boundary=b"}
        return self.send("POST", "/ee/v1/entitlements/telemetry/bulk", body, form)

    def raw(self, request: bytes, host: str = "vendor") -> bytes:
        """Send bytes and return all that comes until the other side ends."""
        port = getattr(self.box, host).port
        with socket.create_connection(("127.0.0.1", port), self.timeout) as sock:
            sock.sendall(request)
            got = b""
            while piece := sock.recv(65_536):
                got += piece
            return got


def batch(count: int = 1, **changes: Any) -> bytes:
    """A correct telemetry document, or one with some keys changed."""
    records = [
        {
            "id": str(uuid.uuid4()),
            "dataPoint": "login",
            "timestamp": "2026-11-23T06:31:07Z",
        }
        for _ in range(count)
    ]
    document = {
        "documentType": "nms-telemetry",
        "documentVersion": "1",
        "subscriptionId": SUBSCRIPTION,
        "telemetryId": str(uuid.uuid4()),
        "telemetryRecords": records,
    } | changes
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def decode_part(part: str) -> bytes:
    """The bytes behind one part of a token."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
