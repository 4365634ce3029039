"""``manage.py doctor``: what this installation needs, and whether it has it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from egress import checks, destinations
from nms_admin import doctor

NO_CHECK = {
    "disconnected": "The vendor is not contacted in disconnected mode. Add --anyway to"
    " check once.",
    "": "The vendor is not contacted: the operation mode stands in the database. Add"
    " --anyway to check once.",
}


class Command(BaseCommand):
    help = "Check the settings, this host, and the way to the vendor; works unlicensed."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument(
            "--anyway",
            action="store_true",
            help="contact the vendor in disconnected mode, once",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        self.quiet = options["json"]
        mode = doctor.mode()
        report: dict[str, Any] = {
            "version": settings.VERSION,
            "at": timezone.now().isoformat(timespec="seconds"),
            "f5_mode": settings.NMS_F5_MODE,
            "operation_mode": mode,
            "proxy": destinations.masked(settings.NMS_PROXY_URL),
            "ca_bundle": settings.NMS_CA_BUNDLE,
        }
        self._head(report)
        report["facts"] = self._facts()
        report["targets"] = []
        report["not_checked"] = "" if options["anyway"] else NO_CHECK.get(mode, "")
        if report["not_checked"]:
            self._say(f"\n{report['not_checked']}")
        else:
            report["targets"] = self._targets()
        self._end(report)

    def _say(self, line: str) -> None:
        if not self.quiet:
            self.stdout.write(line)
            self.stdout.flush()

    def _head(self, report: dict[str, Any]) -> None:
        self._say(f"NGINX Management Suite admin {report['version']}, {report['at']}")
        mode = report["operation_mode"] or "not known"
        self._say(f"  mode     {report['f5_mode']}, {mode}")
        self._say(f"  proxy    {report['proxy'] or 'none'}")
        self._say(f"  own CA   {report['ca_bundle'] or 'none'}\n")

    def _facts(self) -> list[dict[str, Any]]:
        found = []
        for fact in doctor.local():
            self._say(f"  {checks.WORDS[fact.state]:<8}{fact.name:<14}{fact.found}")
            found.append(asdict(fact))
        return found

    def _targets(self) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for target, step in doctor.vendor(timezone.now):
            if target.name not in found:
                self._say(f"\n{target.label} ({target.purpose})")
                shown = {"label": target.label, "purpose": target.purpose, "steps": []}
                found[target.name] = shown
            self._say(checks.line(step))
            found[target.name]["steps"].append(asdict(step))
        return list(found.values())

    def _end(self, report: dict[str, Any]) -> None:
        states = [fact["state"] for fact in report["facts"]]
        states += [s["state"] for one in report["targets"] for s in one["steps"]]
        failed = states.count("failed")
        report["ok"] = not failed
        if self.quiet:
            self.stdout.write(json.dumps(report, indent=2))
        if failed:
            raise CommandError(f"{failed} of {len(states)} checks failed.")
        self._say("\nAll is well." if "warning" not in states else "\nIt works.")
