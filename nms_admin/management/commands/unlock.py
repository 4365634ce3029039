"""``manage.py unlock``: give a user name or an address its tries back."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from common.models import Via
from nms_admin import lockout, people


class Command(BaseCommand):
    help = "End the wait after too many wrong passwords, of a user name or an address."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", nargs="?", default="")
        parser.add_argument("--address", default="", help="an IP address")

    def handle(self, *_args: Any, **options: Any) -> None:
        name, address = options["username"], options["address"]
        if bool(name) == bool(address):
            raise CommandError("Name one: a user name, or --address.")
        if name:
            by = people.By(people.COMMAND_LINE, timezone.now(), via=Via.COMMAND)
            forgiven = people.unlock(name, by)
        else:
            forgiven = lockout.forgive(address=address)
        who = name or address
        self.stdout.write(
            f"{who} can try again." if forgiven else f"{who} was not locked."
        )
