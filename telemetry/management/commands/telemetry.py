"""Print exactly what would be sent next, and why it is or is not."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import timezone

from common import setup
from licensing import services as licensing
from telemetry import services

KINDS = {
    "sealed": "A sealed batch waits; these bytes are sent next.",
    "next": "These bytes would be sealed and sent now.",
    "held": "Events are held; the subscription ID comes with the license.",
    "example": "Nothing waits. This is an example made of the catalogue.",
}


class Command(BaseCommand):
    help = "Print the next document byte for byte (preview), or why it waits (explain)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="what", required=True)
        commands.add_parser("preview", help="print the next document")
        commands.add_parser("explain", help="say what decides about it")

    def handle(self, *_: Any, **options: Any) -> None:
        now = timezone.now()
        if options["what"] == "preview":
            shown = services.preview(now)
            self.stderr.write(f"{KINDS[shown.kind]} SHA-256 {shown.digest}")
            self.stdout.write(shown.body.decode(), ending="")
            return
        terms = licensing.delivery_terms(now)
        on = licensing.connection_on()
        lines = {
            "Continuous Connection": "on" if on else "off: nothing is recorded or sent",
            "Choice in force": f"number {licensing.connection_number()}",
            "DO_NOT_TRACK": "set" if settings.DO_NOT_TRACK else "not set",
            "Set-up": "finished" if setup.finished_at() else "not finished",
            "Operation mode": setup.operation_mode(),
            "License": f"events are held: {terms.hold}"
            if terms.hold
            else "events may go",
            "Subscription": terms.subscription_id or "none",
            "Receiver": settings.NMS_TELEMETRY_URL or "none set",
        }
        for name, value in lines.items():
            self.stdout.write(f"{name}: {value}")
