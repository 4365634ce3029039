"""``manage.py sandbox_license``: print a license the sandbox accepts."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser


class Command(BaseCommand):
    help = "Print a license for the sandbox; refused in live mode."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--type", choices=["paid", "eval"], default="paid")
        parser.add_argument("--days", type=int, default=365)
        parser.add_argument("--subscription")

    def handle(self, *_args: Any, **options: Any) -> None:
        if not settings.SANDBOX:
            raise CommandError("This server runs in live mode; use a license of MyF5.")
        command = [sys.executable, "-m", "sandbox", "license"]
        command += ["--data", str(settings.NMS_DATA_DIR / "sandbox")]
        command += ["--port", str(settings.NMS_SANDBOX_PORT)]
        command += ["--type", options["type"], "--days", str(options["days"])]
        if options["days"] < 0:  # it ended already, so it was issued before that
            command += ["--issued-days-ago", str(365 - options["days"])]
        if options["subscription"]:
            command += ["--subscription", options["subscription"]]
        done = subprocess.run(  # noqa: S603  (our own command)
            command, cwd=settings.BASE_DIR, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CommandError(done.stderr.strip())
        self.stdout.write(done.stdout.strip())
