"""``manage.py license``: how the license stands, in the words of the page."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from licensing import keys, shape, stories
from licensing import services as licensing
from nms_admin import attention
from usage import ledger


class Command(BaseCommand):
    help = "Show how the license stands and what to do; connects to nobody."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        found = _report(timezone.now())
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=2, ensure_ascii=False))
            return
        for label, name in (
            ("license", "name"),
            ("state", "word"),
            ("type", "type"),
            ("status", "status"),
            ("valid to", "ends_on"),
            ("grace to", "grace_ends_on"),
            ("report by", "report_by"),
            ("connection", "continuous_connection"),
            ("last error", "entitlements_error"),
        ):
            if found[name]:
                self.stdout.write(f"  {label:<11}{found[name]}")
        for line in (found["title"], found["text"], found["hold"]):
            if line:
                self.stdout.write(line)


def _report(now: datetime) -> dict[str, Any]:
    """Return what the License page says, without the text of the license."""
    standing = licensing.standing(now)
    found, state = standing.license, standing.state
    wrong = found.check_error if found else ""
    checked = bool(found and found.checked_at)
    _, word = stories.pill(state, checked=checked, check_error=wrong)
    story = attention.license_story(standing, keys.held(), now)
    due = ledger.report_by(ledger.last_accepted(), standing)
    return {
        "name": licensing.name_of(found) if found else "",
        "word": word or "None",
        "phase": state.phase,
        "provisional": state.provisional,
        "status": shape.word(standing),
        "type": ("Trial" if state.trial else "Paid") if found and state.ends_on else "",
        "ends_on": _day(state.ends_on),
        "grace_ends_on": "" if state.trial else _day(state.grace_ends_on),
        "days_left": state.days_left,
        "warn_stage": state.warn_stage,
        "report_by": _day(due),
        "operation_mode": standing.mode,
        "continuous_connection": "on" if licensing.connection_on() else "off",
        "entitlements_error": found.entitlements_error if found else "",
        "title": story.title if story else "",
        "text": story.body if story else "",
        "hold": stories.HOLDS.get(standing.terms.hold or "", ""),
    }


def _day(day: date | None) -> str:
    return day.isoformat() if day else ""
