from __future__ import annotations

from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection

from audit import services as audit
from audit.models import Record
from common import setup
from common.sealing import SealBroken
from licensing import services
from licensing.errors import AlreadyLicensed, LicenseRejected, NotConfirmed
from licensing.models import ConnectionChoice, License
from licensing.signals import license_changed
from tests import make
from tests.licensing.test_reading import ENCODING, smime

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
DAY = timedelta(days=1)


def apply(content: str | bytes, now, **options):
    """Apply what somebody chose or pasted, as ada."""
    usual = {"by": "ada", "via": "settings", "now": now, "address": "10.0.0.9"}
    raw = content.encode() if isinstance(content, str) else content
    return services.apply_license(content=raw, **(usual | options))


def refused(content: str | bytes, now, **options) -> str:
    """Return the code of a refusal after which everything is as before."""
    before = list(License.objects.values()), list(ConnectionChoice.objects.values())
    records = Record.objects.count()
    with pytest.raises(LicenseRejected) as error:
        apply(content, now, **options)
    after = list(License.objects.values()), list(ConnectionChoice.objects.values())
    assert (before, records) == (after, Record.objects.count())
    return error.value.code


def in_force() -> License:
    return License.objects.get(current=True)


def actions() -> list[str]:
    return list(Record.objects.order_by("sequence").values_list("action", flat=True))


def disconnect(now) -> None:
    row = setup.current()
    row.operation_mode, row.mode_changed_at = "disconnected", now
    row.save()


@pytest.fixture
def announced():
    """How often a change of the license was announced."""
    found: list[str] = []

    def hear(now: object, **kwargs: object) -> None:
        found.append("changed")

    license_changed.connect(hear)
    yield found
    license_changed.disconnect(hear)


# --- apply


def test_a_checked_license_is_stored_with_its_claims(now, announced):
    make.keys_file()
    added = apply(make.token(now, 10), now)
    found = in_force()
    assert found == added
    assert (found.subscription_id, found.kind) == (make.SUBSCRIPTION, "JWT")
    assert (found.order_type, found.ends_at) == ("paid", now + 10 * DAY)
    assert found.applied_at == found.checked_at == now
    assert (found.applied_by, found.via) == ("ada", "settings")
    assert services.state(now).phase == "valid"
    assert announced == ["changed"]


def test_the_chain_names_who_added_it_and_its_digest_alone(now):
    make.keys_file()
    added = apply(make.token(now), now)
    record = Record.objects.get()
    assert (record.action, record.actor, record.subject, record.address) == (
        "license.applied",
        "ada",
        make.SUBSCRIPTION,
        "10.0.0.9",
    )
    assert record.details == {"sha256": added.digest, "kind": "JWT"}
    assert audit.verify() is None


def test_the_text_comes_back_for_the_transport_alone(now):
    make.keys_file()
    text = make.token(now)
    added = apply(f"\n{text}\r\n", now)
    assert services.token(added.pk) == text
    assert text.encode() not in bytes(added.sealed)


def test_a_license_that_nginx_shows_is_ours_when_the_subscription_is(now):
    make.keys_file()
    text = make.token(now)
    assert services.is_ours(text, now) is False
    apply(text, now)
    assert services.is_ours(text, now) is True
    assert services.is_ours(make.token(now, 10), now) is True  # renewed there first
    for other in (make.token(now, sub="SBX-2"), text[:-8], "no license", "\ud800", ""):
        assert services.is_ours(other, now) is False


def test_without_keys_only_the_very_license_in_force_is_ours(now):
    text = make.token(now)
    apply(text, now)
    assert services.is_ours(text, now) is True
    assert services.is_ours(make.token(now, 10), now) is False


@pytest.mark.parametrize("telemetry", [True, False])
def test_the_choice_may_come_with_the_license(now, telemetry):
    make.keys_file()
    apply(make.token(now), now, telemetry=telemetry)
    assert services.connection_on() is telemetry
    assert ConnectionChoice.objects.get().value is telemetry


def test_without_a_word_the_choice_stays(now):
    make.keys_file()
    services.set_connection(on=False, by="ada", via="api", now=now)
    apply(make.token(now), now)
    assert not services.connection_on()


def test_a_second_license_is_refused_and_sets_nothing(now, announced):
    make.license(now)
    with pytest.raises(AlreadyLicensed):
        apply(make.token(now, sub="SBX-2"), now, telemetry=False)
    assert in_force().subscription_id == make.SUBSCRIPTION
    assert services.connection_on()
    assert ConnectionChoice.objects.count() == 0
    assert actions() == ["license.applied"]
    assert announced == ["changed"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (lambda now: b"", "empty"),
        (lambda now: b"PK\x03\x04", "not_a_token"),
        (lambda now: b"\0" * 70_000, "too_large"),
        (lambda now: make.token(now).encode("utf-16"), "not_text"),
        (lambda now: make.token(now) * 2, "two_licenses"),
        (lambda now: make.token(now, header={"kid": "v9"}), "unknown_key"),
        (lambda now: make.token(now, header={"jku": "http://x"}), "wrong_jku"),
        (lambda now: make.token(now, header={"alg": "RS256"}), "algorithm"),
        (lambda now: make.token(now, header={"typ": "X"}), "header"),
        (lambda now: make.token(now, key=make.private_key("attacker")), "signature"),
        (lambda now: make.token(now, iss="me"), "issuer"),
        (lambda now: make.token(now, aud="you"), "audience"),
        (lambda now: make.token(now, f5_sat="soon"), "claims"),
        (lambda now: make.token(now, -92), "expired"),
    ],
)
def test_a_refusal_stores_nothing_not_even_the_choice(now, content, code):
    make.keys_file()
    assert refused(content(now), now, telemetry=False) == code


def test_a_weak_key_in_the_file_is_named(now):
    make.keys_file(make.jwks(use="enc"))
    assert refused(make.token(now), now) == "weak_key"


def test_a_license_for_the_sandbox_is_refused_in_live_mode(now, settings):
    make.keys_file()
    settings.SANDBOX = False
    assert refused(make.token(now), now) == "sandbox_in_live"
    assert apply(make.token(now, sub="TST-7"), now).subscription_id == "TST-7"


def test_a_license_in_its_grace_period_is_taken(now):
    make.keys_file()
    apply(make.token(now, -90), now)
    assert services.state(now).phase == "grace"


def test_a_trial_that_ended_is_refused_at_once(now):
    make.keys_file()
    assert refused(make.token(now, -1, f5_order_type="eval"), now) == "expired"


def test_adding_a_trial_again_does_not_start_it_anew(now):
    make.keys_file()
    text = make.token(now, f5_order_type="eval")
    apply(text, now)
    apply(text, now + 20 * DAY, replace=True)
    assert services.state(now + 20 * DAY).days_left == 10
    assert refused(text, now + 31 * DAY, replace=True) == "expired"


def test_a_license_for_later_is_stored_and_waits_for_its_day(now, announced):
    make.keys_file()
    start = now + 3 * DAY
    apply(make.token(now, nbf=int(start.timestamp())), now)
    assert services.state(now).phase == "not_yet_valid"
    assert not services.announce_changes(start - timedelta(seconds=1))
    assert services.announce_changes(start)
    assert services.state(start).phase == "valid"
    assert announced == ["changed", "changed"]


# --- replace and terminate


def test_a_replaced_license_stays_in_the_history(now):
    first = make.license(now)
    later = now + DAY
    apply(make.token(later, sub="SBX-2"), later, replace=True, by="eve")
    assert [found.subscription_id for found in services.history()] == [
        "SBX-2",
        make.SUBSCRIPTION,
    ]
    first.refresh_from_db()
    assert (first.current, first.ended_at, first.ended_by) == (None, later, "eve")
    assert first.ended_reason == "replaced"
    assert services.token(first.pk)
    assert actions() == ["license.applied", "license.replaced"]


def test_a_refused_replacement_leaves_the_license_in_force(now):
    first = make.license(now)
    bad = make.token(now, key=make.private_key("attacker"))
    assert refused(bad, now, replace=True, telemetry=False) == "signature"
    assert services.current() == first


def test_replace_without_a_license_adds_one(now):
    make.keys_file()
    apply(make.token(now), now, replace=True)
    assert actions() == ["license.applied"]


@pytest.mark.parametrize("days", [365, -30])
def test_a_license_in_any_phase_can_be_terminated(now, days, announced):
    found = make.license(now, days)
    ended = services.terminate(
        confirmation=f" {make.SUBSCRIPTION} ", by="ada", via="settings", now=now
    )
    assert ended == found
    assert services.current() is None
    assert services.state(now).phase == "none"
    assert services.history()[0].ended_reason == "terminated"
    assert actions() == ["license.applied", "license.terminated"]
    assert announced == ["changed", "changed"]


def test_an_expired_and_a_waiting_license_can_be_terminated_and_replaced(now):
    make.license(now, 1)
    later = now + 400 * DAY
    assert services.state(later).phase == "expired"
    apply(make.token(later), later, replace=True)
    services.terminate(
        confirmation=make.SUBSCRIPTION, by="ada", via="settings", now=later
    )
    make.keys_file({"keys": []})
    apply(make.token(later), later)
    assert services.state(later).phase == "waiting"
    apply(make.token(later, sub="SBX-2"), later, replace=True)
    services.terminate(confirmation="SBX-2", by="ada", via="settings", now=later)
    assert services.current() is None


@pytest.mark.parametrize("typed", ["", "SBX", make.SUBSCRIPTION.lower(), "S/MIME"])
def test_another_word_does_not_terminate(now, typed):
    make.license(now)
    with pytest.raises(NotConfirmed, match=make.SUBSCRIPTION):
        services.terminate(confirmation=typed, by="ada", via="settings", now=now)
    assert services.state(now).phase == "valid"
    assert actions() == ["license.applied"]


def test_without_a_license_there_is_nothing_to_terminate(now):
    with pytest.raises(License.DoesNotExist):
        services.terminate(confirmation="", by="ada", via="settings", now=now)


def test_a_terminated_license_can_be_added_again(now):
    make.license(now)
    services.terminate(
        confirmation=make.SUBSCRIPTION, by="ada", via="settings", now=now
    )
    apply(make.token(now), now)
    assert services.state(now).phase == "valid"


# --- waiting for keys


@pytest.mark.parametrize("content", [None, {"keys": []}, "damaged"])
def test_without_keys_a_license_waits_and_is_checked_when_they_come(
    now, content, announced
):
    if content is not None:
        make.keys_file(content)
    found = apply(make.token(now), now)
    assert services.state(now).phase == "waiting"
    assert found.checked_at is None
    assert not services.announce_changes(now + DAY)
    make.keys_file()
    assert services.announce_changes(now + 2 * DAY)
    found.refresh_from_db()
    assert (found.checked_at, found.announced) == (now + 2 * DAY, "valid")
    assert actions() == ["license.applied", "license.verified"]
    assert announced == ["changed", "changed"]
    assert not services.announce_changes(now + 3 * DAY)


def test_a_forged_license_that_waited_goes_on_waiting_and_says_why(now, announced):
    apply(make.token(now, key=make.private_key("attacker")), now)
    make.keys_file()
    assert not services.announce_changes(now + DAY)
    assert services.state(now + DAY).phase == "waiting"
    assert in_force().check_error.startswith("The signature is not valid")
    assert actions() == ["license.applied"]
    assert announced == ["changed"]


def test_the_reason_goes_when_the_right_keys_come(now):
    apply(make.token(now), now)
    make.keys_file(make.jwks(kid="v0"))
    services.announce_changes(now + DAY)
    assert in_force().check_error.startswith("Key v1 is not known here.")
    make.keys_file()
    assert services.announce_changes(now + 2 * DAY)
    assert in_force().check_error == ""
    assert services.state(now + 2 * DAY).phase == "valid"


def test_a_key_set_that_does_not_fit_ends_the_provisional_time(now, announced):
    disconnect(now)
    apply(make.token(now, key=make.private_key("attacker")), now)
    assert services.state(now + DAY).provisional
    make.keys_file()
    assert services.announce_changes(now + DAY)
    assert services.state(now + DAY).phase == "waiting"
    assert announced == ["changed", "changed"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (lambda now: make.token(now, header={"jku": "http://x"}), "wrong_jku"),
        (lambda now: make.token(now, header={"alg": "RS256"}), "algorithm"),
        (lambda now: make.token(now, iss="me"), "issuer"),
        (lambda now: make.token(now, sub=" "), "claims"),
    ],
)
def test_what_can_be_checked_without_keys_is_checked(now, content, code):
    assert refused(content(now), now) == code


def test_a_disconnected_server_uses_it_provisionally(now, announced):
    disconnect(now)
    apply(make.token(now), now)
    assert services.state(now).provisional
    assert not services.announce_changes(now + 89 * DAY)
    assert services.announce_changes(now + 90 * DAY)
    assert services.state(now + 90 * DAY).phase == "waiting"
    make.keys_file()
    assert services.announce_changes(now + 91 * DAY)
    assert not services.state(now + 91 * DAY).provisional


def test_adding_it_again_does_not_make_the_90_days_longer(now):
    disconnect(now)
    text = make.token(now)
    apply(text, now)
    apply(text, now + 60 * DAY, replace=True)
    assert services.state(now + 90 * DAY).phase == "waiting"


def test_a_newer_key_set_does_not_end_a_license_in_force(now):
    make.license(now)
    make.keys_file(make.jwks(kid="v2"))
    assert not services.announce_changes(now + DAY)
    assert services.state(now + DAY).phase == "valid"


def test_each_phase_is_announced_once(now, announced):
    make.license(now, 10)
    for days, phase in ((10, "valid"), (11, "grace"), (101, "expired")):
        moment = now + days * DAY
        assert services.announce_changes(moment) is (phase != "valid")
        assert not services.announce_changes(moment)
        assert services.state(moment).phase == phase
    assert len(announced) == 3


def test_without_a_license_nothing_is_announced(now):
    assert not services.announce_changes(now)


def test_a_lost_seal_key_is_told_and_does_not_stop_the_rest(now, settings):
    found = apply(make.token(now), now)
    settings.SEAL_KEYS = ["x" * 43 + "="]
    with pytest.raises(SealBroken):
        services.token(found.pk)
    make.keys_file()
    assert not services.announce_changes(now)
    assert "NMS_SEAL_KEYS_FILE" in in_force().check_error


# --- S/MIME


def test_an_smime_license_is_stored_sealed_and_not_checked(now):
    found = apply(smime(ENCODING.DER), now, subscription_id=" SBX-9 ")
    assert (found.kind, found.subscription_id, found.checked_at) == (
        "SMIME",
        "SBX-9",
        None,
    )
    assert services.state(now).phase == "valid"
    assert services.name_of(found) == "SBX-9"


def test_an_smime_license_without_an_id_is_confirmed_by_its_kind(now):
    apply(smime(ENCODING.PEM), now)
    services.terminate(confirmation="S/MIME license", by="ada", via="settings", now=now)
    assert services.current() is None


@pytest.mark.parametrize("typed", ["x" * 201, "a\0b", "a\nb", "SBX-\u202e9"])
def test_a_typed_subscription_is_held_to_the_same_rule(now, typed):
    assert refused(smime(ENCODING.DER), now, subscription_id=typed) == "claims"


# --- at once


def at_once(*calls) -> list[str]:
    """Return, sorted, how calls that start together end."""
    barrier, outcomes = Barrier(len(calls)), []

    def run(call) -> None:
        barrier.wait()
        try:
            call()
            outcomes.append("done")
        except Exception as error:  # noqa: BLE001 - whatever it says is the outcome
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return sorted(outcomes)


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(60)
def test_of_two_who_add_a_license_at_once_one_wins(now):
    make.keys_file()
    texts = [make.token(now, sub=f"SBX-{n}") for n in (1, 2)]
    outcomes = at_once(
        *(lambda text=text: apply(text, now, telemetry=False) for text in texts)
    )
    assert outcomes == ["AlreadyLicensed", "done"]
    assert License.objects.filter(current=True).count() == License.objects.count() == 1
    assert actions() == ["license.applied", "connection.off"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(60)
def test_of_two_who_replace_it_at_once_one_is_in_force_at_the_end(now):
    make.license(now)
    texts = [make.token(now, sub=f"SBX-{n}") for n in (1, 2)]
    outcomes = at_once(
        *(lambda text=text: apply(text, now, replace=True) for text in texts)
    )
    assert "done" in outcomes
    assert set(outcomes) <= {"done", "AlreadyLicensed"}
    assert License.objects.filter(current=True).count() == 1
    assert actions() == ["license.applied"] + ["license.replaced"] * outcomes.count(
        "done"
    )
    assert audit.verify() is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(60)
@pytest.mark.parametrize("first", [True, False], ids=["none before", "one before"])
def test_of_two_who_saw_the_same_and_add_at_once_one_wins_and_one_is_told(now, first):
    make.keys_file()
    seen = 0 if first else make.license(now).pk
    texts = [make.token(now, sub=f"SBX-{n}") for n in (1, 2)]
    outcomes = at_once(
        *(lambda text=text: apply(text, now, replace=True, seen=seen) for text in texts)
    )
    assert outcomes == ["Overtaken", "done"]
    assert License.objects.filter(current=True).count() == 1
    assert License.objects.count() == (1 if first else 2)
    assert actions()[-1] == ("license.applied" if first else "license.replaced")
    assert audit.verify() is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(60)
def test_of_two_who_terminate_it_at_once_one_does(now):
    make.license(now)

    def end() -> None:
        services.terminate(
            confirmation=make.SUBSCRIPTION, by="ada", via="settings", now=now
        )

    assert at_once(end, end) == ["DoesNotExist", "done"]
    assert actions() == ["license.applied", "license.terminated"]
