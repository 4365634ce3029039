"""Put a backup back: ``manage.py restore FILE``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from nms_admin import restore
from nms_admin.archive import Refused


class Command(BaseCommand):
    """Put a backup in the place of this installation, all of it or nothing."""

    help = "Restore a file of `manage.py backup`; the console must be stopped."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--replace",
            action="store_true",
            help="delete the installation that is here already",
        )
        parser.add_argument(
            "--moved",
            action="store_true",
            help="nothing ran after the backup: keep its choices, send what waits",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            manifest = restore.put_back(
                options["file"],
                timezone.now(),
                replace=options["replace"],
                moved=options["moved"],
            )
        except Refused as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"Restored what version {manifest.version} backed up at"
            f" {manifest.made_at}. Start the console, then see in Settings whether both"
            " choices stand as you want them."
        )
