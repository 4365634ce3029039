"""Print exactly what would be sent next, and why it is or is not."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from analytics import services as analytics
from common.reasons import Reason, as_json, lines
from telemetry import services, states

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
        explain = commands.add_parser("explain", help="say what decides about it")
        explain.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, *_: Any, **options: Any) -> None:
        now = timezone.now()
        if options["what"] == "preview":
            shown = services.preview(now)
            self.stderr.write(f"{KINDS[shown.kind]} SHA-256 {shown.digest}")
            self.stdout.write(shown.body.decode(), ending="")
            return
        self._explain(services.why(now), analytics.why_for_all(), options["as_json"])

    def _explain(
        self, events: list[Reason], browsers: list[Reason], as_document: bool
    ) -> None:
        outcome = states.outcome(events)
        collecting = all(one.says != "no" for one in browsers)
        if as_document:
            found = {
                "telemetry": {"outcome": outcome, "reasons": as_json(events)},
                "interactionData": {
                    "outcome": "sent" if collecting else "off",
                    "reasons": as_json(browsers),
                },
            }
            self.stdout.write(json.dumps(found, indent=2, ensure_ascii=False))
            return
        sent = "Browsers send." if collecting else "Browsers send nothing."
        for title, says, reasons in (
            ("Telemetry of this server", states.OUTCOMES[outcome], events),
            ("Interaction data", sent, browsers),
        ):
            self.stdout.write(f"{title}: {says}")
            for line in lines(reasons):
                self.stdout.write(f"  {line}")
