"""``manage.py audit verify``: check the chain from its first record to its head."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import services


class Command(BaseCommand):
    help = "Check that no record of the audit chain was changed or removed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["verify", "head"])

    def handle(self, *_args: Any, **options: Any) -> None:
        count, digest = services.head()
        if options["action"] == "verify" and (broken := services.verify()):
            raise CommandError(f"The chain is broken: {broken.reason}.")
        word = "unbroken, " if options["action"] == "verify" else ""
        self.stdout.write(f"{word}{count} records, head {digest}")
