"""What a license allows at a moment: pure, and computed anew each time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

GRACE = timedelta(days=90)
TRIAL = timedelta(days=30)
PROVISIONAL = timedelta(days=90)
REPORT_WITHIN = timedelta(days=180)  # of the last accepted report
FIRST_REPORT_WITHIN = timedelta(days=90)  # of a disconnected activation
CLOCK_LEEWAY = timedelta(minutes=5)
PHASES = ("none", "waiting", "not_yet_valid", "valid", "grace", "expired")
WARN_DAYS = (7, 30, 60)
TRIAL_TYPES = ("eval", "trial")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is stored about a license, as far as its state depends on it."""

    order_type: str
    applied_at: datetime
    checked: bool  # whether its signature was verified
    not_before: datetime | None
    ends_at: datetime | None
    smime: bool = False
    refused: bool = False  # whether a key set came and the signature did not hold


@dataclass(frozen=True, kw_only=True)
class State:
    """How a license stands.

    ``phase`` is none, waiting, not_yet_valid, valid, grace or expired. ``ends_on`` is
    the last day it is valid, ``grace_ends_on`` the last day of grace (equal for
    trials), both UTC; ``days_left`` counts to the end of what runs now (0 on the last
    day) and is None when nothing ends. ``warn_stage`` is 60, 30 or 7, or None.
    ``activation`` is the word of the documented API.
    """

    phase: str
    provisional: bool = False
    trial: bool = False
    starts_at: datetime | None = None
    ends_on: date | None = None
    grace_ends_on: date | None = None
    days_left: int | None = None
    warn_stage: int | None = None
    activation: str = "NONE"

    @property
    def usable(self) -> bool:
        """Whether features work and events may go out under it."""
        return self.phase in ("valid", "grace")


NONE = State(phase="none")


def state_at(
    facts: Facts | None, now: datetime, *, disconnected: bool = False
) -> State:
    """Return the state of a license at ``now``.

    A license is valid through the end of the named day, UTC. A paid one then has 90
    days of grace; a trial has none and lasts 30 days from being applied, or until its
    own end if that is earlier. One whose signature nobody could check waits for keys;
    in disconnected mode it is provisional for 90 days from being applied, or until a
    key set shows that the signature does not hold.

    Args:
        facts: None when there is no license.
        now: With a time zone.
        disconnected: Whether the operation mode is disconnected.
    """
    if facts is None:
        return NONE
    provisional = not facts.checked and not facts.smime
    may_go_on = disconnected and not facts.refused
    if provisional and not (
        may_go_on and now < facts.applied_at.astimezone(UTC) + PROVISIONAL
    ):
        return State(phase="waiting", activation="INITIALIZE_ACTIVATION_COMPLETE")
    trial = facts.order_type in TRIAL_TYPES
    ends_on = _last_day(facts, trial=trial)
    if facts.not_before and now < facts.not_before:
        return State(
            phase="not_yet_valid",
            trial=trial,
            starts_at=facts.not_before,
            ends_on=ends_on,
            activation="INVALID",
        )
    word = "CONFIG_REPORT_READY" if provisional else "VALID"
    if ends_on is None:
        return State(
            phase="valid", provisional=provisional, trial=trial, activation=word
        )
    grace_ends_on = ends_on if trial else ends_on + GRACE
    today = now.astimezone(UTC).date()
    if today <= ends_on:
        phase, left = "valid", (ends_on - today).days
    elif today <= grace_ends_on:
        phase, left, word = "grace", (grace_ends_on - today).days, "GRACE"
    else:
        phase, left, word = "expired", 0, "ENFORCED"
    warn = next((stage for stage in WARN_DAYS if left <= stage), None)
    return State(
        phase=phase,
        provisional=provisional,
        trial=trial,
        ends_on=ends_on,
        grace_ends_on=grace_ends_on,
        days_left=left,
        warn_stage=warn if phase == "valid" else None,
        activation=word,
    )


def report_by(
    accepted_at: datetime | None, activated_at: datetime | None, *, disconnected: bool
) -> date | None:
    """Return the last day, UTC, for the next usage report; None when none is named.

    Args:
        accepted_at: When the last report was accepted; None before the first.
        activated_at: When the subscription was first added here.
        disconnected: Whether the operation mode is disconnected.

    Source:
        decisions 12 and ux.md 4.5d
    """
    if accepted_at:
        return (accepted_at.astimezone(UTC) + REPORT_WITHIN).date()
    if disconnected and activated_at:
        return (activated_at.astimezone(UTC) + FIRST_REPORT_WITHIN).date()
    return None


def ran_back(now: datetime, moments: Iterable[datetime | None]) -> datetime | None:
    """Return the latest moment that was known already and lies ahead of the clock.

    A clock that ran back is told, and ends nothing: dates count as it shows them.
    """
    latest = max((at for at in moments if at), default=now)
    return latest if latest > now + CLOCK_LEEWAY else None


def _last_day(facts: Facts, *, trial: bool) -> date | None:
    """Return the last day of validity; the latest day there is when it is beyond."""
    ends = [facts.ends_at] if facts.ends_at else []
    if trial:
        ends.append(facts.applied_at.astimezone(UTC) + TRIAL)
    return min(ends).astimezone(UTC).date() if ends else None
