"""Processes of the peers: one that captures, and those that bring events out."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from bench import peers

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER = "-m celery -A project.{} worker -c 2 -l ERROR"
WORKER += " --without-gossip --without-mingle --without-heartbeat"


@dataclass(frozen=True)
class Engine:
    """A library that keeps events and sends them later, one POST for each.

    ``broker`` is the number of its Redis database.
    """

    name: str
    label: str
    commands: tuple[str, ...]
    broker: int = 0


ENGINES = (
    Engine("plain", "plain Celery task", (WORKER.format("plain"),), 1),
    Engine(
        "outbox",
        peers.version("django", "django-celery-outbox"),
        (
            "-m project celery_outbox_relay --batch-size 500 --idle-time 0.2"
            " --stale-timeout-seconds 5",
            WORKER.format("outbox"),
        ),
        2,
    ),
    Engine(
        "ordered",
        peers.version("django", "django-jaiminho"),
        ("-m project events_relay --run-in-loop --loop-interval 0.2",),
    ),
)


class Talk:
    """A process that answers each line with one line."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            words,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def say(self, line: str) -> list[float]:
        """Send a line; return the numbers of the answer.

        Raises:
            RuntimeError: It ended instead.
        """
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args} ended at {line!r}")
        return [float(number) for number in answer.split()]

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it; by default without a chance to tidy up."""
        self.process.send_signal(number)
        self.process.wait(30)
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]


class Project:
    """The Django project of the peers, with a database of its own on the server."""

    def __init__(self, server: str, redis: str) -> None:
        self.python = peers.python("django")
        self.database = f"{server.rsplit('/', 1)[0]}/bench_peers"
        self.redis = redis.rsplit("/", 1)[0]
        with psycopg.connect(server, autocommit=True) as control:
            control.execute("DROP DATABASE IF EXISTS bench_peers WITH (FORCE)")
            control.execute("CREATE DATABASE bench_peers")
        command = [self.python, "-m", "project", "prepare"]
        subprocess.run(command, env=self.environment(), check=True)

    def environment(
        self, engine: Engine = ENGINES[0], sink: str = ""
    ) -> dict[str, str]:
        """Return what its processes find in the environment."""
        return peers.environment(
            PEER_DATABASE=self.database,
            PEER_REDIS=f"{self.redis}/{engine.broker}",
            PEER_SINK=f"{sink}/event",
            DJANGO_SETTINGS_MODULE="project.settings",
        )

    def capture(self, engine: Engine = ENGINES[0], redis: str = "") -> Talk:
        """Start a process that captures."""
        more = {"PEER_REDIS": redis} if redis else {}
        words = [self.python, "-m", "project", "capture"]
        return Talk(words, self.environment(engine) | more)

    def start(self, engine: Engine, sink: str) -> list[subprocess.Popen[bytes]]:
        """Start what brings the events of an engine to a sink."""
        return [
            subprocess.Popen(
                [self.python, *words.split()],
                env=self.environment(engine, sink),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            for words in engine.commands
        ]

    @contextmanager
    def running(self, engine: Engine, sink: str) -> Iterator[None]:
        """Do the same, and end them afterwards."""
        started = self.start(engine, sink)
        try:
            yield
        finally:
            kill(started)


def kill(processes: list[subprocess.Popen[bytes]]) -> None:
    """End processes and their children by SIGKILL."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def client(name: str, url: str) -> Talk:
    """Start a process with the client library of a vendor: posthog or segment."""
    words = [peers.python(name), str(peers.HERE / "client.py"), name, url]
    return Talk(words, peers.environment())
