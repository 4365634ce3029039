"""What stands in a log line, whatever was handed to the logger."""

from __future__ import annotations

import json
import logging
from logging.config import DictConfigurator

import pytest
from celery import signals
from django.db import InterfaceError, OperationalError
from django.test import Client
from django.utils import timezone

from nms_admin import logs, people

TOKEN = "eyJhbGciOiJSUzUxMiJ9.eyJzdWIiOiJTQlgifQ.c2lnbmF0dXJl"


@pytest.fixture
def lines(caplog):
    """Every line as the processes write it."""
    caplog.set_level(logging.DEBUG)
    config = logs.config("DEBUG")
    made = DictConfigurator(config).configure_formatter(config["formatters"]["json"])

    def read() -> str:
        written = [made.format(record) for record in caplog.records]
        assert all(json.loads(line) for line in written)
        return "\n".join(written)

    return read


@pytest.mark.parametrize(
    "value",
    [
        TOKEN,
        [f"Bearer {TOKEN}"],
        {"header": {"Authorization": f"Bearer {TOKEN}"}},
        (TOKEN.encode(),),
        ValueError(f"no such license: {TOKEN}"),
        {TOKEN: 1},
    ],
)
def test_a_token_is_masked_however_deep_it_lies(lines, value):
    logging.getLogger("any").error("it failed: %s", value, extra={"value": value})
    said = lines()
    assert "[removed]" in said
    assert "c2lnbmF0dXJl" not in said


def test_a_one_time_link_that_is_still_good_is_in_no_line(lines, finished, ada, now):
    by = people.By("ada", timezone.now())
    _, link = people.make_link(ada.pk, by)
    refused = Client(enforce_csrf_checks=True).post(f"/welcome/{link}")
    short = Client().post(f"/welcome/{link}", {"password": "short"})
    unknown = Client().get(f"/welcome/{link[:-1]}")
    assert [one.status_code for one in (refused, short, unknown)] == [403, 422, 404]
    said = lines()
    assert "/welcome/[removed]" in said
    assert link[:-1] not in said


def of_a_task(error: Exception) -> logging.LogRecord:
    said = "Task %(name)s raised unexpected: %(exc)s"
    context = {"name": "telemetry.tasks.deliver_due", "exc": repr(error)}
    made = logging.makeLogRecord({"msg": said, "args": context, "data": context})
    made.exc_info = (type(error), error, None)
    return made


def test_tasks_without_a_database_say_so_ever_more_rarely() -> None:
    records = [of_a_task(OperationalError("timeout expired")) for _ in range(100)]
    said = [one for one in records if logs.sums_up(one)]
    assert [one.__dict__["times"] for one in said] == [1, 2, 4, 8, 16, 32, 64]
    assert all(one.exc_info is None and "data" not in one.__dict__ for one in said)
    signals.task_success.send(None)
    assert logs.sums_up(of_a_task(InterfaceError("closed"))), "it begins anew"


def test_a_task_that_fails_by_itself_says_so_every_time() -> None:
    records = [of_a_task(ValueError("no")) for _ in range(3)]
    assert all(logs.sums_up(one) and one.exc_info for one in records)
