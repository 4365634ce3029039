"""Look at the outbox, or empty it once by hand."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from telemetry import delivery, services


class Command(BaseCommand):
    help = "Say what waits to be sent (status), or send what is due now (drain)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="what", required=True)
        status = commands.add_parser("status", help="say what waits and why")
        status.add_argument("--json", action="store_true", help="for programs")
        drain = commands.add_parser("drain", help="send what is due")
        drain.add_argument("--once", action="store_true", required=True)

    def handle(self, *_: Any, **options: Any) -> None:
        if options["what"] == "drain":
            delivered = delivery.deliver(timezone.now)
            self.stdout.write(f"{delivered} events were accepted.")
            return
        found = services.status(timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        for name, value in found.items():
            self.stdout.write(f"{name}: {'none' if value is None else value}")
