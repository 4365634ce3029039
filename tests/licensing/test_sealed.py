from __future__ import annotations

import base64
import json
import logging
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connection
from django.views.debug import ExceptionReporter

from licensing import services
from licensing.errors import LicenseRejected
from tests import make
from tests.licensing.test_services import apply, refused

CANARY = "7c5dbd2e-0d0c-4f8e-canary-license"


def traces(text: str) -> list[bytes]:
    """Return what gives a token away: its signature, and its claims' tail, in forms."""
    _, payload, signature = text.split(".")
    found = [text.encode(), payload[-60:].encode(), signature[:60].encode()]
    found += [base64.b64encode(text.encode())[:60], text[:80].encode().hex().encode()]
    return found


def database() -> bytes:
    """Return every value of every row, and on SQLite the files themselves."""
    rows = [
        bytes(value) if isinstance(value, bytes | memoryview) else repr(value).encode()
        for model in apps.get_models()
        for row in model._default_manager.values_list()
        for value in row
    ]
    if connection.vendor == "sqlite":
        path = Path(str(connection.settings_dict["NAME"]))
        rows += [file.read_bytes() for file in path.parent.glob(f"{path.name}*")]
    return b"\n".join(rows)


@pytest.fixture
def logs(caplog, capfd):
    """Everything logged at DEBUG, SQL with its values too, and what was printed."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "django.db.backends")
    connection.force_debug_cursor = True

    def read() -> bytes:
        printed = capfd.readouterr()
        lines = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
        return "\n".join([*lines, printed.out, printed.err]).encode()

    yield read
    connection.force_debug_cursor = False


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_no_license_stands_in_the_database_or_in_a_log(now, logs):
    texts = [make.token(now, jti=f"{CANARY}-{n}") for n in range(3)]
    apply(texts[0], now)  # waits for keys
    make.keys_file()
    services.announce_changes(now)
    apply(texts[1], now, replace=True)
    services.terminate(
        confirmation=make.SUBSCRIPTION, by="ada", via="settings", now=now
    )
    damaged = texts[2][:-8] + "AAAAAAAA"
    assert refused(damaged, now) in ("signature", "not_a_token")
    stored, logged = database(), logs()
    assert f"{CANARY}-1".encode() in stored  # the scan sees what is stored openly
    assert b"licensing_license" in logged  # and the statements
    for text in [*texts, damaged]:
        for trace in traces(text):
            assert trace not in stored
            assert trace not in logged


@pytest.mark.django_db
def test_no_refusal_carries_the_license(now):
    make.keys_file()
    text = make.token(now, iss=f"me {CANARY}")
    with pytest.raises(LicenseRejected) as refused:
        apply(text, now)
    said = json.dumps([str(refused.value), vars(refused.value), repr(refused.value)])
    assert not any(trace.decode() in said for trace in traces(text))


@pytest.mark.django_db
def test_a_report_of_an_error_shows_no_license(now, settings):
    settings.NMS_JWT_ALGORITHMS = None  # a bug deep inside: a TypeError
    make.keys_file()
    text = make.token(now, jti=CANARY)
    try:
        apply(text, now)
    except TypeError:
        report = ExceptionReporter(None, *sys.exc_info())
    else:
        pytest.fail("it went well")
    frames = [
        frame
        for frame in report.get_traceback_frames()
        if "/licensing/" in frame["filename"] and "/tests/" not in frame["filename"]
    ]
    assert len(frames) >= 3
    for trace in traces(text):
        assert trace.decode() not in repr([frame["vars"] for frame in frames])
