"""``manage.py serve``: the whole installation on this host, in the foreground."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.utils import timezone

from common import locks
from dataplanes import address
from nms_admin import serving, setup_code, start_up, supervisor
from nms_admin.checks import TAG
from nms_admin.processes import Process, all_processes


class Command(BaseCommand):
    help = "Start core, integrations, scheduler, dpm and, in sandbox mode, the sandbox."
    requires_system_checks: list[str] = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        os.umask(0o077)  # the processes inherit it: their files are this user's alone
        try:
            lock = serving.hold(settings.NMS_DATA_DIR)
        except serving.AlreadyRunning as error:
            raise CommandError(str(error)) from None
        _refuse_misfit()
        for port in _ports():
            _refuse_taken(port)
        _refuse_unbuilt()
        with start_up.alone():
            call_command("migrate", verbosity=0, interactive=False)
            _keep_private(settings.NMS_DATA_DIR)
            start_up.prepare(timezone.now())
        serving.remember(settings.NMS_DATA_DIR, os.environ)
        processes = all_processes()
        self._greet(processes)
        connections.close_all()
        os.set_inheritable(lock.fileno(), True)
        os.chdir(settings.BASE_DIR)
        supervisor.become((each.name, each.command) for each in processes)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _greet(self, processes: list[Process]) -> None:
        self._say(f"\nNGINX Management Suite admin {settings.VERSION}")
        self._say(f"  Open       {settings.NMS_PUBLIC_URL}/")
        if code := setup_code.new_code(timezone.now()):
            self._say(f"  Setup code {code} (for 60 minutes)")
        self._say(f"  Data       {settings.NMS_DATA_DIR}")
        if settings.SANDBOX:
            self._say(
                "  Mode       sandbox: nothing leaves this host; F5 is played by a"
                " test receiver"
            )
        if settings.DO_NOT_TRACK:
            self._say("  DO_NOT_TRACK=1 locks both choices off: nothing is sent")
        for name in (locks.TELEMETRY, locks.INTERACTION_DATA):
            if lock := locks.of_file(name):
                state = "on" if locks.against(name, False) else "off"
                self._say(f"  Policy     {name} is {state}. {lock.sentence}")
        for process in processes:
            self._say(f"  {process.name:<13}{process.purpose}")
        self._say("  Stop with Ctrl-C.\n")


def _keep_private(folder: Path) -> None:
    """Close the database's files to others, also those an older version made."""
    for file in folder.glob("nms-admin.sqlite3*"):
        with contextlib.suppress(OSError):  # another user's, or just gone
            file.chmod(0o600)


def _refuse_unbuilt() -> None:
    if not (settings.STATIC_ROOT / "staticfiles.json").exists():
        raise CommandError(
            "The front end is not built. Start with `make run`, or build it with"
            " `make staticfiles/.collected`."
        )


def _refuse_misfit() -> None:
    """Refuse settings that contradict each other; warn about what may be meant."""
    found = run_checks(tags=[TAG])
    log = structlog.get_logger(__name__)
    for message in found:
        log.warning("setting", id=message.id, says=message.msg, hint=message.hint)
    if errors := [message for message in found if message.is_serious()]:
        raise CommandError(" ".join(f"{one.msg} {one.hint}" for one in errors))


def _ports() -> list[tuple[str, int, str]]:
    found = [
        (settings.NMS_BIND, settings.NMS_PORT, "NMS_PORT"),
        (*address.bound(), "NMS_DPM_BIND"),
    ]
    if settings.SANDBOX:
        found += [
            ("127.0.0.1", settings.NMS_SANDBOX_PORT, "NMS_SANDBOX_PORT"),
            (
                "127.0.0.1",
                settings.NMS_SANDBOX_COLLECTOR_PORT,
                "NMS_SANDBOX_COLLECTOR_PORT",
            ),
        ]
    return found


def _refuse_taken(port: tuple[str, int, str]) -> None:
    host, number, name = port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            raise CommandError(
                f"Port {number} on {host} cannot be used ({error.strerror}). Stop what"
                f" uses it, or set {name} to another port."
            ) from None
