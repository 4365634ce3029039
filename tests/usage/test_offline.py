"""Reports carried by hand: download, upload of the acknowledgement, by the API."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from audit.models import Record
from common import setup
from nms_admin import basic
from sandbox.acknowledge import acknowledge, package
from tests.conftest import PASSWORD
from tests.usage.conftest import inside, used
from usage.models import Report

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.both_databases,
    pytest.mark.usefixtures("ada", "otto", "vera"),
]
BASE = "/api/platform/v1"
DOWNLOAD = f"{BASE}/report/download"
UPLOAD = f"{BASE}/report/upload"
DAY = timedelta(days=1)
DONE = {"message": "Report uploaded successfully."}


@pytest.fixture(autouse=True)
def _noon(clock):
    basic._verified.clear()
    with time_machine.travel(clock.now, tick=False) as traveller:
        clock.traveller = traveller
        yield


@pytest.fixture
def disconnected(finished) -> None:
    row = setup.current()
    row.operation_mode = "disconnected"
    row.save()


def headers(name: str = "ada") -> dict[str, str]:
    pair = base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()
    return {"authorization": f"Basic {pair}", "accept": "application/json"}


def get(query: str = "format=zip", user: str = "ada"):
    return Client().get(f"{DOWNLOAD}?{query}", headers=headers(user))


def upload(body: bytes, query: str = "", user: str = "ada"):
    file = SimpleUploadedFile("ack.zip", body, "application/zip")
    address = f"{UPLOAD}?{query}" if query else UPLOAD
    return Client().post(address, {"file": file}, headers=headers(user))


def names(archive: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        return opened.namelist()


def acknowledged(archive: bytes, folder: Path, **changes: object) -> bytes:
    said = json.loads(acknowledge(archive)) | changes
    return package(json.dumps(said).encode(), folder)


def opaque() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("receipt.bin", b"what F5 puts here is not public")
    return packed.getvalue()


@pytest.mark.parametrize("query", ["format=zip", "", "format=zip&reportType=initial"])
def test_the_report_is_given_with_the_license_beside_its_records(
    licensed, disconnected, clock, query
) -> None:
    used(clock.now.date() - DAY, 3)
    answer = get(query)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/zip")
    assert answer["Cache-Control"] == "no-store"
    manifest, records = inside(answer.content)
    (listed,) = manifest["files"]
    folder = listed["name"].rpartition("/")[0]
    assert names(answer.content) == [
        "manifest.json",
        listed["name"],
        f"{folder}/jwt.txt",
    ]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        token = opened.read(f"{folder}/jwt.txt").decode().strip()
    assert hashlib.sha256(token.encode()).hexdigest()[:16] == folder.split("/")[1]
    assert {one["feature"] for one in records} >= {"NGINX_INSTANCES"}
    assert Record.objects.filter(action="usage.credentials_downloaded").count() == 1


def test_without_credentials_it_is_exactly_what_is_stored(
    licensed, disconnected, clock
) -> None:
    used(clock.now.date() - DAY)
    assert get(user="otto").status_code == 403
    assert not Report.objects.exists()
    answer = get("format=zip&credentials=omit", "otto")
    assert (
        hashlib.sha256(answer.content).hexdigest() == Report.objects.get().file_sha256
    )
    assert "jwt.txt" not in "".join(names(answer.content))
    assert get("credentials=omit", "vera").status_code == 403


def test_a_report_without_usage_still_holds_a_file(licensed, disconnected) -> None:
    assert names(get("credentials=omit").content) == ["manifest.json"]
    assert len(names(get().content)) == 2


def test_the_open_report_is_given_again_until_something_is_new(
    licensed, disconnected, clock
) -> None:
    used(clock.now.date() - DAY, 2)
    first = get("credentials=omit").content
    assert get("credentials=omit").content == first
    assert Report.objects.count() == 1
    used(clock.now.date() - 2 * DAY, 5, at=clock.now)
    later, records = inside(get("credentials=omit").content)
    assert {one["day"] for one in records} == {"2026-11-21", "2026-11-22"}
    assert Report.objects.open().count() == 1
    assert later["sequence"] == 2


def test_each_export_has_file_names_of_its_own(
    licensed, disconnected, clock, sandbox_data
) -> None:
    first = get("credentials=omit").content
    used(clock.now.date() - DAY, at=clock.now)
    second = get("credentials=omit").content
    assert upload(acknowledged(second, sandbox_data)).status_code == 200
    used(clock.now.date() - 2 * DAY, at=clock.now)
    third = get("credentials=omit").content
    seen = [
        name
        for archive in (first, second, third)
        for name in names(archive)
        if name != "manifest.json"
    ]
    assert len(seen) == len(set(seen)) == 2


def test_prepare_says_so_without_a_space_and_the_zip_is_there_at_once(
    licensed, disconnected, clock
) -> None:
    used(clock.now.date() - DAY)
    prepared = get("format=zip&reportType=telemetry&telemetryAction=prepare")
    assert prepared.content == b'{"telemetry":"Report generation in progress"}'
    answer = get("format=zip&reportType=telemetry&telemetryAction=download")
    assert answer["Content-Type"] == "application/zip"
    assert Report.objects.count() == 1


@pytest.mark.parametrize(
    "query", ["format=pdf", "reportType=all", "reportType=telemetry", "credentials=no"]
)
def test_another_request_is_refused_with_what_was_expected(
    licensed, disconnected, query
) -> None:
    answer = get(query)
    assert answer.status_code == 400
    assert "reportType=initial" in answer.json()["details"][0]["description"]


def test_without_a_license_there_is_no_report(finished, disconnected) -> None:
    answer = get()
    assert answer.status_code == 402
    assert "Add the JSON Web Token" in answer.json()["message"]


def test_a_connected_server_gives_its_report_too(licensed, clock) -> None:
    used(clock.now.date() - DAY)
    assert get().status_code == 200


def test_the_first_acknowledgement_completes_the_activation(
    licensed, disconnected, clock, sandbox_data
) -> None:
    used(clock.now.date() - DAY)
    archive = get().content
    status = Client().get(f"{BASE}/modules/licensed", headers=headers())
    assert status.content == b'{"licensed":false}'
    answer = upload(acknowledged(archive, sandbox_data))
    assert (answer.status_code, answer.json()) == (200, DONE)
    report = Report.objects.get()
    assert report.accepted_at == clock.now
    assert report.acknowledgement_checked
    status = Client().get(f"{BASE}/modules/licensed", headers=headers())
    assert status.content == b'{"licensed":true}'
    record = Record.objects.get(action="usage.acknowledged")
    assert (record.actor, record.via) == ("ada", "api")


def test_the_same_acknowledgement_again_changes_nothing(
    licensed, disconnected, clock, sandbox_data
) -> None:
    said = acknowledged(get().content, sandbox_data)
    assert upload(said).status_code == 200
    records, before = Record.objects.count(), Report.objects.values().get()
    clock.traveller.shift(DAY)
    assert upload(said).json() == DONE
    assert (Record.objects.count(), Report.objects.values().get()) == (records, before)


def test_one_of_an_unknown_report_is_refused_and_names_it(
    licensed, disconnected, sandbox_data
) -> None:
    other = "91c07f3a-0000-4000-8000-000000000001"
    said = acknowledged(get().content, sandbox_data, reportId=other)
    answer = upload(said)
    assert answer.status_code == 409
    assert f"belongs to report {other}" in answer.json()["message"]
    assert str(Report.objects.get().pk) in answer.json()["message"]
    assert Report.objects.open().exists()


def test_a_report_that_was_replaced_meanwhile_is_still_acknowledged(
    licensed, disconnected, clock, sandbox_data
) -> None:
    used(clock.now.date() - DAY)
    early = get().content
    used(clock.now.date() - 2 * DAY, at=clock.now)
    get()
    assert upload(acknowledged(early, sandbox_data)).status_code == 200
    assert Report.objects.get(sequence=1).accepted_at
    assert Report.objects.open().get().sequence == 2


@pytest.mark.parametrize(
    ("damage", "code", "status"),
    [
        (lambda said: b"<html>login</html>", "not_a_zip", 400),
        (lambda said: said[:-30], "not_a_zip", 400),
        (lambda said: b"", "not_a_zip", 400),
    ],
)
def test_a_damaged_file_closes_nothing(
    licensed, disconnected, sandbox_data, damage, code, status
) -> None:
    answer = upload(damage(acknowledged(get().content, sandbox_data)))
    assert answer.status_code == status
    assert answer.json()["details"][0]["description"] == f"check: {code}"
    assert Report.objects.open().exists()


def test_a_tampered_one_closes_nothing(licensed, disconnected, sandbox_data) -> None:
    good = acknowledged(get().content, sandbox_data)
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(good)) as old,
        zipfile.ZipFile(packed, "w") as new,
    ):
        content = json.loads(old.read("acknowledgement.json"))
        content["receiptId"] = "made-up"
        new.writestr("acknowledgement.json", json.dumps(content))
        new.writestr("acknowledgement.jws", old.read("acknowledgement.jws"))
    answer = upload(packed.getvalue())
    assert (answer.status_code, "signature" in answer.json()["message"]) == (400, True)
    assert Report.objects.open().exists()


def test_one_that_accepted_nothing_leaves_the_report_open(
    licensed, disconnected, clock, sandbox_data
) -> None:
    used(clock.now.date() - DAY)
    answer = upload(acknowledged(get().content, sandbox_data, accepted=0, files=[]))
    assert answer.status_code == 409
    assert "none of 1 files was accepted" in answer.json()["message"]
    assert Report.objects.open().exists()


def test_an_opaque_one_closes_the_downloaded_report_once_confirmed(
    licensed, disconnected, settings
) -> None:
    settings.SANDBOX = False
    assert upload(opaque(), "confirm=true").status_code == 409
    get()
    asked = upload(opaque())
    assert asked.status_code == 409
    assert "confirm=true" in asked.json()["details"][1]["description"]
    assert Report.objects.open().exists()
    assert upload(opaque(), "confirm=true").json() == DONE
    report = Report.objects.get()
    assert report.accepted_at
    assert not report.acknowledgement_checked
    assert upload(opaque()).json() == DONE, "the same again"


def test_the_test_receiver_gives_no_opaque_one(licensed, disconnected) -> None:
    get()
    assert upload(opaque(), "confirm=true").status_code == 409
    assert Report.objects.open().exists()


def test_only_an_administrator_uploads_and_nobody_uploads_more_than_2_mib(
    licensed, disconnected
) -> None:
    get()
    assert upload(opaque(), user="otto").status_code == 403
    assert upload(b"x" * (2 * 1024 * 1024 + 1)).status_code == 413
    assert upload(b"x" * (2 * 1024 * 1024 - 1)).status_code == 400
    assert upload(b"x" * (3 * 1024 * 1024)).status_code == 413
    nothing = Client().post(UPLOAD, {}, headers=headers())
    assert (nothing.status_code, nothing.json()["code"]) == (400, 400)
