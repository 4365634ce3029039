"""The facts about public clients that decide how reports travel, one test each.

Numbers as in ``test_protocol_facts``. The whole flows run in ``tests/e2e``.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
import subprocess
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
import trustme

from common import setup
from nms_admin import basic
from sandbox.app import BULK
from sandbox.server import Sandbox
from tests import make
from tests.sandbox.clients import Client as Curl
from tests.usage.conftest import clock, licensed, sandbox_data, used, vendor  # noqa: F401
from tests.usage.test_offline import acknowledged, get, names, upload

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("ada")]
BATCH = "/api/nginx-usage/batch"
DAY = timedelta(days=1)


@pytest.fixture
def carried(licensed, clock) -> Iterator[None]:  # noqa: F811
    """A disconnected, licensed server at noon."""
    basic._verified.clear()
    row = setup.current()
    row.operation_mode = "disconnected"
    row.save()
    with time_machine.travel(clock.now, tick=False):
        yield


@contextlib.contextmanager
def over_tls(data: Path, folder: Path) -> Iterator[tuple[Sandbox, Path]]:
    """Run a sandbox as ``sandbox serve --tls-cert`` does; give its authority's file."""
    from sandbox.__main__ import _tls_context

    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    cert, key, ca = (folder / name for name in ("cert.pem", "key.pem", "ca.pem"))
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(ca)
    with Sandbox(data, tls=_tls_context(cert, key)) as box:
        yield box, ca


def curl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["curl", "-sS", "--max-time", "10", *words],
        capture_output=True,
        text=True,
        check=False,
    )


def test_fact_5_the_upload_answers_200_and_exactly_this_message(
    carried,
    sandbox_data,  # noqa: F811
) -> None:
    said = acknowledged(get().content, sandbox_data)
    for _ in range(2):  # the same again too
        answer = upload(said)
        assert answer.status_code == 200
        assert answer.content == b'{"message":"Report uploaded successfully."}'


def test_fact_6_an_upload_is_ready_at_the_first_question(
    now,
    sandbox_data,  # noqa: F811
) -> None:
    """The client asks once, and never again while it waits."""
    token = make.token(now)
    with Sandbox(sandbox_data) as box:
        client = Curl(box, token)
        sent = client.upload(export())
        assert sent.status == 202
        link = sent.json()["statusLink"]
        assert link.startswith(f"{BULK}/status/"), "its long form"
        said = client.get(link)
    text = said.body.decode()
    assert re.search(r'"percentageComplete":100[,}]', text), "a bare whole number"
    assert said.json()["readyForDownload"] is True
    assert said.json()["downloadLink"].startswith(f"{BULK}/download/")


def test_fact_7_alpn_is_negotiated_under_an_authority_that_is_trusted(
    tmp_path,
    sandbox_data,  # noqa: F811
) -> None:
    with over_tls(sandbox_data, tmp_path) as (box, ca):
        address = f"https://localhost:{box.vendor.port}/ee/v1/keys/jwks"
        asked = curl("-v", "--cacert", str(ca), "-o", str(tmp_path / "jwks"), address)
        assert asked.returncode == 0, asked.stderr
        assert "server accepted" in asked.stderr, "what the client looks for"
        assert json.loads((tmp_path / "jwks").read_text())["keys"]
        stranger = curl(address)
        assert stranger.returncode == 60, "without the authority and without -k: no"


def test_fact_8_a_usage_file_is_taken_with_200_and_never_with_202(
    now,
    sandbox_data,  # noqa: F811
) -> None:
    """A client treats 202 as a failure and sends the file five times."""
    with Sandbox(sandbox_data) as box:
        client = Curl(box, make.token(now))
        sent = {"Content-Type": "application/gzip"}
        for _ in range(2):
            answer = client.send("POST", BATCH, gzip.compress(b"[]"), sent)
            assert answer.status == 200
        refused = client.send("POST", BATCH, b"no gzip", sent)
        assert refused.status == 400, "final: it is not sent again"
        nobody = client.send("POST", BATCH, gzip.compress(b"[]"), sent, signed=False)
        assert nobody.status == 401


def test_fact_9_no_two_exports_share_a_name_and_none_is_empty(
    carried,
    clock,  # noqa: F811
    sandbox_data,  # noqa: F811
    tmp_path,
) -> None:
    """A name a client sent before is skipped, and ``unzip -tq`` refuses an empty ZIP."""
    seen: list[str] = []
    for day in (0, 1, 2, 3):
        if day:  # the first report is one without usage
            used(clock.now.date() - DAY * day, at=clock.now)
        archive = get().content
        path = tmp_path / f"{day}.zip"
        path.write_bytes(archive)
        tested = subprocess.run(["unzip", "-tq", str(path)], check=False)
        assert tested.returncode == 0
        seen += [name for name in names(archive) if name.endswith(".gzip")]
        assert upload(acknowledged(archive, sandbox_data)).status_code == 200
    assert len(seen) == len({name.rpartition("/")[2] for name in seen}) == 3


def export() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("manifest.json", '{"reportId":"r-1"}')
        archive.writestr("usage/a/usage-r-1-01.gzip", gzip.compress(b"[]"))
    return packed.getvalue()
