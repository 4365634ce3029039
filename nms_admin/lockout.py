"""Guessing passwords is cut short before any hashing: by name and by address.

A try is counted before its password is looked at and forgotten when it was right, so
that many guesses at once get no further than as many one after the other. Names that
do not exist are counted like those that do; as people type a password there by mistake,
what is counted is stored as a digest, and a name nobody has is recorded as that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import IntegrityError, transaction
from django.db.models import F, Q, Sum
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from audit.models import Record
from audit.services import head, record
from common.access import client_address
from common.models import Via
from common.pruning import delete_some

NAME_LIMIT: int = settings.AXES_FAILURE_LIMIT
ADDRESS_LIMIT = 20
WAIT: timedelta = settings.AXES_COOLOFF_TIME
VIA_SIGN_IN = "sign_in"
NOBODY = "an unknown name"


@dataclass(frozen=True)
class Standing:
    """How many tries a name from an address still has, or until when it has none."""

    tries_left: int
    locked_until: datetime | None


def standing(name: str, address: str, *, now: datetime) -> Standing:
    """Return how a name and an address stand, with one query."""
    counted = _digest(name)
    rows = AccessAttempt.objects.filter(
        Q(username=counted) | Q(ip_address=address or None, ip_address__isnull=False),
        attempt_time__gt=now - WAIT,
    ).values_list("username", "ip_address", "failures_since_start", "attempt_time")
    by_name = [(row[2], row[3]) for row in rows if row[0] == counted]
    by_address = [(row[2], row[3]) for row in rows if address and row[1] == address]
    ends = [_locked_until(by_name, NAME_LIMIT)]
    ends.append(_locked_until(by_address, ADDRESS_LIMIT))
    left = min(NAME_LIMIT - _total(by_name), ADDRESS_LIMIT - _total(by_address))
    return Standing(max(left, 0), max(filter(None, ends), default=None))


def _total(rows: Iterable[tuple[int, datetime]]) -> int:
    return sum(failures for failures, _ in rows)


def _locked_until(rows: list[tuple[int, datetime]], limit: int) -> datetime | None:
    """Return when enough tries are older than the wait; None below the limit."""
    total, until = _total(rows), None
    for failures, at in sorted(rows, key=lambda row: row[1]):
        if total >= limit:
            until = at + WAIT
        total -= failures
    return until


def _digest(name: str) -> str:
    return salted_hmac(__name__, name, algorithm="sha256").hexdigest()


def locked(names: Iterable[str], *, now: datetime) -> set[str]:
    """Return those of the names that have no try left."""
    rows = (
        AccessAttempt.objects.filter(attempt_time__gt=now - WAIT)
        .order_by()
        .values("username")
    )
    counted = rows.annotate(tries=Sum("failures_since_start"))
    full = {row["username"] for row in counted if row["tries"] >= NAME_LIMIT}
    return {name for name in names if full and _digest(name) in full}


def claim(name: str, address: str, *, now: datetime) -> bool:
    """Count a try before it is made; False, and nothing counted, when none is left."""
    if standing(name, address, now=now).locked_until:
        return False
    mine = AccessAttempt.objects.filter(
        username=_digest(name), ip_address=address or None, user_agent=""
    )
    more = {"failures_since_start": F("failures_since_start") + 1, "attempt_time": now}
    past = AccessAttempt.objects.filter(attempt_time__lte=now - WAIT)
    (past & mine).delete()  # what a new count begins without
    delete_some(past)
    if not mine.update(**more):
        try:
            with transaction.atomic():
                _first_try(name, address, now)
        except IntegrityError:  # somebody else's first try came in between
            mine.update(**more)
    if _is_over(name, address, now):
        mine.update(failures_since_start=F("failures_since_start") - 1)
        return False
    return True


def _first_try(name: str, address: str, now: datetime) -> None:
    row = AccessAttempt.objects.create(
        username=_digest(name),
        ip_address=address or None,
        user_agent="",
        http_accept="",
        path_info="",
        get_data="",
        post_data="",
        failures_since_start=1,
    )
    AccessAttempt.objects.filter(pk=row.pk).update(attempt_time=now)


def _is_over(name: str, address: str, now: datetime) -> bool:
    rows = AccessAttempt.objects.filter(attempt_time__gt=now - WAIT)
    named = rows.filter(username=_digest(name)).values_list(
        "failures_since_start", flat=True
    )
    if sum(named) > NAME_LIMIT:
        return True
    near = rows.filter(ip_address=address or None, ip_address__isnull=False)
    total: int = sum(near.values_list("failures_since_start", flat=True))
    return total > ADDRESS_LIMIT


def forgive(name: str = "", *, address: str = "") -> int:
    """Forget the failed tries of a name or of an address; return how many rows."""
    who = Q(username=_digest(name)) if name else Q(ip_address=address)
    deleted, _ = AccessAttempt.objects.filter(who).delete()
    return int(deleted)


def typed_name(text: str) -> str:
    """Return a typed user name as it is looked up and counted."""
    return text.replace("\0", "\ufffd").strip()[:150]


class Handler(AxesDatabaseHandler):  # type: ignore[misc]
    """What django-axes asks at every ``authenticate()``; logs no user name."""

    def is_allowed(
        self, request: HttpRequest, credentials: dict[str, Any] | None = None
    ) -> bool:
        """Claim a try for the name and the address; False before any hashing."""
        name = (credentials or {}).get("username") or ""
        now = request.axes_attempt_time  # type: ignore[attr-defined]
        allowed = claim(name, client_address(request), now=now)
        request.axes_locked_out = not allowed  # type: ignore[attr-defined]
        return allowed

    def user_login_failed(
        self, _sender: object, credentials: dict[str, Any], request: Any, **_: object
    ) -> None:
        """Write a failed try into the audit chain; a refused one leaves nothing."""
        if request is None or request.axes_locked_out:
            return
        name, address = credentials.get("username") or "", client_address(request)
        now = request.axes_attempt_time
        via = Via.API if request.path_info.startswith("/api/") else VIA_SIGN_IN
        subject = _known(name)
        facts = {"now": now, "subject": subject, "via": via, "address": address}
        with transaction.atomic():
            if not _recorded_this_minute(subject, now):
                record("user.sign_in_failed", **facts)
            until = standing(name, address, now=now).locked_until
            if until:
                record("user.locked", **facts, details={"until": until.isoformat()})

    def user_logged_in(
        self, _sender: object, _request: Any, user: Any, **_: Any
    ) -> None:
        """Forget the failed tries of who signed in."""
        forgive(user.get_username())

    def user_logged_out(
        self, sender: object, request: Any, user: Any, **_: Any
    ) -> None:
        """Signing out is recorded where it happens."""


def _known(name: str) -> str:
    """Return the name of an account; what else was typed may be a password."""
    known = get_user_model().objects.filter(username=name).exists()
    return name if known else NOBODY


def _recorded_this_minute(subject: str, now: datetime) -> bool:
    """Look among the newest records only: a minute does not hold more."""
    return Record.objects.filter(
        sequence__gt=head()[0] - 300,
        action="user.sign_in_failed",
        subject=subject[:200],
        at__gte=now.replace(second=0, microsecond=0),
    ).exists()
