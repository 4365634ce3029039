from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import jwt
import pytest

from sandbox.tokens import issue_license
from tests.sandbox.clients import SUBSCRIPTION, Client, batch

BULK = "/ee/v1/entitlements/telemetry/bulk"


def report(manifest: bytes | None = b'{"reportId":"r-1"}', files: int = 1) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        if manifest is not None:
            archive.writestr("manifest.json", manifest)
        for number in range(1, files + 1):
            member = gzip.compress(b"[]", mtime=0)
            archive.writestr(f"usage/a/usage-1-{number:02d}.gzip", member)
    return packed.getvalue()


def test_a_batch_is_receipted_with_its_digest(client: Client) -> None:
    body = batch(3)
    reply = client.post_batch(body)
    assert reply.status == 200
    receipt = reply.json()
    assert receipt.pop("receiptId")
    assert receipt == {
        "telemetryId": json.loads(body)["telemetryId"],
        "accepted": 3,
        "sha256": hashlib.sha256(body).hexdigest(),
    }


def test_the_same_batch_again_has_the_same_receipt_and_no_second_effect(
    client: Client,
) -> None:
    body = batch(2)
    first, second = client.post_batch(body), client.post_batch(body)
    assert first.body == second.body
    stats = client.control("GET", "stats")
    assert stats["batches_unique"] == stats["batches_repeated"] == 1
    assert (stats["records_unique"], stats["records_duplicated"]) == (2, 0)


def test_the_same_key_with_other_bytes_is_a_conflict(client: Client) -> None:
    body = batch(1)
    changed = batch(1, telemetryId=json.loads(body)["telemetryId"])
    client.post_batch(body)
    assert client.post_batch(changed).status == 409
    stats = client.control("GET", "stats")
    assert (stats["batches_mutated"], stats["records_unique"]) == (1, 1)


def test_a_record_in_two_batches_counts_as_duplicated(client: Client) -> None:
    body = batch(2)
    records = json.loads(body)["telemetryRecords"]
    client.post_batch(body)
    client.post_batch(batch(telemetryRecords=records))
    stats = client.control("GET", "stats")
    assert (stats["records_unique"], stats["records_duplicated"]) == (2, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"documentType": "other"},
        {"documentVersion": 1},
        {"subscriptionId": ""},
        {"telemetryId": "not-a-uuid"},
        {"telemetryRecords": []},
        {"telemetryRecords": [{"id": "1", "dataPoint": "login"}]},
        {"hostname": "more than documented"},
    ],
)
def test_a_document_outside_the_schema_is_refused(
    client: Client, changes: dict[str, Any]
) -> None:
    reply = client.post_batch(batch(**changes))
    assert (reply.status, reply.json()["code"]) == (422, 422)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "with a space"},
        {"dataPoint": "mouse_moved"},
        {"dataPoint": ["login"]},
        {"timestamp": "2026-11-23T06:31:07.5Z"},
        {"timestamp": "2026-13-23T06:31:07Z"},
        {"user": "ada"},
    ],
)
def test_a_record_outside_the_schema_is_refused_by_its_number(
    client: Client, change: dict[str, object]
) -> None:
    records = json.loads(batch(2))["telemetryRecords"]
    records[1] |= change
    reply = client.post_batch(batch(telemetryRecords=records))
    assert reply.status == 422
    assert "telemetryRecords[1]" in reply.json()["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": ""}, 401),
        ({"Authorization": "Bearer abc.def."}, 401),
        ({"Authorization": "Basic YTpi"}, 401),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Encoding": "gzip"}, 415),
        ({"Idempotency_Key": "another"}, 400),
    ],
)
def test_a_batch_with_a_wrong_header_is_refused(
    client: Client, headers: dict[str, str], status: int
) -> None:
    assert client.post_batch(batch(), **headers).status == status
    assert client.control("GET", "stats")["batches_unique"] == 0


def test_a_batch_of_another_subscription_is_refused(client: Client) -> None:
    assert client.post_batch(batch(subscriptionId="SBX-2")).status == 403


def test_a_body_that_is_not_json_is_refused(client: Client) -> None:
    sent = {"Content-Type": "application/json"}
    for body in (b"{", b"\xff", b"[" * 100_000):
        assert client.send("POST", "/ee/v1/telemetry", body, sent).status == 400


def test_entitlements_belong_to_the_subscription_and_stay_the_same(
    client: Client, data: Path
) -> None:
    first = client.get("/ee/v1/entitlements").json()
    assert first == client.get("/ee/v1/entitlements").json()
    assert first["subscriptionId"] == SUBSCRIPTION
    assert first["renewedLicense"] is None
    assert len(first["entitlements"]) == 9
    unlimited = [item["limit"] for item in first["entitlements"] if item["unlimited"]]
    assert unlimited == [0, 0]
    client.token = issue_license(data, subscription="SBX-00000002")
    other = client.get("/ee/v1/entitlements").json()
    assert other["entitlements"] != first["entitlements"]


def test_a_terminate_notice_is_taken_with_a_token_only(client: Client) -> None:
    assert client.send("POST", "/ee/v1/licenses/terminate").status == 204
    refused = client.send("POST", "/ee/v1/licenses/terminate", signed=False)
    assert refused.status == 401


def test_a_report_is_acknowledged_with_a_signature_over_its_bytes(
    client: Client,
) -> None:
    manifest = b'{"reportId":"r-1"}'
    archive = report(manifest)
    uploaded = client.upload(archive)
    assert uploaded.status == 202
    status = client.get(uploaded.json()["statusLink"]).json()
    assert status["percentageComplete"] == status["percentageSuccessful"] == 100
    assert status["readyForDownload"] is True
    packed = client.get(status["downloadLink"])
    assert packed.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(packed.body)) as opened:
        content = opened.read("acknowledgement.json")
        detached = opened.read("acknowledgement.jws").decode()
    acknowledged = json.loads(content)
    digest = hashlib.sha256(gzip.compress(b"[]", mtime=0)).hexdigest()
    name = "usage/a/usage-1-01.gzip"
    assert acknowledged.pop("files") == [{"name": name, "sha256": digest}]
    assert acknowledged.pop("receiptId")
    assert acknowledged == {
        "reportId": "r-1",
        "reportSha256": hashlib.sha256(manifest).hexdigest(),
        "fileSha256": hashlib.sha256(archive).hexdigest(),
        "accepted": 1,
    }
    keys = jwt.PyJWKSet.from_dict(client.get("/ee/v1/keys/jwks").json())
    header, _, signature = detached.split(".")
    payload = base64.urlsafe_b64encode(content).rstrip(b"=").decode()
    whole = f"{header}.{payload}.{signature}"
    assert jwt.api_jws.decode(whole, keys["v1"].key, algorithms=["RS512"]) == content


def test_the_doubled_status_link_of_the_public_script_works(client: Client) -> None:
    status_id = client.upload(report()).json()["statusLink"].rpartition("/")[2]
    assert client.get(f"{BULK}/status//status/{status_id}").status == 200


def test_the_same_report_again_is_the_same_upload(client: Client) -> None:
    archive = report()
    assert client.upload(archive).body == client.upload(archive).body
    stats = client.control("GET", "stats")
    assert stats["reports_unique"] == stats["reports_repeated"] == 1


def test_a_report_without_manifest_is_acknowledged_by_its_file(client: Client) -> None:
    assert client.upload(report(manifest=None)).status == 202


@pytest.mark.parametrize("content", [b"", b"no zip", report(b"no json")])
def test_an_upload_that_is_no_report_is_refused(client: Client, content: bytes) -> None:
    assert client.upload(content).status == 400


def test_a_form_without_the_file_field_is_refused(client: Client) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    assert client.send("POST", BULK, b"--b--\r\n", form).status == 400


def test_an_unknown_upload_has_no_status(client: Client) -> None:
    assert client.get(f"{BULK}/status/none").status == 404


def test_a_usage_file_is_taken_as_gzip_only(client: Client) -> None:
    sent = {"Content-Type": "application/gzip"}
    path = "/api/nginx-usage/batch"
    assert client.send("POST", path, gzip.compress(b"[]"), sent).status == 200
    assert client.send("POST", path, b"[]", sent).status == 400
    assert client.send("POST", path, gzip.compress(b"[]")).status == 400


def test_a_usage_file_has_an_effect_once_per_key(client: Client) -> None:
    path = "/api/nginx-usage/batch"
    sent = {"Content-Type": "application/gzip", "Idempotency-Key": "one-01"}
    first = client.send("POST", path, gzip.compress(b"[]", mtime=0), sent)
    again = client.send("POST", path, gzip.compress(b"[]", mtime=0), sent)
    other = client.send("POST", path, gzip.compress(b"[1]", mtime=0), sent)
    assert [one.status for one in (first, again, other)] == [200, 200, 409]
    assert first.json() == again.json()
    stats = client.control("GET", "stats")
    counts = ("files_unique", "files_repeated", "files_mutated")
    assert [stats[name] for name in counts] == [1, 1, 1]


def test_an_unknown_path_answers_in_the_gateways_form(client: Client) -> None:
    for path in ("/", "/ee/v1/nothing"):
        reply = client.get(path)
        assert reply.status == 404
        assert reply.json() == {
            "code": 404,
            "message": "There is nothing at this path.",
        }
    assert client.get("/ee/v1/telemetry").status == 405


def test_the_collector_takes_posts_from_any_origin_without_credentials(
    client: Client,
) -> None:
    path = "/com.snowplowanalytics.snowplow/tp2"
    origin = {"Origin": "http://127.0.0.1:8000"}
    posted = client.send("POST", path, b"{}", origin, host="collector", signed=False)
    asked = client.send("OPTIONS", path, b"", origin, host="collector", signed=False)
    seen = client.send("GET", path, host="collector", signed=False)
    assert (posted.status, asked.status, seen.status) == (200, 204, 404)
    for reply in (posted, asked):
        assert reply.headers["access-control-allow-origin"] == origin["Origin"]
        assert "access-control-allow-credentials" not in reply.headers
    listed = client.control("GET", "requests?host=collector")["requests"]
    assert [request["method"] for request in listed] == ["POST", "OPTIONS", "GET"]
