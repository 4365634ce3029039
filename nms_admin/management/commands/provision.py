"""``manage.py provision``: set this installation up without a browser."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from analytics import services as analytics
from analytics.errors import ChoiceRefused
from audit.services import record
from common import setup
from common.models import Setup, Via
from common.roles import Role
from licensing import services as licensing
from licensing.errors import ConnectionLocked, LicenseRejected
from licensing.reading import MOST_BYTES
from nms_admin import first_run, passwords
from nms_admin.models import User
from nms_admin.people import COMMAND_LINE, By


class Command(BaseCommand):
    help = "Make the first administrator, answer the set-up and finish it; idempotent."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", required=True)
        parser.add_argument("--password-file", required=True)
        parser.add_argument("--license", default="", help="a .jwt file")
        for name in ("--continuous-connection", "--interaction-data"):
            parser.add_argument(name, choices=["on", "off"])

    def handle(self, *_args: Any, **options: Any) -> None:
        now = timezone.now()
        try:
            password = passwords.read_file(options["password_file"])
            content = _content(options["license"])
            with transaction.atomic():
                done = [
                    _administrator(options["username"], password, now),
                    _connection(options["continuous_connection"], now),
                    _interaction(options["interaction_data"], now),
                    _license(content, now),
                    _finish(now),
                ]
                if any(done):
                    done.append(_notice())
        except ConnectionLocked as refusal:
            raise CommandError(str(refusal)) from None
        except (ValueError, LicenseRejected, ChoiceRefused) as refusal:
            raise CommandError(f"{refusal} Nothing was changed.") from None
        lines = [line for line in done if line]
        self.stdout.write("\n".join(lines) or "Nothing to do: it was done before.")


def _content(file: str) -> bytes:
    if not file:
        return b""
    try:
        with Path(file).open("rb") as opened:
            return opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"The license cannot be read: {error.strerror}.") from error


def _administrator(username: str, password: str, now: datetime) -> str:
    """Make the administrator unless there is exactly this one already."""
    known = User.objects.filter(username=username).first()
    if known:
        _check_known(known, password)
        return ""
    if setup.current().claimed_at:
        raise ValueError("Set-up has another administrator: add users in the console.")
    user = User(username=username, role=Role.ADMINISTRATOR)
    user.password = make_password(password)
    try:
        validate_password(password, user)
        user.full_clean()
    except ValidationError as error:
        raise ValueError(" ".join(error.messages)) from error
    user.save()
    claimed = Setup.objects.filter(pk=1, claimed_at=None)
    claimed.update(claimed_at=now, code_digest="", code_made_at=None)
    record(
        "setup.claimed", now=now, actor=COMMAND_LINE, via=Via.COMMAND, subject=username
    )
    return f"The administrator {username} is made."


def _check_known(user: User, password: str) -> None:
    if user.role != Role.ADMINISTRATOR or not user.is_active:
        raise ValueError(f"There is a user {user.username} who is no administrator.")
    if not user.check_password(password):
        raise ValueError(
            f"{user.username} has another password: use reset_password to change it."
        )


def _connection(answer: str | None, now: datetime) -> str:
    if answer is None:
        return ""
    on = answer == "on"
    added = licensing.set_connection(on=on, by=COMMAND_LINE, via=Via.COMMAND, now=now)
    return f"Continuous Connection is {answer}." if added else ""


def _interaction(answer: str | None, now: datetime) -> str:
    if answer is None:
        return ""
    on, before = answer == "on", analytics.choice()
    choice = analytics.set_choice(collect=on, by=COMMAND_LINE, via=Via.COMMAND, now=now)
    return f"Interaction data is {answer} for all users." if choice != before else ""


def _license(content: bytes, now: datetime) -> str:
    """Apply the license unless it is the current one."""
    if not content:
        return ""
    current = licensing.current()
    if (
        current
        and licensing.token(current.pk) == content.decode("ascii", "replace").strip()
    ):
        return ""
    try:
        added = licensing.apply_license(
            content=content,
            by=COMMAND_LINE,
            via=Via.COMMAND,
            now=now,
            replace=True,
            cautious=True,
        )
    except LicenseRejected as refusal:
        if not refusal.anyway:
            raise
        return f"{refusal.sentence} It was kept: replace it in the console."
    return f"The license {licensing.name_of(added)} is applied."


def _notice() -> str:
    """Return the privacy notice in short, while interaction data is on."""
    if not analytics.is_on():
        return ""
    to = "the test receiver" if settings.SANDBOX else "F5"
    return (
        f"Browsers will send page views and clicks to {to} once an administrator has"
        " seen the notice in the console. Opt out for all users: --interaction-data"
        f" off, or the user menu. F5 Privacy Notice: {settings.NMS_PRIVACY_NOTICE_URL}"
    )


def _finish(now: datetime) -> str:
    """Finish set-up; steps nobody answered keep what is the rule without an answer."""
    for step in ("Privacy", "Connectivity", "License"):
        first_run.answered(step, now)
    finished = first_run.finish(By(COMMAND_LINE, now, via=Via.COMMAND))
    return "Set-up is finished: sign in." if finished else ""
