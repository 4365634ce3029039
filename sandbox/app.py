"""What the vendor and the collector answer: one function per endpoint."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from sandbox.acknowledge import acknowledge, package, receipt_for, successful
from sandbox.document import read_document
from sandbox.faults import PARTIAL
from sandbox.store import Store
from sandbox.tokens import jwks_file
from sandbox.wire import Answer, Refused, Request, as_json, refusal

BULK = "/ee/v1/entitlements/telemetry/bulk"
USAGE_BATCH = "/api/nginx-usage/batch"
MAX_INFLATED = 64 * 1024 * 1024
TOKEN = re.compile(r"Bearer ([\w-]+\.[\w-]+\.[\w-]+)", re.ASCII)
FEATURES = (
    ("DATA_PER_HOUR_GB", "DATA_PER_HOUR_IN_GB"),
    ("IC_K8S_NODES", "WORKLOADS"),
    ("IC_PODS", "WORKLOADS"),
    ("IM_INSTANCES", "INSTANCES"),
    ("NGINX_INSTANCES", "INSTANCES"),
    ("NGINX_NAP", "INSTANCES"),
    ("NGINX_NAP_DOS", "INSTANCES"),
    ("SUCCESSFUL_API_CALLS_MILLIONS", "SUCCESSFUL_API_CALLS_IN_MILLIONS"),
    ("TM_INSTANCES", "INSTANCES"),
)
LIMITS = (5, 10, 20, 25, 50, 100, 250, 500)


class App:
    """The endpoints over one store and one data folder."""

    def __init__(self, store: Store, data: Path) -> None:
        self.store = store
        self.data = data
        self.routes: dict[str, tuple[str, Callable[[Request], Answer]]] = {
            "/ee/v1/keys/jwks": ("GET", self.jwks),
            "/ee/v1/telemetry": ("POST", self.telemetry),
            "/ee/v1/entitlements": ("GET", self.entitlements),
            "/ee/v1/licenses/terminate": ("POST", self.terminate),
            BULK: ("POST", self.bulk_upload),
            USAGE_BATCH: ("POST", self.usage_batch),
        }

    def answer(self, request: Request) -> Answer:
        """Process a request of either listener and return its answer."""
        if request.host == "collector":
            return collect(request)
        method, endpoint = self._route(request.path)
        if endpoint is None:
            return refusal(404, "There is nothing at this path.")
        if request.method != method:
            return refusal(405, f"This path takes {method} only.")
        try:
            return endpoint(request)
        except Refused as refused:
            return refusal(refused.status, str(refused))

    def _route(self, path: str) -> tuple[str, Callable[[Request], Answer] | None]:
        if path.startswith(f"{BULK}/status/"):
            return "GET", self.bulk_status
        if path.startswith(f"{BULK}/download/"):
            return "GET", self.bulk_download
        return self.routes.get(path, ("", None))

    def jwks(self, _: Request) -> Answer:
        """Give the public key set; anybody may ask."""
        return Answer(200, jwks_file(self.data).read_bytes())

    def telemetry(self, request: Request) -> Answer:
        """Take a batch of events: once per Idempotency-Key, receipted."""
        token = bearer(request)
        document = read_document(request)
        telemetry_id = document["telemetryId"]
        if request.fields.get("idempotency-key") != telemetry_id:
            raise Refused(400, "Idempotency-Key must equal telemetryId.")
        subject = claims_of(token).get("sub", document["subscriptionId"])
        if subject != document["subscriptionId"]:
            raise Refused(403, "The token belongs to another subscription.")
        ids = [record["id"] for record in document["telemetryRecords"]]
        outcome = self.store.settle_batch(telemetry_id, request.sha256, ids)
        if outcome == "mutated":
            raise Refused(409, "This Idempotency-Key came before with other bytes.")
        return as_json(
            {
                "receiptId": receipt_for("batch", telemetry_id, request.sha256),
                "telemetryId": telemetry_id,
                "accepted": len(ids),
                "sha256": request.sha256,
            }
        )

    def entitlements(self, request: Request) -> Answer:
        """Give what the subscription of the token allows."""
        subscription = claims_of(bearer(request)).get("sub")
        if not isinstance(subscription, str):
            raise Refused(401, "The token names no subscription.")
        return as_json(
            {
                "subscriptionId": subscription,
                "entitlements": entitlements_of(subscription),
                "renewedLicense": None,
            }
        )

    def terminate(self, request: Request) -> Answer:
        """Take the notice that a license is no longer used."""
        bearer(request)
        return Answer(204)

    def bulk_upload(self, request: Request) -> Answer:
        """Take a usage report; the same file again is the same upload.

        The fault ``partial`` takes only the first args files (0) of it; args named
        (true) is whether the acknowledgement lists them.
        """
        bearer(request)
        archive, most, named = multipart_file(request), None, True
        if request.fault == PARTIAL:
            most = int(request.args.get("files", 0))
            named = bool(request.args.get("named", True))
        try:
            acknowledgement = acknowledge(archive, most, named=named)
        except ValueError as error:
            raise Refused(400, str(error)) from error
        status_id = receipt_for("upload", hashlib.sha256(archive).hexdigest())
        percent = successful(archive, acknowledgement)
        self.store.settle_report(status_id, acknowledgement, percent)
        return as_json({"statusLink": f"{BULK}/status/{status_id}"}, 202)

    def bulk_status(self, request: Request) -> Answer:
        """Say how far an upload is: ready at the first question."""
        status_id, _ = self._uploaded(request)
        return as_json(
            {
                "percentageComplete": 100,
                "percentageSuccessful": self.store.successful(status_id),
                "readyForDownload": True,
                "downloadLink": f"{BULK}/download/{status_id}",
            }
        )

    def bulk_download(self, request: Request) -> Answer:
        """Give the signed acknowledgement of an upload as a ZIP."""
        _, acknowledgement = self._uploaded(request)
        packed = package(acknowledgement, self.data)
        return Answer(200, packed, "application/zip")

    def _uploaded(self, request: Request) -> tuple[str, bytes]:
        bearer(request)
        status_id = request.path.rpartition("/")[2]  # also of a doubled status link
        acknowledgement = self.store.acknowledgement(status_id)
        if acknowledgement is None:
            raise Refused(404, "There is no upload with this id.")
        return status_id, acknowledgement

    def usage_batch(self, request: Request) -> Answer:
        """Take one gzip file of usage records, as the 2.22 clients send it.

        With an Idempotency-Key it counts once per key; 2.22 clients send none.
        """
        bearer(request)
        if request.fields.get("content-type", "") != "application/gzip":
            raise Refused(400, "Content-Type must be application/gzip.")
        try:
            with gzip.open(io.BytesIO(request.body)) as opened:
                content = opened.read(MAX_INFLATED + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise Refused(400, "The body is not gzip.") from error
        if len(content) > MAX_INFLATED:
            raise Refused(413, "The file is longer than 64 MiB when unpacked.")
        key = request.fields.get("idempotency-key", request.sha256)
        if self.store.settle_file(key, request.sha256) == "mutated":
            raise Refused(409, "This Idempotency-Key came before with other bytes.")
        receipt = receipt_for("usage", key, request.sha256)
        return as_json({"receiptId": receipt, "sha256": request.sha256})


def collect(request: Request) -> Answer:
    """Answer for the collector: take any POST, from any origin, never cookies."""
    origin = request.fields.get("origin", "*")
    headers = (("Access-Control-Allow-Origin", origin), ("Vary", "Origin"))
    if request.method == "OPTIONS":
        allowed = (
            ("Access-Control-Allow-Methods", "POST, OPTIONS"),
            ("Access-Control-Allow-Headers", "Content-Type"),
            ("Access-Control-Max-Age", "5"),
        )
        return Answer(204, headers=headers + allowed)
    if request.method == "POST":
        return Answer(200, b"ok", "text/plain; charset=utf-8", headers)
    return refusal(404, "The collector takes POST only.")


def bearer(request: Request) -> str:
    """Return the token of the Authorization header.

    Its form is checked, not its signature: who signed it is settled where a
    license is applied.

    Raises:
        Refused: 401, there is none or it is not three parts with a signature.
    """
    found = TOKEN.fullmatch(request.fields.get("authorization", ""))
    if found is None:
        raise Refused(401, "Authorization must be a Bearer license token.")
    return found[1]


@lru_cache(maxsize=256)
def claims_of(token: str) -> dict[str, Any]:
    """Return a token's claims without checking them; empty when unreadable."""
    part = token.split(".")[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def entitlements_of(subscription: str) -> list[dict[str, object]]:
    """Return the nine entitlements of a subscription, always the same for it.

    Two of them are unlimited; their ``limit`` is 0.
    """
    digest = hashlib.sha256(subscription.encode()).digest()
    first = digest[0] % len(FEATURES)
    second = (first + 1 + digest[1] % (len(FEATURES) - 1)) % len(FEATURES)
    limits = [LIMITS[byte % len(LIMITS)] for byte in digest[2 : 2 + len(FEATURES)]]
    limits[first] = limits[second] = 0
    return [
        {"name": name, "limit": limit, "unlimited": limit == 0, "unitOfMeasure": unit}
        for (name, unit), limit in zip(FEATURES, limits, strict=True)
    ]


def multipart_file(request: Request) -> bytes:
    """Return the content of the part named ``file`` of a multipart form.

    Raises:
        Refused: 400, it is no multipart form or has no such part.
    """
    content_type = request.fields.get("content-type", "")
    found = re.search(r'boundary="?([^";]{1,70})"?', content_type)
    if not content_type.startswith("multipart/form-data") or found is None:
        raise Refused(400, "The upload must be multipart/form-data.")
    delimiter = b"\r\n--" + found[1].encode("latin-1")
    for part in (b"\r\n" + request.body).split(delimiter)[1:]:
        head, _, content = part.partition(b"\r\n\r\n")
        if re.search(rb';\s*name="?file"?\s*(;|\r|$)', head):
            return content
    raise Refused(400, "The form has no field named file.")
