"""What goes on without a break when a license is added again, or replaced."""

from __future__ import annotations

from datetime import timedelta

import pytest

from common import choices
from common.models import Via
from licensing import connection, keys, services
from licensing.models import ConnectionChoice, License
from tests import make

DAY = timedelta(days=1)


def test_replacing_a_license_of_the_same_subscription_interrupts_nothing(finished, now):
    make.license(now - 3 * DAY)
    before = services.delivery_terms(now).released_at
    make.license(now, jti="another")
    assert services.delivery_terms(now).released_at == before


def test_another_subscription_begins_anew(finished, now):
    make.license(now - 3 * DAY)
    make.license(now, sub="SBX-00000002")
    assert services.delivery_terms(now).released_at == now


def test_a_license_added_after_the_end_of_grace_begins_anew(finished, now):
    make.license(now - 200 * DAY, days=10)
    assert services.delivery_terms(now).hold == "not_valid"
    make.license(now)
    assert services.delivery_terms(now).released_at == now


def test_the_same_license_again_stays_as_it_is(finished, now):
    first = make.license(now - DAY)
    text = services.token(first.pk).encode()
    again = services.apply_license(
        content=text, by="otto", via=Via.API, now=now, telemetry=False, replace=True
    )
    assert (again.pk, again.applied_by) == (first.pk, "ada")
    assert License.objects.count() == 1
    assert not services.connection_on()


def test_adding_a_trial_again_does_not_start_its_time_anew(finished, now):
    make.license(now, f5_order_type="eval")
    later = now + 20 * DAY
    make.license(later, f5_order_type="eval", jti="another")
    assert services.state(later).ends_on == (now + 30 * DAY).date()


@pytest.mark.both_databases
def test_the_newest_answer_counts_after_a_restored_database(db, settings, now):
    choices.remember(choices.CONNECTION, 0, value=True)
    ConnectionChoice.objects.create(
        pk=8,
        value=False,
        decided_at=now,
        decided_by="system",
        via=Via.SYSTEM,
        reason=connection.RESTORED,
    )
    assert connection.set_choice(on=True, by="ada", via=Via.SETTINGS, now=now)
    assert (connection.is_on(), connection.number()) == (True, 9)


def test_nobody_turns_it_on_while_do_not_track_is_set(db, settings, now):
    settings.DO_NOT_TRACK = True
    assert not connection.set_choice(on=True, by="ada", via=Via.SETTINGS, now=now)
    assert not ConnectionChoice.objects.exists()


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"keys": []},
        {"keys": ["v1"]},
        {"keys": [{"kty": "oct", "kid": "v1", "k": "c2VjcmV0"}]},
        {"keys": [*make.jwks()["keys"], *make.jwks()["keys"]]},
        {"keys": [{**make.jwks()["keys"][0], "kid": str(n)} for n in range(17)]},
    ],
    ids=["empty", "no key", "no object", "symmetric", "same name twice", "too many"],
)
def test_a_key_file_that_cannot_be_used_is_no_key_set(content):
    make.keys_file(content)
    assert keys.file_set().jwks is None
    make.keys_file()
    assert keys.file_set().jwks
