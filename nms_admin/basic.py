"""Basic authentication of the API: never the session, locked out before hashing."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import time
from collections import OrderedDict
from datetime import datetime, timedelta
from threading import Lock
from typing import NamedTuple

from django.contrib.auth import authenticate
from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables
from ninja.errors import HttpError
from ninja.security.http import HttpAuthBase

from common.access import client_address
from common.signals import api_signed_in
from nms_admin import lockout
from nms_admin.models import User
from nms_admin.sign_in import MANY, PASSWORD_MOST, locked_sentence

KEPT_SECONDS = 60
KEPT_MOST = 1000
LOGIN_EVERY = timedelta(minutes=15)


class TooManyTries(HttpError):
    """The name or the address is locked; ``retry_after`` seconds remain."""

    def __init__(self, until: datetime, now: datetime) -> None:
        self.retry_after = max(1, int((until - now).total_seconds()) + 1)
        super().__init__(429, f"{MANY}. {locked_sentence(until)}")


class Verified(NamedTuple):
    """An account whose password was right a moment ago."""

    user_id: int
    account: str  # changes with password, role and epoch
    until: float


_key = secrets.token_bytes(32)
_verified: OrderedDict[bytes, Verified] = OrderedDict()
_lock = Lock()


class Basic(HttpAuthBase):
    """Give ``request.user`` from the Authorization header; 401 or 429 otherwise."""

    openapi_scheme = "basic"

    def __call__(self, request: HttpRequest) -> User | None:
        """Return the active account the header names; None answers 401."""
        user = _account(request, timezone.now())
        if user is not None:
            request.user = user
        return user


@sensitive_variables()
def credentials(header: str) -> tuple[str, str] | None:
    """Return user name and password of a Basic header; None when it is not one."""
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    name, colon, password = pair.partition(":")
    if not colon:
        return None
    return lockout.typed_name(name), password[:PASSWORD_MOST]


@sensitive_variables()
def _account(request: HttpRequest, now: datetime) -> User | None:
    pair = credentials(request.headers.get("Authorization", ""))
    if pair is None:
        return None
    name, password = pair
    _refuse_locked(request, name, now)
    digest = hmac.digest(_key, f"{name}\0{password}".encode(), "sha256")
    user = _remembered(digest)
    if user is not None:
        return user
    user = authenticate(request, username=name, password=password)
    if not isinstance(user, User):
        _refuse_locked(request, name, now)
        return None
    lockout.forgive(name)
    _remember(digest, user)
    _announce(user, now)
    return user


def _refuse_locked(request: HttpRequest, name: str, now: datetime) -> None:
    stands = lockout.standing(name, client_address(request), now=now)
    if stands.locked_until:
        raise TooManyTries(stands.locked_until, now)


def _remembered(digest: bytes) -> User | None:
    """Return the account verified less than a minute ago, when nothing changed."""
    with _lock:
        kept = _verified.get(digest)
    if kept is None or kept.until < time.monotonic():
        return None
    user = User.objects.filter(pk=kept.user_id, is_active=True).first()
    if user is None or user.get_session_auth_hash() != kept.account:
        return None
    return user


def _remember(digest: bytes, user: User) -> None:
    until = time.monotonic() + KEPT_SECONDS
    with _lock:
        _verified[digest] = Verified(user.pk, user.get_session_auth_hash(), until)
        while len(_verified) > KEPT_MOST:
            _verified.popitem(last=False)


def _announce(user: User, now: datetime) -> None:
    """Send ``api_signed_in`` unless the account did so less than 15 minutes ago."""
    before = Q(api_login_at=None) | Q(api_login_at__lte=now - LOGIN_EVERY)
    with transaction.atomic():
        if User.objects.filter(before, pk=user.pk).update(api_login_at=now):
            api_signed_in.send(sender=User, user=user, now=now)
