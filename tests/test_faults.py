"""The fault suite's own verdicts: they must be able to be bad ones."""

from __future__ import annotations

import pytest

from faults.cases.hosts import judge
from faults.rows import Row, load
from faults.scene import mutated
from sandbox.wire import Request


@pytest.mark.parametrize(
    "found",
    [
        {"lost": 1},
        {"doubled": 1},
        {"mutated": 1},
        {"secrets": 1},
        {"rss_mb": 201.0},
        {"p95_ms": 301.0},
        {"wrong": ["it took too long"]},
        {"not_run": "there is no RabbitMQ"},
    ],
)
def test_whatever_does_not_hold_is_said_in_the_row(found) -> None:
    row = load(Row("a case", "SQLite", **found).dump())
    assert not row.held()
    assert not str(row).endswith("| yes |")


def test_a_case_that_held_says_yes() -> None:
    row = Row("a case", "SQLite", rss_mb=200.0, p95_ms=300.0)
    assert row.held()
    assert str(row).endswith("| 0 | 0 | 0 | 0 | 200 MB | 300 ms | yes |")


def test_a_retry_with_other_bytes_or_another_token_is_found() -> None:
    def sent(body: bytes, token: str) -> Request:
        headers = [("Idempotency-Key", "one"), ("Authorization", token)]
        headers += [("Content-Length", "1")]
        request = Request("vendor", "POST", "/", "HTTP/1.1", headers)
        request.body = body
        return request

    first = sent(b"a", "x")
    assert mutated([first, sent(b"a", "x")]) == 0
    assert mutated([first, sent(b"b", "x")]) == 1
    assert mutated([first, sent(b"a", "y")]) == 1
    assert mutated([first, sent(b"", "x")]) == 0, "its sender died over it"


@pytest.mark.parametrize(
    ("taken", "database", "held"),
    [
        ([(20.0, 200), (10_500.0, 503)], True, True),
        ([(20.0, 200)], True, False),  # no error page
        ([(20_000.0, 0), (20.0, 503)], True, False),  # it hung
        ([(16_000.0, 503)], True, False),
        ([(20.0, 500), (20.0, 503)], True, False),
        ([(20.0, 200)], False, True),
        ([(20.0, 503)], False, False),  # pages need nothing but the database
        ([(400.0, 200)], False, False),
    ],
)
def test_a_host_that_is_cut_off_has_to_say_so_soon(taken, database, held) -> None:
    row = Row("a case", "PostgreSQL, Redis")
    judge(row, taken, database=database)
    assert row.held() is held
