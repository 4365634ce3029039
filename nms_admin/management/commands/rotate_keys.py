"""New keys for this server: ``manage.py rotate_keys``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from nms_admin import rotation
from nms_admin.archive import Refused


class Command(BaseCommand):
    """Put new keys in force and seal everything anew, or drop the old ones."""

    help = "Make new keys and seal everything anew; the console must be stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--drop-old",
            action="store_true",
            help="make no new keys: forget all but the newest, which nothing needs",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        now = timezone.now()
        try:
            lines = _drop_old(now) if options["drop_old"] else _rotate(now)
        except Refused as error:
            raise CommandError(str(error)) from None
        lines.append("Copy the keys to every other host of this database now.")
        self.stdout.write("\n".join(lines))


def _rotate(now: datetime) -> list[str]:
    done = rotation.rotate(now)
    lines = [f"New keys are in force; {done.resealed} stored values are sealed anew."]
    if done.broken:
        lines.append(f"{done.broken} open with none of the keys and stay as they are.")
    if done.signing:
        lines.append("Whoever is signed in stays so.")
    else:
        lines.append(
            "Sessions are signed with NMS_SECRET_KEY, which is yours to change: write"
            " the new key in a line above the old one."
        )
    return lines


def _drop_old(now: datetime) -> list[str]:
    return [
        f"{rotation.drop_old(now)} old keys are dropped. Who has not used the console"
        " since the new ones were made signs in again."
    ]
