"""Apply, replace and terminate a license; say how it stands and what may go out."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Min
from django.views.decorators.debug import sensitive_variables

from audit import services as audit
from common.models import Via
from common.sealing import SealBroken, opens, reseal, unseal
from licensing import checking, connection, keys, states, terms
from licensing.errors import AlreadyLicensed, LicenseRejected, NotConfirmed, Overtaken
from licensing.models import Entitlement, License, TerminateNotice
from licensing.reading import license_in
from licensing.signals import license_changed

log = structlog.get_logger(__name__)

# What others ask about the choice, and about any license.
connection_on = connection.is_on
connection_condition = connection.as_condition
connection_open = connection.is_open
connection_number = connection.number
connection_on_since = connection.on_since
set_connection = connection.set_choice
state_of = checking.state_of
Terms = terms.Terms
Standing = terms.Standing
current = terms.current
state = terms.state
standing = terms.standing
delivery_terms = terms.delivery_terms


def history() -> list[License]:
    """Return every license ever applied, newest first."""
    return list(License.objects.defer("sealed").select_related("notice"))


def activated_at(found: License | None) -> datetime | None:
    """Return when the subscription in force was first added; None without a license."""
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


def token(license_id: int) -> str:
    """Return the text of a license; a secret: hand it to the transport only.

    Raises:
        License.DoesNotExist: There is no such license.
        SealBroken: The key that sealed it is gone.
    """
    return unseal(License.objects.get(pk=license_id).sealed)


@sensitive_variables("keys")
def reseal_tokens(keys: Sequence[str]) -> tuple[int, int]:
    """Seal the text of every license anew, under the first of these keys.

    Returns:
        How many were, and how many stay as they are because no key opens them.
    """
    resealed = broken = 0
    with transaction.atomic():
        for found in License.objects.only("sealed").select_for_update():
            try:
                found.sealed = reseal(found.sealed, keys)
            except SealBroken:
                broken += 1
                continue
            found.save(update_fields=["sealed"])
            resealed += 1
    return resealed, broken


@sensitive_variables("key")
def sealed_otherwise(key: str) -> int:
    """Return how many licenses are sealed with another key than this one."""
    return sum(not opens(found.sealed, key) for found in License.objects.only("sealed"))


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
    seen: int | None = None,
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
        cautious: Refuse to replace a valid license by one that has ended, and one in
            force by an older one of the same subscription.
        seen: The number of the license that was current when somebody decided, 0 for
            none; None asks nothing.

    Returns:
        The license, with nothing sent anywhere.

    Raises:
        LicenseRejected: It failed a check; nothing was stored.
        AlreadyLicensed: One is current and ``replace`` is false; nothing was set.
        Overtaken: Another one than ``seen`` is current by now; nothing was set.
    """
    if not replace and License.objects.filter(current=True).exists():
        raise AlreadyLicensed
    added = _checked(content, subscription_id, now)
    added.applied_at, added.applied_by, added.via = now, by, via
    try:
        with transaction.atomic():
            _still_seen(seen, added)
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
        raise (AlreadyLicensed if seen is None else Overtaken) from None
    return kept


@sensitive_variables()
def _checked(content: bytes, subscription_id: str, now: datetime) -> License:
    """Return the license in a file, checked; a key that is not here is asked for."""
    written = license_in(content)
    try:
        return checking.checked(written, now, subscription_id.strip())
    except LicenseRejected as refusal:
        if refusal.code == "unknown_key":
            keys.ask(now)
        raise


def overtaken_by(found: License | None) -> License | None:
    """Return the license in force, else the last one that ended; None without any."""
    return found or License.objects.defer("sealed").first()


@sensitive_variables("text")
def renew(found: License, text: str, now: datetime) -> License | None:
    """Put a license the vendor sent in force instead of the one it was asked with.

    It must be signed, of the same subscription, issued later and end no earlier; what
    the old one entitled to stands until the next answer.

    Returns:
        The new license; None when it is no renewal or another one is current by now.

    Raises:
        LicenseRejected: It failed a check that every license must pass.
    """
    added = checking.checked(license_in(text.encode()), now, "")
    if not _is_renewal(added, found):
        log.warning("license.renewal_refused", code="no_renewal")
        return None
    added.applied_at, added.applied_by, added.via = now, audit.NOBODY, Via.SYSTEM
    with transaction.atomic():
        same = License.objects.select_for_update().filter(pk=found.pk, current=True)
        asked = same.first()
        if asked is None:
            return None
        added.entitlements_at = asked.entitlements_at
        added.confirmed_at = asked.confirmed_at
        kept = _store(
            added, by=audit.NOBODY, via=Via.SYSTEM, now=now, address="", replace=True
        )
        granted = list(asked.entitlements.all())
        for one in granted:
            one.pk, one.license = None, kept
        Entitlement.objects.bulk_create(granted)
        license_changed.send(sender=None, now=now)
    return kept


def _is_renewal(added: License, old: License) -> bool:
    ends_later = added.ends_at is None or bool(
        old.ends_at and added.ends_at >= old.ends_at
    )
    return bool(added.checked_at and ends_later and _is_older(old, added))


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


def _still_seen(seen: int | None, added: License) -> None:
    """Lock the current license; refuse when it is another one than somebody saw.

    The same license once more is no news, whoever added it.
    """
    if seen is None:
        return
    found = License.objects.select_for_update().filter(current=True).first()
    if seen != (found.pk if found else 0) and not (found and _is_same(found, added)):
        raise Overtaken


def _compare(old: License | None, added: License, now: datetime) -> None:
    """Refuse a license that ended while another is valid, or is older than it."""
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
    if before.usable and _is_older(added, old):
        raise LicenseRejected(
            "older",
            f"This license of {name_of(added)} is older than the one in force.",
            expected=f"one issued at or after {old.issued_at:%-d %b %Y, %H:%M:%S} UTC",
            found=f"{added.issued_at:%-d %b %Y, %H:%M:%S} UTC",
        )


def _is_older(added: License, old: License) -> bool:
    """Return whether a license was issued before another of its subscription."""
    return bool(
        added.subscription_id == old.subscription_id
        and added.issued_at
        and old.issued_at
        and added.issued_at < old.issued_at
    )


def _is_same(old: License, added: License) -> bool:
    return old.digest == added.digest and old.subscription_id == added.subscription_id


def _end(found: License, reason: str, *, by: str, now: datetime) -> None:
    found.current, found.ended_at = None, now
    found.ended_by, found.ended_reason = by, reason
    found.save(update_fields=["current", "ended_at", "ended_by", "ended_reason"])
