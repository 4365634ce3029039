"""The database as one file, and back: SQLite by itself, PostgreSQL by its own programs."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from django.apps import apps
from django.db import Error, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from nms_admin.archive import Refused, sync

_VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",  # never an argument: others can read a command line
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "options": "PGOPTIONS",
}


def engine() -> str:
    """Return ``sqlite`` or ``postgresql``: what this console is set to."""
    return connection.vendor


def exists() -> bool:
    """Return whether the database holds an installation; creates nothing.

    Raises:
        Refused: PostgreSQL does not answer.
    """
    if engine() == "sqlite":
        return _file().exists() and _file().stat().st_size > 0
    try:
        return "django_migrations" in connection.introspection.table_names()
    except Error as error:
        raise Refused(f"The database does not answer: {error}") from error


def dump(target: Path) -> None:
    """Write the database, as of one moment, into a new file (0600).

    Raises:
        Refused: It cannot be read, or a program of PostgreSQL is missing.
    """
    target.touch(mode=0o600, exist_ok=False)
    if engine() == "postgresql":
        _run("pg_dump", "--format=custom", "--no-owner", "--no-acl", f"--file={target}")
        return
    try:
        with (
            closing(sqlite3.connect(_file())) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
    except sqlite3.Error as error:
        raise Refused(f"{_file()} cannot be read: {error}.") from error


def check(source: Path) -> None:
    """Refuse a dump that is broken, or that this host has no program for."""
    if engine() == "postgresql":
        _program("psql")
        _run("pg_restore", "--list", str(source))
        return
    try:
        with closing(sqlite3.connect(source)) as copy:
            found = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        found = str(error)
    if found != "ok":
        raise Refused(f"The database in the backup is damaged: {found}.")


def replace(source: Path) -> None:
    """Put a dump that was checked in the place of the database: all of it or nothing.

    Raises:
        Refused: PostgreSQL did not take it; the database is as it was.
    """
    connection.close()
    if engine() == "postgresql":
        _replace_tables(source)
        return
    target = _file()
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    _close_log(target)
    source.replace(target)
    sync(target.parent)


def _close_log(database: Path) -> None:
    """Leave no write-ahead log behind: SQLite would play it into the next database."""
    if database.exists():
        try:
            with closing(sqlite3.connect(database)) as old:
                old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error:  # damaged: a good reason to restore a backup
            pass
    for end in ("-wal", "-shm", "-journal"):
        database.with_name(database.name + end).unlink(missing_ok=True)


def _replace_tables(source: Path) -> None:
    """Drop the product's tables, a newer version's too, and restore in one transaction."""
    script = source.with_name("database.sql")
    script.touch(mode=0o600)
    _run("pg_restore", "--no-owner", "--no-acl", f"--file={script}", str(source))
    labels = "|".join(
        sorted({"django", *(one.label for one in apps.get_app_configs())})
    )
    drop = f"""DO $$ DECLARE name text; BEGIN
      FOR name IN SELECT tablename FROM pg_tables
        WHERE schemaname = current_schema() AND tablename ~ '^({labels})_'
      LOOP EXECUTE format('DROP TABLE %I CASCADE', name); END LOOP; END $$"""  # noqa: S608
    once = ("--single-transaction", "--set=ON_ERROR_STOP=1", "--no-psqlrc", "--quiet")
    first = "SET lock_timeout = '30s'"
    _run("psql", *once, f"--command={first}", f"--command={drop}", f"--file={script}")


def _file() -> Path:
    return Path(connection.settings_dict["NAME"])


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise Refused(
            f"{name} is not on PATH. Install the client programs of PostgreSQL, of the"
            " server's version or newer (Debian: postgresql-client)."
        )
    return found


def _run(name: str, *words: str) -> None:
    """Run a program of PostgreSQL on the console's database; its words are the error."""
    database: BaseDatabaseWrapper = connection
    said = database.get_connection_params()
    told = {_VARIABLES[one]: str(said[one]) for one in _VARIABLES if said.get(one)}
    done = subprocess.run(  # noqa: S603  (our own words)
        [_program(name), *words],
        env=os.environ | told,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Refused(f"{name} failed: {' '.join(lines[-3:])}")
