"""Apply, replace and terminate a license; say how it stands and what may go out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Min, Q
from django.views.decorators.debug import sensitive_variables

from audit import services as audit
from common import setup
from common.models import Setup, Via
from common.sealing import SealBroken, seal, unseal
from licensing import connection, states, tokens
from licensing.errors import AlreadyLicensed, LicenseRejected, NotConfirmed
from licensing.keys import key_set
from licensing.models import License
from licensing.reading import Written, license_in
from licensing.signals import license_changed
from licensing.states import Facts, State

log = structlog.get_logger(__name__)
SANDBOX_PREFIX = "SBX-"

# What telemetry asks about the choice.
connection_on = connection.is_on
connection_number = connection.number
set_connection = connection.set_choice


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


def current() -> License | None:
    """Return the license in force, whatever its state; None when there is none."""
    return License.objects.filter(current=True).first()


def history() -> list[License]:
    """Return every license ever applied, newest first."""
    return list(License.objects.defer("sealed"))


def state(now: datetime) -> State:
    """Return how the current license stands at ``now``."""
    return state_of(current(), now)


def state_of(found: License | None, now: datetime) -> State:
    """Return how a license stands at ``now`` in this operation mode."""
    disconnected = setup.operation_mode() == "disconnected"
    return states.state_at(_facts(found), now, disconnected=disconnected)


def delivery_terms(now: datetime) -> Terms:
    """Return whether events may go out, under which subscription, and since when."""
    row = Setup.objects.filter(pk=1).first() or Setup()
    found = current()
    mode = settings.NMS_OPERATION_MODE or row.operation_mode
    now_is = states.state_at(_facts(found), now, disconnected=mode == "disconnected")
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


def token(license_id: int) -> str:
    """Return the text of a license; a secret: hand it to the transport only.

    Raises:
        License.DoesNotExist: There is no such license.
        SealBroken: The key that sealed it is gone.
    """
    return unseal(License.objects.get(pk=license_id).sealed)


@sensitive_variables()
def apply_license(
    *,
    content: bytes,
    by: str,
    via: str,
    now: datetime,
    address: str = "",
    telemetry: bool | None = None,
    subscription_id: str = "",
    replace: bool = False,
) -> License:
    """Check a license and make it the current one; refuse it with the reason.

    Args:
        content: The bytes of the file, or what was pasted.
        by: User name of who adds it.
        via: One of ``common.models.Via``.
        now: The moment.
        address: That user's IP address, for the audit record only.
        telemetry: The Continuous Connection choice that comes with it; None leaves it.
        subscription_id: For an S/MIME license, which we cannot read; may be empty.
        replace: Whether a current license gives way; else it is an error.

    Returns:
        The license, with nothing sent anywhere.

    Raises:
        LicenseRejected: It failed a check; nothing was stored.
        AlreadyLicensed: One is current and ``replace`` is false; nothing was set.
    """
    if not replace and License.objects.filter(current=True).exists():
        raise AlreadyLicensed
    written = license_in(content)
    added = _checked(written, now, subscription_id.strip())
    added.applied_at, added.applied_by, added.via = now, by, via
    try:
        with transaction.atomic():
            kept = _store(
                added, by=by, via=via, now=now, address=address, replace=replace
            )
            if telemetry is not None:
                connection.set_choice(
                    on=telemetry, by=by, via=via, now=now, address=address
                )
            license_changed.send(sender=None, now=now)
    except IntegrityError:
        raise AlreadyLicensed from None
    return kept


def terminate(
    *, confirmation: str, by: str, via: str, now: datetime, address: str = ""
) -> License:
    """End the current license; usage history, audit chain and users are kept.

    Args:
        confirmation: The subscription ID, typed again.
        by: User name of who ends it.
        via: One of ``common.models.Via``.
        now: The moment.
        address: That user's IP address, for the audit record only.

    Raises:
        License.DoesNotExist: There is none.
        NotConfirmed: The ID typed is another one.
    """
    with transaction.atomic():
        found = License.objects.select_for_update().get(current=True)
        if confirmation.strip() != name_of(found):
            raise NotConfirmed(
                f"Type {name_of(found)} to confirm. Nothing was changed."
            )
        _end(found, License.Ended.TERMINATED, by=by, now=now)
        audit.record(
            "license.terminated",
            now=now,
            actor=by,
            via=via,
            subject=found.subscription_id,
            address=address,
        )
        license_changed.send(sender=None, now=now)
    return found


def confirm(now: datetime) -> None:
    """Note that a client of the API went on with the license it added."""
    current = License.objects.filter(current=True, confirmed_at=None)
    current.update(confirmed_at=now)


def name_of(found: License) -> str:
    """Return what a license is called: its subscription, else ``S/MIME license``."""
    return found.subscription_id or "S/MIME license"


def announce_changes(now: datetime) -> bool:
    """Announce what time or a new key set changed; say whether anything did.

    A license that waited for keys is checked as soon as a key set is there. When its
    signature does not hold, it goes on waiting and the page says why.
    """
    found = current()
    if found is None:
        return False
    if found.kind == License.Kind.JWT and found.checked_at is None:
        _check_again(found, now)
    phase = state_of(found, now).phase
    if phase == found.announced:
        return False
    with transaction.atomic():
        License.objects.filter(pk=found.pk, current=True).update(announced=phase)
        license_changed.send(sender=None, now=now)
    log.info("license.phase", phase=phase)
    return True


def _facts(found: License | None) -> Facts | None:
    if found is None:
        return None
    return Facts(
        order_type=found.order_type,
        applied_at=_first_applied(found),
        checked=found.checked_at is not None,
        not_before=found.not_before,
        ends_at=found.ends_at,
        smime=found.kind == License.Kind.SMIME,
    )


def _first_applied(found: License) -> datetime:
    """Return since when a trial, or the time without keys, runs; adding it again
    starts nothing anew.
    """
    if found.order_type in states.TRIAL_TYPES:
        same = Q(subscription_id=found.subscription_id, order_type=found.order_type)
    elif found.checked_at is None:
        same = Q(digest=found.digest)
    else:
        return found.applied_at
    first: datetime | None = License.objects.filter(same).aggregate(
        at=Min("applied_at")
    )["at"]
    return min(first or found.applied_at, found.applied_at)


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
    then = state_of(before, since)
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


@sensitive_variables()
def _checked(written: Written, now: datetime, subscription_id: str) -> License:
    """Return the license to store, its signature checked when keys are at hand."""
    added = License(
        kind=written.kind,
        sealed=seal(written.text),
        digest=hashlib.sha256(written.text.encode()).hexdigest(),
        subscription_id=subscription_id,
    )
    if written.kind == License.Kind.JWT:
        claims = _verified(written.text, added, now)
        added.subscription_id = claims.subscription_id
        added.token_id, added.order_type = claims.token_id, claims.order_type
        added.issued_at, added.not_before = claims.issued_at, claims.not_before
        added.ends_at = claims.ends_at
    elif subscription_id and not tokens.is_name(subscription_id):
        raise LicenseRejected(
            "claims",
            "This is no Subscription ID. Copy it from your subscription in MyF5.",
            expected="1 to 200 printable characters",
        )
    if added.subscription_id.startswith(SANDBOX_PREFIX) and not settings.SANDBOX:
        raise LicenseRejected(
            "sandbox_in_live",
            "This is a license for the sandbox, and this server runs in live mode."
            " Use the one from MyF5.",
            expected="a subscription of F5",
            found=added.subscription_id[:100],
        )
    added.applied_at = now
    now_is = state_of(added, now)
    if now_is.phase == "expired" and now_is.grace_ends_on:
        raise _ended(now_is)
    added.announced = now_is.phase
    return added


def _ended(now_is: State) -> LicenseRejected:
    over = "" if now_is.trial else " and its grace period is over"
    grace = "" if now_is.trial else f", grace until {_day(now_is.grace_ends_on)}"
    return LicenseRejected(
        "expired",
        f"This license ended{over}. Download a newer one from MyF5.",
        expected="a license that has not ended",
        found=f"ended on {_day(now_is.ends_on)}{grace}",
    )


def _day(day: date | None) -> str:
    return f"{day.day} {day:%b %Y}" if day else ""


@sensitive_variables()
def _verified(text: str, added: License, now: datetime) -> tokens.LicenseClaims:
    """Return the claims; without any key set the license is stored as waiting."""
    keys = key_set()
    jku, algorithms = settings.NMS_JWKS_URL, settings.NMS_JWT_ALGORITHMS
    if keys.jwks is None:
        tokens.check_header(text, jku=jku, algorithms=algorithms)
        return tokens.peek(text, now=now)
    claims = tokens.verify(text, keys.jwks, jku=jku, algorithms=algorithms, now=now)
    added.checked_at = now
    return claims


def _store(
    added: License, *, by: str, via: str, now: datetime, address: str, replace: bool
) -> License:
    """Make the license the current one; the same one again stays as it is."""
    old = License.objects.select_for_update().filter(current=True).first()
    if old and not replace:
        raise AlreadyLicensed
    if old and _is_same(old, added):
        if old.checked_at is None and added.checked_at:
            _check_again(old, now)
        return old
    if old:
        _end(old, License.Ended.REPLACED, by=by, now=now)
    added.save(force_insert=True)
    audit.record(
        "license.replaced" if old else "license.applied",
        now=now,
        actor=by,
        via=via,
        subject=added.subscription_id,
        address=address,
        details={"sha256": added.digest, "kind": added.kind},
    )
    return added


def _is_same(old: License, added: License) -> bool:
    return old.digest == added.digest and old.subscription_id == added.subscription_id


def _end(found: License, reason: str, *, by: str, now: datetime) -> None:
    found.current, found.ended_at = None, now
    found.ended_by, found.ended_reason = by, reason
    found.save(update_fields=["current", "ended_at", "ended_by", "ended_reason"])


@sensitive_variables()
def _check_again(found: License, now: datetime) -> None:
    keys = key_set()
    if keys.jwks is None:
        return
    try:
        tokens.verify(
            unseal(found.sealed),
            keys.jwks,
            jku=settings.NMS_JWKS_URL,
            algorithms=settings.NMS_JWT_ALGORITHMS,
            now=now,
        )
    except LicenseRejected as error:
        log.warning("license.not_verified", code=error.code)
        return
    except SealBroken:
        log.warning("license.not_verified", code="seal_broken")
        return
    with transaction.atomic():
        License.objects.filter(pk=found.pk).update(checked_at=now)
        audit.record(
            "license.verified", now=now, via=Via.SYSTEM, subject=found.subscription_id
        )
    found.checked_at = now
