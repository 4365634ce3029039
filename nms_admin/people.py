"""Add users, give roles and links, end access; each change in the audit chain."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import make_password
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import F

from audit.services import record
from common.models import Via
from common.roles import Role
from nms_admin import lockout, sessions
from nms_admin.models import User

LINK_LASTS = timedelta(hours=24)
COMMAND_LINE = "command line"


class ChangeRefused(Exception):
    """A change to users that is not made; the sentence says why."""


@dataclass(frozen=True)
class By:
    """Who changes something, through what, from where and when."""

    actor: str
    now: datetime
    via: str = Via.SETTINGS
    address: str = ""
    pk: int = 0  # of the administrator; 0 on the command line


def administrators() -> list[str]:
    """Return the names of those who may change everything, in order."""
    active = User.objects.filter(role=Role.ADMINISTRATOR, is_active=True)
    return list(active.order_by("username").values_list("username", flat=True))


def _note(action: str, user: User, by: By, **details: Any) -> None:
    record(
        action,
        now=by.now,
        actor=by.actor,
        via=by.via,
        subject=user.username,
        address=by.address,
        details=details,
    )


def _administrators_locked(by: By) -> set[int]:
    """Lock the active administrators until the change is made; ``by`` must be one."""
    active = User.objects.select_for_update().filter(
        role=Role.ADMINISTRATOR, is_active=True
    )
    keys = set(active.order_by("pk").values_list("pk", flat=True))
    if by.pk and by.pk not in keys:
        raise PermissionDenied
    return keys


def add_user(username: str, email: str, role: str, by: By) -> tuple[User, str]:
    """Add a user who sets a password with a one-time link; return both.

    Raises:
        ChangeRefused: The name is taken, in whatever case it is written.
    """
    with transaction.atomic():
        _administrators_locked(by)
        if User.objects.filter(username__iexact=username).exists():
            raise ChangeRefused("There is already a user with this name.")
        user = User(username=username, email=email, role=role)
        user.set_unusable_password()
        user.save()
        _note("user.added", user, by, role=role)
        return user, _fresh_link(user, by)


def make_link(pk: int, by: By) -> tuple[User, str]:
    """Give a user a new one-time link; an older one stops working."""
    with transaction.atomic():
        _administrators_locked(by)
        user = User.objects.select_for_update().get(pk=pk)
        if not user.is_active:
            raise ChangeRefused("Activate this user first.")
        return user, _fresh_link(user, by)


def _fresh_link(user: User, by: By) -> str:
    token = secrets.token_urlsafe(32)
    user.link_digest, user.link_ends_at = _digest(token), by.now + LINK_LASTS
    user.save(update_fields=["link_digest", "link_ends_at"])
    _note("user.link_made", user, by)
    return token


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def invited(token: str, *, now: datetime) -> User | None:
    """Return whom a one-time link is for; None when it is used, old or unknown."""
    return User.objects.filter(
        link_digest=_digest(token), link_ends_at__gt=now, is_active=True
    ).first()


def accept_link(token: str, password: str, *, now: datetime, address: str) -> bool:
    """Set the password of a one-time link's user, once; False when it is used up."""
    hashed = make_password(password)
    with transaction.atomic():
        user = invited(token, now=now)
        if user is None:
            return False
        by = By(user.username, now, via=lockout.VIA_SIGN_IN, address=address)
        return _store_password(user, hashed, by, link_digest=_digest(token))


def set_password(user: User, password: str, by: By, keep: str | None = None) -> None:
    """Change a password; ends every session but the one with the key ``keep``."""
    _store_password(user, make_password(password), by, keep=keep)


def _store_password(
    user: User, hashed: str, by: By, keep: str | None = None, **only_if: str
) -> bool:
    with transaction.atomic():
        stored = User.objects.filter(pk=user.pk, **only_if).update(
            password=hashed, link_digest="", link_ends_at=None
        )
        if not stored:
            return False
        user.refresh_from_db()
        sessions.end(user, keep=keep)
        lockout.forgive(user.username)
        _note("user.password_set", user, by)
    return True


def change_role(pk: int, role: str, by: By) -> User:
    """Give a user another role; ends their sessions.

    Raises:
        ChangeRefused: It is one's own role, or the last administrator's.
    """
    with transaction.atomic():
        keys = _administrators_locked(by)
        user = User.objects.select_for_update().get(pk=pk)
        if user.role == role:
            return user
        if user.pk == by.pk:
            raise ChangeRefused("You cannot change your own role.")
        _keep_one(keys, user)
        before, user.role = user.role, role
        user.save(update_fields=["role"])
        sessions.end(user)
        _note("user.role_changed", user, by, before=before, after=role)
    return user


def set_active(pk: int, active: bool, by: By) -> User:
    """Let a user in again, or shut them out and end their sessions and link.

    Raises:
        ChangeRefused: It would leave nobody who may change everything.
    """
    with transaction.atomic():
        keys = _administrators_locked(by)
        user = User.objects.select_for_update().get(pk=pk)
        if user.is_active == active:
            return user
        if not active:
            _keep_one(keys, user)
        User.objects.filter(pk=pk).update(
            is_active=active,
            session_epoch=F("session_epoch") + 1,
            link_digest="",
            link_ends_at=None,
        )
        sessions.end(user)
        _note("user.activated" if active else "user.deactivated", user, by)
        user.refresh_from_db()
    return user


def _keep_one(administrators: set[int], user: User) -> None:
    if administrators == {user.pk}:
        raise ChangeRefused("You cannot remove the last administrator.")


def end_sessions(pk: int, by: By, keep: str | None = None, only: str = "") -> int:
    """End a user's sessions but the one with the key ``keep``, or one by its handle."""
    with transaction.atomic():
        user = User.objects.select_for_update().get(pk=pk)
        ended = sessions.end(user, keep=keep, only=only)
        if ended:
            _note("user.sessions_ended", user, by, count=ended)
    return ended


def unlock(username: str, by: By) -> int:
    """Give a user name its tries back; return how many addresses had used some."""
    with transaction.atomic():
        forgiven = lockout.forgive(username)
        if forgiven:
            _note("user.unlocked", User(username=username), by)
    return forgiven


def rows(*, now: datetime) -> Sequence[tuple[User, str]]:
    """Return all users with a word for their state, administrators first."""
    order = {Role.ADMINISTRATOR: 0, Role.OPERATOR: 1, Role.VIEWER: 2}
    users = sorted(User.objects.all(), key=lambda u: (order[Role(u.role)], u.username))
    locked = lockout.locked([user.username for user in users], now=now)
    return [(user, _state(user, locked)) for user in users]


def _state(user: User, locked: set[str]) -> str:
    if not user.is_active:
        return "deactivated"
    if user.username in locked:
        return "locked"
    return "active" if user.has_usable_password() else "invited"
