"""``manage.py setup_code``: a new code for the first step of set-up."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from nms_admin.setup_code import new_code


class Command(BaseCommand):
    help = "Print a new setup code, good for 60 minutes; the one before ends."

    def handle(self, *_args: Any, **_options: Any) -> None:
        code = new_code(timezone.now())
        if code is None:
            raise CommandError("Set-up has its administrator already: sign in.")
        self.stdout.write(code)
