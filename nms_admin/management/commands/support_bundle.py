"""Write the support bundle to a file: ``manage.py support_bundle --output FILE``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from common.models import Via
from nms_admin import bundle


class Command(BaseCommand):
    """Write a ZIP that tells how this installation is, without its secrets."""

    help = "Write the support bundle to a file; existing files are not overwritten."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", required=True, type=Path)

    def handle(self, *_args: Any, **options: Any) -> None:
        path: Path = options["output"]
        if path.exists():
            raise CommandError(f"{path} exists already; name another file.")
        content = bundle.write(timezone.now(), actor="command", via=Via.COMMAND)
        try:
            with path.open("xb") as file:
                file.write(content)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
        self.stdout.write(f"{path}: {len(content):,} bytes, secrets taken out.")
