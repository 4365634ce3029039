"""The database itself, as somebody with a shell has it: SQLite's file or PostgreSQL."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import psycopg


class Database(Protocol):
    """What the search asks of either kind.

    ``no_day`` is a moment it takes and Python cannot read. The table ``queued`` holds
    every message that was ever queued, once ``keep_messages`` was called.
    """

    no_day: str

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]: ...
    def tables(self) -> list[str]: ...
    def dump(self) -> bytes: ...
    def keep_messages(self) -> None: ...


@contextlib.contextmanager
def without_licenses(database: Database) -> Iterator[None]:
    """Let the table of licenses be missing for a while."""
    database.execute("ALTER TABLE licensing_license RENAME TO away")
    try:
        yield
    finally:
        database.execute("ALTER TABLE away RENAME TO licensing_license")


@contextlib.contextmanager
def damaged(database: Database) -> Iterator[None]:
    """Let the license have been applied on a day that there is not."""
    damage = "UPDATE licensing_license SET applied_at = %s WHERE current"
    query = "SELECT applied_at FROM licensing_license WHERE current"
    (before,) = database.execute(query)
    database.execute(damage, database.no_day)
    try:
        yield
    finally:
        database.execute(damage, *before)


class Sqlite:
    """The file in the data folder."""

    no_day = "2026-13-45 00:00:00"

    def __init__(self, folder: Path) -> None:
        self.file = folder / "nms-admin.sqlite3"

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.file, timeout=20)
        with contextlib.closing(connection), connection:
            yield connection

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._open() as rows:
            return rows.execute(statement.replace("%s", "?"), values).fetchall()

    def tables(self) -> list[str]:
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
        return [name for (name,) in self.execute(query)]

    def dump(self) -> bytes:
        with self._open() as rows:
            return "\n".join(rows.iterdump()).encode()

    def keep_messages(self) -> None:
        self.execute("CREATE TABLE queued (payload TEXT)")
        self.execute(
            "CREATE TRIGGER queued AFTER INSERT ON nms_admin_message BEGIN"
            " INSERT INTO queued VALUES (NEW.payload); END"
        )


class PostgreSql:
    """A database of the server that the tests have."""

    no_day = "infinity"

    def __init__(self, url: str) -> None:
        self.url = url

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as control:
            done = control.execute(statement.encode(), values or None)
            return done.fetchall() if done.description else []

    def tables(self) -> list[str]:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        return [name for (name,) in self.execute(query)]

    def dump(self) -> bytes:
        words = ["pg_dump", f"--dbname={self.url}"]
        return subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout

    def keep_messages(self) -> None:
        self.execute("CREATE TABLE queued (payload TEXT)")
        self.execute(
            "CREATE FUNCTION queued() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO queued VALUES (NEW.payload); RETURN NEW; END $$"
        )
        self.execute(
            "CREATE TRIGGER queued AFTER INSERT ON nms_admin_message"
            " FOR EACH ROW EXECUTE FUNCTION queued()"
        )
