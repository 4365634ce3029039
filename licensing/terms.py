"""How the license in force stands, and under what terms events go out: derived."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from common import setup
from common.models import Setup
from licensing import checking, states
from licensing.models import License
from licensing.states import State


@dataclass(frozen=True)
class Terms:
    """Under what events go out now.

    ``hold`` is None when they may, else why not: ``setup``, ``disconnected``,
    ``no_license``, ``waiting_for_keys``, ``provisional``, ``not_valid`` or
    ``no_subscription_id``. ``released_at`` is when the last of these ended; None while
    events are held. ``bearer`` says whether the license is sent along.
    """

    subscription_id: str | None
    license_id: int | None
    hold: str | None
    released_at: datetime | None
    bearer: bool


@dataclass(frozen=True)
class Standing:
    """The license in force, how it stands, and under what events go out.

    With the operation mode and when set-up was finished, from the same reading.
    """

    license: License | None
    state: State
    terms: Terms
    mode: str
    finished_at: datetime | None

    @property
    def connected(self) -> bool:
        """Return whether this server may reach the vendor by itself."""
        return self.mode == "connected"


def current() -> License | None:
    """Return the license in force, whatever its state; None when there is none."""
    return License.objects.filter(current=True).first()


def state(now: datetime) -> State:
    """Return how the current license stands at ``now``."""
    return standing(now).state


def delivery_terms(now: datetime) -> Terms:
    """Return whether events may go out, under which subscription, and since when."""
    return standing(now).terms


def standing(now: datetime, set_up: Setup | None = None) -> Standing:
    """Return the current license, its state and the terms it gives, read at once.

    Args:
        now: The moment.
        set_up: How set-up stands, when the request has read it already.
    """
    row = setup.read() if set_up is None else set_up
    found = current()
    mode = setup.mode_of(row)
    now_is = states.state_at(
        checking.facts_of(found), now, disconnected=mode == "disconnected"
    )
    terms = _terms(row, mode, found, now_is)
    return Standing(found, now_is, terms, mode, row.finished_at)


def _terms(row: Setup, mode: str, found: License | None, now_is: State) -> Terms:
    hold = _hold(row, mode, found, now_is)
    if hold or found is None:
        subscription = found.subscription_id if found else None
        return Terms(subscription, found.pk if found else None, hold, None, True)
    moments = [row.finished_at, row.mode_changed_at, _usable_since(found)]
    return Terms(
        found.subscription_id,
        found.pk,
        None,
        max(at for at in moments if at),
        found.kind == License.Kind.JWT,
    )


def _usable_since(found: License) -> datetime:
    """Return since when events may go out under this subscription without a break.

    Replacing a license by another of the same subscription interrupts nothing: what
    waits for the receiver goes on waiting.
    """
    moments = (found.applied_at, found.checked_at, found.not_before)
    since = max(at for at in moments if at)
    before = License.objects.filter(
        pk__lt=found.pk,
        ended_at=since,
        ended_reason=License.Ended.REPLACED,
        subscription_id=found.subscription_id,
    ).first()
    if before is None:
        return since
    then = checking.state_of(before, since)
    return _usable_since(before) if then.usable and not then.provisional else since


def _hold(row: Setup, mode: str, found: License | None, now_is: State) -> str | None:
    if row.finished_at is None:
        return "setup"
    if found is None:
        return "no_license"
    if mode == "disconnected":
        return "provisional" if now_is.provisional else "disconnected"
    if now_is.phase == "waiting":
        return "waiting_for_keys"
    if not now_is.usable:
        return "not_valid"
    return None if found.subscription_id else "no_subscription_id"
