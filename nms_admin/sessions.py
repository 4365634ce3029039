"""Sessions: 30 minutes idle, 12 hours in all; listed and ended by their owner."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from common.access import client_address
from common.pruning import delete_some
from nms_admin.models import Session, User

# What a page asks by itself, without anybody at the keyboard.
BACKGROUND_ROUTES = {"health-rows", "interaction-data-permission"}
SEEN_EVERY = timedelta(minutes=1)


def stored(key: str) -> str:
    """Return what the table holds of a cookie's key, so that no copy of it signs in."""
    return hashlib.sha256(key.encode()).hexdigest()[:40]


class SessionStore(DatabaseStore):
    """Sessions in our own table, which knows whose they are and when last seen.

    The cookie's key is stored as its digest alone.
    """

    row: Session | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """Return the table."""
        return Session

    def _get_session_from_db(self) -> Session | None:
        now = timezone.now()
        self.row = Session.objects.filter(
            pk=stored(self.session_key or ""),
            expire_date__gt=now,
            seen_at__gt=now - settings.SESSION_IDLE,
        ).first()
        if self.row is None:
            self._session_key = None
        return self.row

    def exists(self, session_key: str) -> bool:
        """Return whether a key is taken."""
        return super().exists(stored(session_key))

    def delete(self, session_key: str | None = None) -> None:
        """End the session of a key, by default this one."""
        if key := session_key or self.session_key:
            super().delete(stored(key))

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        """Return the row to store, with what the list of sessions shows."""
        row: Session = super().create_model_instance(data)  # type: ignore[assignment]
        row.session_key = stored(row.session_key)
        row.user_id = int(data[SESSION_KEY]) if SESSION_KEY in data else None
        row.address = data.get("address", "")
        row.agent = data.get("agent", "")
        row.seen_at = timezone.now()
        self.row = row
        return row


def keep_alive(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Extend the session of whoever opens a page; at most one write a minute."""

    def handle(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        row, match = getattr(request.session, "row", None), request.resolver_match
        if row and row.user_id and match and match.url_name not in BACKGROUND_ROUTES:
            now = timezone.now()
            if now - row.seen_at >= SEEN_EVERY:
                Session.objects.filter(pk=row.pk).update(seen_at=now)
        return response

    return handle


def begin(request: HttpRequest, *, now: datetime) -> None:
    """Fix the end of a session that just began, and from where it came."""
    length = timedelta(seconds=settings.SESSION_COOKIE_AGE)
    request.session.set_expiry(now + length)
    request.session["address"] = client_address(request)
    request.session["agent"] = request.headers.get("User-Agent", "")[:200]
    request.session.save()


def ends_at(request: HttpRequest, *, now: datetime) -> datetime | None:
    """Return when this session ends if nothing more is done; None without one."""
    row = getattr(getattr(request, "session", None), "row", None)
    if row is None or row.user_id is None:
        return None
    end: datetime = min(now + settings.SESSION_IDLE, row.expire_date)
    return end


def of(user: User, *, now: datetime) -> list[Session]:
    """Return the sessions of a user that are alive, the last seen first."""
    alive = Session.objects.filter(
        user=user, expire_date__gt=now, seen_at__gt=now - settings.SESSION_IDLE
    )
    return list(alive.order_by("-seen_at"))


def end(user: User, *, keep: str | None = None, only: str = "") -> int:
    """End the sessions of a user but the one with the key ``keep``; return how many.

    Args:
        only: The handle of the one to end; empty for all.
    """
    rows = Session.objects.filter(user=user).exclude(pk=stored(keep or ""))
    if only:
        rows = rows.filter(pk__in=[row.pk for row in rows if row.handle() == only])
    ended, _ = rows.delete()
    return ended


def prune(*, now: datetime) -> int:
    """Delete a portion of the sessions that have ended by themselves; return how many."""
    idle = Q(seen_at__lte=now - settings.SESSION_IDLE)
    return delete_some(Session.objects.filter(Q(expire_date__lte=now) | idle))
