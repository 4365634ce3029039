"""How a license stands, and every check it must pass: now, or once keys are here."""

from __future__ import annotations

import hashlib
import shlex
from datetime import date, datetime
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Min, Q
from django.views.decorators.debug import sensitive_variables

from audit import services as audit
from common import setup
from common.models import Via
from common.sealing import SealBroken, seal, unseal
from licensing import states, tokens
from licensing.errors import LicenseRejected
from licensing.keys import key_set
from licensing.models import License
from licensing.reading import Written
from licensing.states import Facts, State

log = structlog.get_logger(__name__)
SANDBOX_PREFIX = "SBX-"


def state_of(found: License | None, now: datetime) -> State:
    """Return how a license stands at ``now`` in this operation mode."""
    disconnected = setup.operation_mode() == "disconnected"
    return states.state_at(facts_of(found), now, disconnected=disconnected)


@sensitive_variables()
def checked(written: Written, now: datetime, subscription_id: str) -> License:
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
    try:
        tokens.check_header(text, jku=jku, algorithms=algorithms)
    except LicenseRejected as error:
        raise _of_another_sandbox(error) or error from None
    if keys.jwks is None:
        return tokens.peek(text, now=now)
    try:
        claims = tokens.verify(text, keys.jwks, jku=jku, algorithms=algorithms, now=now)
    except LicenseRejected as error:
        raise _of_another_folder(error) or error from None
    added.checked_at = now
    return claims


def _of_another_sandbox(error: LicenseRejected) -> LicenseRejected | None:
    """Return what to do when a sandbox license was made for another port; else None."""
    there, here = urlsplit(error.found).netloc, urlsplit(error.expected).netloc
    local = there.startswith("localhost:") and here.startswith("localhost:")
    if not settings.SANDBOX or error.code != "wrong_jku" or there == here or not local:
        return None
    return LicenseRejected(
        error.code,
        f"This license was made for the test receiver at {there}; this console's is"
        f" {here}. Make one for this console.",
        expected=error.expected,
        found=error.found,
        command=_sandbox_command(here.partition(":")[2]),
    )


def _of_another_folder(error: LicenseRejected) -> LicenseRejected | None:
    """Return what to do when a sandbox license may have other keys; else None."""
    if not settings.SANDBOX or error.code != "signature":
        return None
    return LicenseRejected(
        error.code,
        f"{error.sentence} A sandbox license made with another data folder looks like"
        " this.",
        expected=error.expected,
        found=error.found,
        command=_sandbox_command(str(settings.NMS_SANDBOX_PORT)),
    )


def _sandbox_command(port: str) -> str:
    """Return what makes a license for this console, with the folder that has its keys."""
    folder = settings.NMS_DATA_DIR
    usual = settings.BASE_DIR / "var" / "sandbox"
    given = "" if folder == usual else f"NMS_DATA_DIR={shlex.quote(str(folder))} "
    python = ".venv/bin/python manage.py sandbox_license"
    return f"{given}NMS_SANDBOX_PORT={port} {python}"


@sensitive_variables("text")
def subscription_of(text: str, now: datetime) -> str:
    """Return the subscription of a token that is signed by the vendor; else nothing."""
    jku, algorithms = settings.NMS_JWKS_URL, settings.NMS_JWT_ALGORITHMS
    jwks = key_set().jwks or {}
    try:
        claims = tokens.verify(text, jwks, jku=jku, algorithms=algorithms, now=now)
    except LicenseRejected:
        return ""
    return claims.subscription_id


@sensitive_variables()
def check_again(found: License, now: datetime) -> None:
    """Check a license that was added without keys; what is wrong stands on it."""
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
        _not_verified(found, error.code, error.sentence)
    except SealBroken as error:
        _not_verified(found, "seal_broken", str(error))
    else:
        _mark_verified(found, now)


def _not_verified(found: License, code: str, sentence: str) -> None:
    if found.check_error == sentence[:300]:
        return
    found.check_error = sentence[:300]
    License.objects.filter(pk=found.pk).update(check_error=found.check_error)
    log.warning("license.not_verified", code=code)


def _mark_verified(found: License, now: datetime) -> None:
    with transaction.atomic():
        License.objects.filter(pk=found.pk).update(checked_at=now, check_error="")
        audit.record(
            "license.verified", now=now, via=Via.SYSTEM, subject=found.subscription_id
        )
    found.checked_at, found.check_error = now, ""


def facts_of(found: License | None) -> Facts | None:
    """Return what the state of a license depends on; None when there is none."""
    if found is None:
        return None
    return Facts(
        order_type=found.order_type,
        applied_at=_first_applied(found),
        checked=found.checked_at is not None,
        refused=bool(found.check_error),
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
