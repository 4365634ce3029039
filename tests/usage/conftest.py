"""A licensed installation, NGINX that was used, and a receiver for reports."""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from common import choices
from licensing.models import License
from sandbox.app import BULK
from sandbox.faults import parse_rules
from sandbox.server import Sandbox
from sandbox.wire import Request
from tests import make
from tests.telemetry.conftest import Clock
from usage.models import Period, Reporter

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path) -> None:
    """Each test has a data folder, and a choices.json, of its own."""
    settings.NMS_DATA_DIR = tmp_path
    choices._written.clear()


class Vendor:
    """The sandbox's side of the bulk calls: what arrived, and what goes wrong next."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box

    @property
    def uploads(self) -> list[Request]:
        return [one for one in self.calls if one.method == "POST"]

    @property
    def calls(self) -> list[Request]:
        return self.box.store.arrivals(host="vendor", prefix=BULK)

    @property
    def archives(self) -> list[bytes]:
        """The file part of each upload, as a multipart reader finds it."""
        return [file_part(one) for one in self.uploads]

    def fails(self, mode: str, path: str = BULK, times: int | None = None, **args: Any):
        rule = {"path": path, "mode": mode, "times": times, "args": args}
        self.box.faults.set(parse_rules([rule]))

    def recovers(self) -> None:
        self.box.faults.set([])


def file_part(upload: Request) -> bytes:
    boundary = re.search("boundary=(.+)", upload.fields["content-type"])[1].encode()
    part = upload.body.split(b"--" + boundary)[1]
    return part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")


def inside(archive: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the manifest and the records of a report."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        manifest = json.loads(opened.read("manifest.json"))
        records = [
            record
            for one in manifest["files"]
            for record in json.loads(gzip.decompress(opened.read(one["name"])))
        ]
    return manifest, records


def used(
    day: date, instances: int = 1, *, hours: int = 24, at: datetime | None = None
) -> None:
    """Let so many instances report their use of the first hours of a day."""
    start = datetime.combine(day, time(), UTC)
    for number in range(instances):
        name = f"{number:032x}"
        received = at or start + HOUR * hours
        reporter, _ = Reporter.objects.get_or_create(
            uuid=name,
            defaults={
                "hostname": f"marked-host-{number}",
                "version": "marked-version",
                "first_seen_at": start,
                "last_seen_at": start,
            },
        )
        Period.objects.get_or_create(
            reporter=reporter,
            since=int(start.timestamp()),
            until=int((start + HOUR * hours).timestamp()),
            defaults={
                "received_at": received,
                "version": "marked-version",
                "requests": 17,
                "bytes": 3_000,
            },
        )


@pytest.fixture
def clock(now: datetime) -> Clock:
    return Clock(now)


@pytest.fixture(scope="session")
def sandbox_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sandbox's folder with the key that signs the licenses of ``make``."""
    folder = tmp_path_factory.mktemp("sandbox")
    pem = make.private_key().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    (folder / "key.pem").write_bytes(pem)
    return folder


@pytest.fixture
def vendor(sandbox_data: Path, settings) -> Iterator[Vendor]:
    """A sandbox that takes reports."""
    with Sandbox(sandbox_data) as box:
        settings.NMS_F5_API_URL = f"http://localhost:{box.vendor.port}/ee/v1"
        yield Vendor(box)


@pytest.fixture
def licensed(finished: None, now: datetime, vendor: Vendor) -> License:
    """A valid license, applied at noon, after set-up was finished."""
    return make.license(now)
