"""``manage.py reset_password``: set a password when nobody can sign in to do it."""

from __future__ import annotations

from getpass import getpass
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from common.models import Via
from nms_admin import passwords, people
from nms_admin.models import User


class Command(BaseCommand):
    help = "Set a user's password, end their sessions and unlock them."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--password-file", default="", help="read it from this file"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['username']}.")
        try:
            password = _password(options["password_file"])
            validate_password(password, user)
        except (ValueError, ValidationError) as error:
            reasons = getattr(error, "messages", [str(error)])
            raise CommandError(" ".join(reasons)) from None
        by = people.By(people.COMMAND_LINE, timezone.now(), via=Via.COMMAND)
        people.set_password(user, password, by)
        self.stdout.write(
            f"The password of {user.username} is set; sessions have ended."
        )
        if not user.is_active:
            self.stdout.write(
                "This user is deactivated: an administrator can activate it."
            )


def _password(file: str) -> str:
    if file:
        return passwords.read_file(file)
    password = getpass("New password: ")
    if getpass("Once more: ") != password:
        raise ValueError("The two are not the same. Nothing was changed.")
    return password
