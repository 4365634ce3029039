"""What the state of a license means: what happened, what still works, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from licensing.states import State


@dataclass(frozen=True)
class Story:
    """One message about the license. ``kind`` is info, warn or bad."""

    kind: str
    title: str
    body: str


PILLS = {
    "valid": ("ok", "Active"),
    "grace": ("warn", "In grace"),
    "expired": ("bad", "Expired"),
    "waiting": ("held", "Waiting for keys"),
    "not_yet_valid": ("held", "Not valid yet"),
}
HOLDS = {
    "setup": "Nothing is sent before set-up is finished.",
    "no_license": "Events are held on this server until a license is added.",
    "waiting_for_keys": "Events are held until the license can be checked.",
    "provisional": "Events are held: the signature of the license is not checked.",
    "disconnected": "This server is disconnected, so events are held.",
    "not_valid": "Events are held until a valid license is added.",
    "no_subscription_id": "Events are held: the license has no subscription ID here.",
}


def story(state: State) -> Story | None:
    """Return what an administrator should know about a license; None when all is well."""
    ends, grace = _day(state.ends_on), _day(state.grace_ends_on)
    if state.phase == "waiting":
        return Story(
            "warn",
            "Waiting for F5’s keys",
            "The license is stored and inactive, because no key set is here to check its"
            " signature. Set NMS_JWKS_FILE to the key file; the check follows by itself.",
        )
    if state.phase == "not_yet_valid":
        return Story(
            "warn",
            "The license is not valid yet",
            f"It starts on {_day(state.starts_at)}. Events are held until then. Check the"
            " clock of this server if that is wrong.",
        )
    if state.phase == "grace":
        return Story(
            "warn",
            f"License expired, grace ends in {_days(state.days_left)}",
            f"Expired after {ends}. Everything goes on until {grace}. Download the new"
            " .jwt from MyF5 and replace the license.",
        )
    if state.phase == "expired":
        return Story(
            "bad",
            "License expired" + ("" if state.trial else " and grace has ended"),
            f"It ended on {grace}. Events are held here until you add a new license."
            " Nothing else stops: you can replace or terminate it.",
        )
    if state.provisional:
        return Story(
            "warn",
            "Signature not checked",
            "No key set is here, so this license is provisional for 90 days from being"
            " added. Events stay held. Set NMS_JWKS_FILE to check it.",
        )
    if state.warn_stage:
        after = "" if state.trial else f" After {ends} you have 90 days’ grace."
        return Story(
            "info" if state.warn_stage == 60 else "warn",
            f"License expires in {_days(state.days_left)}",
            f"It is valid through {ends}.{after} Renewals are not picked up"
            " automatically: download the new .jwt from MyF5 and replace the license.",
        )
    return None


def _day(day: date | None) -> str:
    return f"{day:%d %b %Y}".removeprefix("0") if day else ""


def _days(count: int | None) -> str:
    return "1 day" if count == 1 else f"{count or 0} days"
