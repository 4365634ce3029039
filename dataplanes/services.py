"""Register data planes, see them again, remove them; issue and revoke agent tokens."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F

from audit import services as audit
from common import faults
from common.models import Via
from dataplanes.errors import ChangeRefused
from dataplanes.models import AgentToken, DataPlane, Refusals
from dataplanes.reading import Sighting, text
from dataplanes.signals import data_plane_registered

NAME_LENGTH = 80


@dataclass(frozen=True)
class By:
    """Who changes something, from where and when."""

    actor: str
    now: datetime
    address: str = ""


def sighted(system_uid: str, sighting: Sighting, *, now: datetime) -> bool:
    """Note that a data plane showed itself; register it when it is the first time.

    The registration and what others record of it are one transaction. A data plane
    that was removed is listed again and not registered a second time.

    Args:
        system_uid: The agent's identity, not blank.
        sighting: What it told; only one that shows an NGINX registers.
        now: When it arrived.

    Returns:
        Whether this was the registration.
    """
    if _note(system_uid, sighting, now) or not sighting.shows_nginx:
        return False
    faults.reach("dpm.before_insert")
    with transaction.atomic():
        if not _add(system_uid, sighting, now):  # another stream was first
            _note(system_uid, sighting, now)
            return False
        data_plane_registered.send(sender=DataPlane, now=now)
    faults.reach("dpm.before_answer")
    return True


def _note(system_uid: str, sighting: Sighting, now: datetime) -> bool:
    changes: dict[str, Any] = {**sighting.facts, "seen_at": now}
    if sighting.shows_nginx:
        changes["removed_at"] = None
    known = DataPlane.objects.filter(system_uid=system_uid)
    return bool(known.update(**changes))


def _add(system_uid: str, sighting: Sighting, now: datetime) -> bool:
    moments = {"registered_at": now, "seen_at": now}
    try:
        with transaction.atomic():
            DataPlane.objects.create(system_uid=system_uid, **moments, **sighting.facts)
    except IntegrityError:
        return False
    return True


def remove(pk: int, by: By) -> DataPlane:
    """Take a data plane off the list; it stays known, and comes back if it reports.

    Raises:
        ChangeRefused: There is none with this number, or it was removed before.
    """
    with transaction.atomic():
        listed = DataPlane.objects.filter(pk=pk, removed_at=None)
        if not listed.update(removed_at=by.now):
            raise ChangeRefused("not_listed", "This data plane is not listed any more.")
        removed = DataPlane.objects.get(pk=pk)
        _audit("data_plane.removed", removed.name or removed.system_uid, by)
    return removed


def issue_token(name: str, by: By) -> tuple[AgentToken, str]:
    """Make a token agents may come with; return its row and, this once, the token.

    Raises:
        ChangeRefused: The name is missing or taken.
    """
    name = text(name.encode(errors="replace"), NAME_LENGTH)
    if not name:
        raise ChangeRefused("no_name", "Enter a name, such as the site it is for.")
    token = secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            issued = AgentToken.objects.create(
                name=name, digest=digest(token), issued_at=by.now, issued_by=by.actor
            )
            _audit("agent_token.issued", name, by)
    except IntegrityError:
        raise ChangeRefused(
            "name_taken", "There is already a token with this name."
        ) from None
    return issued, token


def revoke_token(pk: int, by: By) -> AgentToken:
    """End a token: agents that come with it are refused from now on.

    Raises:
        ChangeRefused: There is none with this number, or it was revoked before.
    """
    with transaction.atomic():
        valid = AgentToken.objects.filter(pk=pk, revoked_at=None)
        if not valid.update(revoked_at=by.now, revoked_by=by.actor):
            raise ChangeRefused("not_in_force", "This token is not in force any more.")
        revoked = AgentToken.objects.get(pk=pk)
        _audit("agent_token.revoked", revoked.name, by)
    return revoked


def digest(token: str) -> str:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def digests_in_force() -> set[str]:
    """Return the digests of the tokens that let an agent in."""
    valid = AgentToken.objects.filter(revoked_at=None)
    return set(valid.values_list("digest", flat=True))


def token_used(used: str, *, now: datetime) -> None:
    """Note that an agent came with the token of this digest."""
    AgentToken.objects.filter(digest=used).update(used_at=now)


def count_refusals(counts: Counter[str], *, now: datetime) -> None:
    """Add to today's counts of agents that were refused, by reason."""
    day = now.astimezone(UTC).date()
    for reason, number in counts.items():
        row, _ = Refusals.objects.get_or_create(day=day, reason=reason)
        Refusals.objects.filter(pk=row.pk).update(count=F("count") + number)


def _audit(action: str, subject: str, by: By) -> None:
    audit.record(
        action,
        now=by.now,
        actor=by.actor,
        via=Via.SETTINGS,
        subject=subject,
        address=by.address,
    )
