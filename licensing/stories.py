"""What the state of a license means: what happened, what still works, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from licensing.states import State


@dataclass(frozen=True)
class Story:
    """One message about the license. ``kind`` is info, warn or bad.

    ``replaces`` says whether another license is what helps, ``renews`` whether it is
    to be fetched from MyF5 first.
    """

    kind: str
    title: str
    body: str
    replaces: bool = True
    renews: bool = False
    icon: str = "clock"


KEY_ENDS_SOON = timedelta(days=90)
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


def pill(
    state: State, *, checked: bool = True, check_error: str = ""
) -> tuple[str, str]:
    """Return the kind and the word of a license's pill; empty when there is none."""
    if state.phase == "waiting" and check_error:
        return "bad", "Not verified"
    if state.usable and not checked:
        return "held", "Provisional" if state.provisional else "Not checked"
    return PILLS.get(state.phase, ("", ""))


def story(
    state: State,
    *,
    check_error: str = "",
    no_keys: str = "",
    now: datetime | None = None,
    refreshed: bool = False,
) -> Story | None:
    """Return what an administrator should know about a license; None when all is well.

    Args:
        check_error: Why it could not be verified once keys were here.
        no_keys: Why no key set is here; empty when there is one.
        now: What the clock of this server shows.
        refreshed: Whether entitlements are asked for daily with Continuous Connection on.
    """
    missing = f" Now: {no_keys}." if no_keys else ""
    if state.phase == "waiting":
        return _waiting(check_error, missing)
    if state.phase == "not_yet_valid":
        return _not_yet_valid(state, now)
    if state.phase == "grace":
        return _grace(state)
    if state.phase == "expired":
        return _expired(state)
    if state.provisional:
        return Story(
            "warn",
            "Signature not checked",
            "No key set is here, so this license is provisional for 90 days from being"
            " added. Features work. Events stay held. Set NMS_JWKS_FILE to check it."
            f"{missing}",
        )
    return _ends_soon(state, refreshed=refreshed) if state.warn_stage else None


def _waiting(check_error: str, missing: str) -> Story:
    if check_error:
        return Story(
            "bad",
            "The license cannot be verified",
            f"{check_error} It stays stored and inactive, and events are held. It is"
            " checked again by itself when newer keys come.",
            icon="alert-octagon",
        )
    return Story(
        "warn",
        "Waiting for F5’s keys",
        "The license is stored and inactive until a key set is here to check its"
        " signature. Let this server reach NMS_JWKS_URL, or set NMS_JWKS_FILE to the"
        f" key file; the check follows by itself within a minute.{missing}",
    )


def _not_yet_valid(state: State, now: datetime | None) -> Story:
    clock = f" The clock of this server says {_moment(now)}." if now else ""
    return Story(
        "warn",
        "The license is not valid yet",
        f"It starts on {_day(state.starts_at)}.{clock} Events are held until then."
        " Check the clock if that is wrong.",
    )


def _grace(state: State) -> Story:
    return Story(
        "warn",
        f"License expired, grace ends {_when(state.days_left)}",
        f"Expired after {_day(state.ends_on)}. Everything goes on until"
        f" {_day(state.grace_ends_on)}; after that NGINX Plus stops processing traffic,"
        " by F5’s documentation. Download the new .jwt from MyF5 and replace the"
        " license.",
        renews=True,
        icon="alert-triangle",
    )


def _expired(state: State) -> Story:
    plus = (
        " NGINX Plus instances under it no longer process traffic, by F5’s"
        " documentation."
    )
    return Story(
        "bad",
        "License expired" + ("" if state.trial else " and grace has ended"),
        f"It ended on {_day(state.grace_ends_on)}.{'' if state.trial else plus} Events"
        " and usage reports are held here until you add a new license. Nothing else"
        " stops: you can replace or terminate it.",
        renews=True,
        icon="alert-octagon",
    )


def _ends_soon(state: State, *, refreshed: bool) -> Story:
    ends = _day(state.ends_on)
    after = "" if state.trial else f" After {ends} you have 90 days’ grace."
    renewal = (
        "A renewal that comes with the daily entitlements takes effect by itself"
        " while Continuous Connection is on; without one, download the new .jwt from"
        " MyF5 and replace the license."
        if refreshed
        else "Renewals are not picked up automatically: download the new .jwt from"
        " MyF5 and replace the license."
    )
    return Story(
        "info" if state.warn_stage == 60 else "warn",
        f"License expires {_when(state.days_left)}",
        f"It is valid through {ends}.{after} {renewal}",
        renews=True,
    )


def clock_story(known: datetime, now: datetime) -> Story:
    """Return what to know when this server's clock shows less than it did before."""
    return Story(
        "warn",
        "The clock of this server ran back",
        f"It shows {_moment(now)}, and this license was used at {_moment(known)}"
        " already. Nothing is locked; the dates on this page follow the clock. Set it,"
        " by NTP for example.",
        replaces=False,
    )


def key_story(ends: tuple[datetime, str] | None, now: datetime) -> Story | None:
    """Return what to know about the key whose certificate ends first, 90 days before.

    Args:
        ends: When that is, and the key's name; None when no key says so.
    """
    if ends is None or ends[0] > now + KEY_ENDS_SOON:
        return None
    at, name = ends
    ended = at <= now
    return Story(
        "warn" if ended else "info",
        f"The certificate of F5’s key {name} {'ended' if ended else 'ends'} on"
        f" {_day(at.astimezone(UTC).date())}",
        "Licenses in force stay in force. F5 will sign new ones with another key: with"
        " Continuous Connection on it is fetched by itself, else set NMS_JWKS_FILE to a"
        " newer key file.",
        replaces=False,
        icon="key",
    )


def smime_story(subscription_id: str) -> Story:
    """Return what to know about a license in the older form."""
    return Story(
        "info",
        "This server cannot check an S/MIME license",
        "It is kept as it is. Events go out under the Subscription ID that was typed,"
        " without the license itself."
        if subscription_id
        else "It is kept as it is, and events are held because its Subscription ID was"
        " not typed. Replace it with the same file and the ID from MyF5.",
        icon="info-circle",
    )


@dataclass(frozen=True)
class Step:
    """One step of a new license: ``state`` is done, now, bad or todo."""

    title: str
    state: str
    text: str


def steps(
    state: State, *, checked: bool, fetched: bool, error: str, host: str
) -> list[Step]:
    """Return how far a license is that was added, in five steps.

    Args:
        checked: Whether its signature was verified.
        fetched: Whether its entitlements are here.
        error: Why they are not, after a try.
        host: Whom they are asked of; empty when nobody is.
    """
    ends = "No end stated."
    if state.ends_on:
        ended = state.phase in ("grace", "expired")
        ends = f"{'Ended' if ended else 'Valid through'} {_day(state.ends_on)}."
    signed = "Signed by F5, meant for urn:f5:teem."
    return [
        Step("File read", "done", "The token has three parts."),
        Step(
            "Signature and audience",
            "done" if checked else "now",
            signed if checked else "Waiting for F5’s keys.",
        ),
        Step("Dates", "done", ends),
        _asking(fetched, error, host),
        Step("Ready", "done" if fetched else "todo", ""),
    ]


NOT_REACHED = frozenset(
    {
        "certificate",
        "connection",
        "cut",
        "deadline",
        "dns",
        "proxy",
        "refused",
        "timeout",
        "tls",
    }
)


def unanswered_story(
    name: str,
    *,
    recipient: str,
    host: str,
    status: int = 0,
    cause: str = "",
    again: datetime | None = None,
) -> Story:
    """Return what to know when the entitlements of a good license did not come.

    Args:
        name: Of the license.
        recipient: Who was asked, as a sentence names it: F5, or the test receiver.
        host: Where it was asked.
        status: The HTTP status it refused with for good; 0 when it is tried again.
        cause: The code of what went wrong, when it is tried again.
        again: When that is; None when a worker is about to.
    """
    if status:
        return _refused(name, recipient, status)
    reached = "could not be reached" if cause in NOT_REACHED else "had a problem"
    when = f"at {_moment(again)}" if again else "within a minute"
    return Story(
        "warn",
        f"Signature is good, but {recipient} {reached}",
        f"The license is stored and works. Entitlements appear when {host} answers."
        f" Next try {when}.",
        replaces=False,
        icon="plug-connected-x",
    )


def _refused(name: str, recipient: str, status: int) -> Story:
    who = recipient[:1].upper() + recipient[1:]
    if status == 409:
        return Story(
            "bad",
            "This license is already in use",
            f"{who} answered that {name} is registered to another installation. It stays"
            " stored, and events and reports go on under it; its entitlements are not"
            " asked for again by themselves. Terminate it there first, or ask F5 support"
            " to release it.",
            icon="ban",
        )
    return Story(
        "bad",
        f"Signature is good, but {recipient} refused the license ({status})",
        "The license is stored and works. Its entitlements are not asked for again"
        " by themselves: replace the license, or try again.",
        icon="ban",
    )


def _asking(fetched: bool, error: str, host: str) -> Step:
    title = "Entitlements from F5"
    if fetched:
        return Step(title, "done", "They are here.")
    if error:
        return Step(title, "bad", error)
    if not host:
        return Step(title, "todo", "How to ask for them is not public.")
    return Step(title, "now", f"Asking {host}. You can leave this page.")


def _day(day: date | None) -> str:
    return f"{day:%d %b %Y}".removeprefix("0") if day else ""


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%d %b %Y, %H:%M UTC}".removeprefix("0")


def _when(days: int | None) -> str:
    if not days:
        return "today"
    return "in 1 day" if days == 1 else f"in {days} days"
