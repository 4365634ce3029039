"""Back up the installation: ``manage.py backup --output FILE``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from nms_admin import backup
from nms_admin.archive import Refused


class Command(BaseCommand):
    """Write database and keys into one file that only this user can read."""

    help = "Back up database and keys into one new file; the console may run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", required=True, type=Path)

    def handle(self, *_args: Any, **options: Any) -> None:
        path: Path = options["output"].absolute()
        try:
            manifest = backup.make(path, timezone.now())
        except Refused as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"{path}: version {manifest.version}, {path.stat().st_size:,} bytes. It"
            " holds the keys: keep it as you keep passwords."
        )
