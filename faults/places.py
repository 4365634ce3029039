"""Where a case takes place: a folder, a database, a broker and ports of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from faults.cases import RABBITMQ, REDIS, SQLITE
from faults.rows import Row
from tests.e2e.console import free_ports

TEMPLATE = "fault_template"


@dataclass
class Places:
    """Copies of one prepared installation, and the rows found there."""

    folder: Path
    rows: list[Row] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _made: list[str] = field(default_factory=list)

    def prepare(self) -> None:
        """Make the installation that all others are copies of, on both databases."""
        self.folder.mkdir(exist_ok=True, mode=0o700)
        for name, database in (("sqlite", ""), ("postgresql", TEMPLATE)):
            if database:
                self._create(database)
            environment = self._environment(self.folder / f"template-{name}", database)
            words = [sys.executable, "-m", "faults", "--child", "prepare", name]
            subprocess.run(words, env=environment, check=True)

    def missing(self, on: str) -> str:
        """Return why a profile cannot be run here; empty when it can."""
        if on == RABBITMQ and not shutil.which("rabbitmq-server", path=_path()):
            return "rabbitmq-server is not installed"
        return ""

    def make(self, name: str, on: str) -> dict[str, str]:
        """Return the environment of a new installation."""
        plain = "".join(one if one.isalnum() else "_" for one in name.lower())
        database = "" if on == SQLITE else f"fault_{plain}"
        template = "template-postgresql" if database else "template-sqlite"
        with self._lock:  # a template takes one copy at a time
            folder = self.folder / plain
            shutil.copytree(self.folder / template, folder)
            if database:
                self._create(database, TEMPLATE)
            environment = self._environment(folder, database)
        brokers = {REDIS: "redis://127.0.0.1:{}/0", RABBITMQ: "amqp://127.0.0.1:{}//"}
        if on in brokers:
            environment["NMS_BROKER_URL"] = brokers[on].format(*free_ports(1))
        return environment

    def end(self) -> None:
        """Drop the databases."""
        for name in self._made:
            with self._server() as server:
                server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _environment(self, folder: Path, database: str) -> dict[str, str]:
        folder.mkdir(exist_ok=True, mode=0o700)
        port, vendor, collector, agents = free_ports(4)
        url = os.environ["NMS_TEST_DATABASE_URL"].rpartition("/")[0]
        kept = {k: v for k, v in os.environ.items() if not k.startswith("NMS_")}
        kept.pop("DO_NOT_TRACK", None)
        return {
            **kept,
            **{k: v for k, v in os.environ.items() if k.startswith("NMS_TEST_")},
            "DJANGO_SETTINGS_MODULE": "nms_admin.settings",
            "PATH": _path(),
            "NMS_DATA_DIR": str(folder),
            "NMS_PORT": str(port),
            "NMS_SANDBOX_PORT": str(vendor),
            "NMS_SANDBOX_COLLECTOR_PORT": str(collector),
            "NMS_DPM_BIND": f"127.0.0.1:{agents}",
            **({"NMS_DATABASE_URL": f"{url}/{database}"} if database else {}),
        }

    def _server(self) -> psycopg.Connection:
        return psycopg.connect(os.environ["NMS_TEST_DATABASE_URL"], autocommit=True)

    def _create(self, name: str, template: str = "template1") -> None:
        self._made.insert(0, name)
        with self._server() as server:
            server.execute(f"CREATE DATABASE {name} TEMPLATE {template}")


def _path() -> str:
    """Return the path with the folders of system servers."""
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
