"""Write the support bundle to a file: ``manage.py support_bundle --output FILE``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from common.models import Via
from nms_admin import bundle
from nms_admin.people import COMMAND_LINE


class Command(BaseCommand):
    """Write a ZIP (0600) that tells how this installation is, without its secrets."""

    help = "Write the support bundle to a new file that only this user can read."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--output", required=True, type=Path)

    def handle(self, *_args: Any, **options: Any) -> None:
        path: Path = options["output"]
        if path.exists():
            raise CommandError(f"{path} exists already; name another file.")
        now = timezone.now()
        content = bundle.write(now, actor=COMMAND_LINE, via=Via.COMMAND)
        try:
            new = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(path, new, 0o600), "wb") as file:
                file.write(content)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
        self.stdout.write(f"{path}: {len(content):,} bytes, secrets taken out.")
