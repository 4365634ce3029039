"""Apply, replace and terminate a license; say how it stands and what may go out."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Min
from django.views.decorators.debug import sensitive_variables

from audit import services as audit
from common.models import Setup
from common.sealing import unseal
from licensing import checking, connection, keys, states
from licensing.errors import AlreadyLicensed, LicenseRejected, NotConfirmed
from licensing.models import License, TerminateNotice
from licensing.reading import license_in
from licensing.signals import license_changed
from licensing.states import State

log = structlog.get_logger(__name__)

# What others ask about the choice, and about any license.
connection_on = connection.is_on
connection_number = connection.number
connection_on_since = connection.on_since
set_connection = connection.set_choice
state_of = checking.state_of


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
    """The license in force, how it stands, and under what events go out."""

    license: License | None
    state: State
    terms: Terms


def current() -> License | None:
    """Return the license in force, whatever its state; None when there is none."""
    return License.objects.filter(current=True).first()


def history() -> list[License]:
    """Return every license ever applied, newest first."""
    return list(License.objects.defer("sealed").select_related("notice"))


def activated_at() -> datetime | None:
    """Return when the subscription in force was first added; None without a license."""
    found = current()
    if found is None:
        return None
    same = License.objects.filter(subscription_id=found.subscription_id)
    first: datetime | None = same.aggregate(at=Min("applied_at"))["at"]
    return first


def clock_ran_back(found: License | None, now: datetime) -> datetime | None:
    """Return what was noted on a license later than this clock shows; else None."""
    if found is None:
        return None
    noted = (found.applied_at, found.checked_at, found.entitlements_at)
    return states.ran_back(now, noted)


def state(now: datetime) -> State:
    """Return how the current license stands at ``now``."""
    return standing(now).state


def delivery_terms(now: datetime) -> Terms:
    """Return whether events may go out, under which subscription, and since when."""
    return standing(now).terms


def standing(now: datetime) -> Standing:
    """Return the current license, its state and the terms it gives, read at once."""
    row = Setup.objects.filter(pk=1).first() or Setup()
    found = current()
    mode = settings.NMS_OPERATION_MODE or row.operation_mode
    now_is = states.state_at(
        checking.facts_of(found), now, disconnected=mode == "disconnected"
    )
    return Standing(found, now_is, _terms(row, mode, found, now_is))


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


def token(license_id: int) -> str:
    """Return the text of a license; a secret: hand it to the transport only.

    Raises:
        License.DoesNotExist: There is no such license.
        SealBroken: The key that sealed it is gone.
    """
    return unseal(License.objects.get(pk=license_id).sealed)


@sensitive_variables("text")
def is_ours(text: str, now: datetime) -> bool:
    """Return whether a token is the license in force, or another of its subscription.

    NGINX shows its license when it reports: the same file, or a newer one that was
    renewed there first. That other one must be signed by the vendor.
    """
    found = current()
    if found is None:
        return False
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
    if hmac.compare_digest(digest, found.digest):
        return True
    name = checking.subscription_of(text, now)
    return bool(name) and name == found.subscription_id


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
    cautious: bool = False,
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
        cautious: Refuse to replace a valid license by one that has ended.

    Returns:
        The license, with nothing sent anywhere.

    Raises:
        LicenseRejected: It failed a check; nothing was stored.
        AlreadyLicensed: One is current and ``replace`` is false; nothing was set.
    """
    if not replace and License.objects.filter(current=True).exists():
        raise AlreadyLicensed
    written = license_in(content)
    try:
        added = checking.checked(written, now, subscription_id.strip())
    except LicenseRejected as refusal:
        if refusal.code == "unknown_key":
            keys.ask(now)
        raise
    added.applied_at, added.applied_by, added.via = now, by, via
    try:
        with transaction.atomic():
            if cautious:
                _compare(current(), added, now)
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
    *,
    confirmation: str,
    by: str,
    via: str,
    now: datetime,
    address: str = "",
    tell: bool = False,
) -> License:
    """End the current license; usage history, audit chain and users are kept.

    Args:
        confirmation: The subscription ID, typed again.
        by: User name of who ends it.
        via: One of ``common.models.Via``.
        now: The moment.
        address: That user's IP address, for the audit record only.
        tell: Whether the vendor is told; a worker does it.

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
            details={"tell": True} if tell else {},
        )
        if tell:
            TerminateNotice.objects.create(license=found, selected_at=now)
        license_changed.send(sender=None, now=now)
    return found


def confirm(now: datetime) -> None:
    """Note that a client of the API went on with the license it added."""
    current = License.objects.filter(current=True, confirmed_at=None)
    current.update(confirmed_at=now)


def report_acknowledged(now: datetime) -> None:
    """Note that the vendor acknowledged a report: it completes the activation.

    In disconnected mode clients are told that the license is in effect only then. It
    does not stand in for a signature nobody could check: that stays provisional.
    """
    current = License.objects.filter(current=True, acknowledged_at=None)
    current.update(acknowledged_at=now)


def name_of(found: License) -> str:
    """Return what a license is called: its subscription, else ``S/MIME license``."""
    return found.subscription_id or "S/MIME license"


def announce_changes(now: datetime) -> bool:
    """Announce what time or a new key set changed; say whether anything did.

    A license that waited for keys is checked as soon as a key set is there. When its
    signature does not hold, it goes on waiting, no longer provisional, and the page
    says why.
    """
    found = current()
    if found is None:
        return False
    if found.kind == License.Kind.JWT and found.checked_at is None:
        checking.check_again(found, now)
    phase = state_of(found, now).phase
    if phase == found.announced:
        return False
    with transaction.atomic():
        License.objects.filter(pk=found.pk, current=True).update(announced=phase)
        license_changed.send(sender=None, now=now)
    log.info("license.phase", phase=phase)
    return True


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


def _store(
    added: License, *, by: str, via: str, now: datetime, address: str, replace: bool
) -> License:
    """Make the license the current one; the same one again stays as it is."""
    old = License.objects.select_for_update().filter(current=True).first()
    if old and not replace:
        raise AlreadyLicensed
    if old and _is_same(old, added):
        if old.checked_at is None and added.checked_at:
            checking.check_again(old, now)
        return old
    if old:
        _end(old, License.Ended.REPLACED, by=by, now=now)
        if old.subscription_id == added.subscription_id:
            added.acknowledged_at = old.acknowledged_at
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


def _compare(old: License | None, added: License, now: datetime) -> None:
    """Refuse a license that has ended while another one is valid."""
    if old is None or _is_same(old, added):
        return
    before, after = state_of(old, now), state_of(added, now)
    if before.phase == "valid" and after.phase == "grace":
        raise LicenseRejected(
            "worse",
            f"This license, {name_of(added)}, has ended; the one in force is valid.",
            expected=f"a license that ends after {before.ends_on:%-d %b %Y}",
            found=f"{after.ends_on:%-d %b %Y}",
        )


def _is_same(old: License, added: License) -> bool:
    return old.digest == added.digest and old.subscription_id == added.subscription_id


def _end(found: License, reason: str, *, by: str, now: datetime) -> None:
    found.current, found.ended_at = None, now
    found.ended_by, found.ended_reason = by, reason
    found.save(update_fields=["current", "ended_at", "ended_by", "ended_reason"])
