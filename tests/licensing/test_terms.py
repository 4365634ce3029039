from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from common import setup
from licensing import services
from tests import make
from tests.licensing.test_reading import ENCODING, smime
from tests.licensing.test_services import apply, disconnect

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
DAY = timedelta(days=1)
FINISHED = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)  # what the fixture says


def hold(now) -> str | None:
    """Return the hold, once it is sure that a hold and a release exclude each other."""
    terms = services.delivery_terms(now)
    assert (terms.hold is None) == (terms.released_at is not None)
    return terms.hold


def test_before_set_up_is_finished_everything_is_held(db, now):
    make.license(now)
    assert hold(now) == "setup"


def test_without_a_license_there_is_no_subscription(finished, now):
    terms = services.delivery_terms(now)
    assert (terms.hold, terms.subscription_id, terms.license_id) == (
        "no_license",
        None,
        None,
    )


def test_under_a_valid_license_events_go_out_with_it(finished, now):
    found = make.license(now)
    assert services.delivery_terms(now) == services.Terms(
        make.SUBSCRIPTION, found.pk, None, now, True
    )


def test_a_held_license_still_names_its_subscription(finished, now):
    found = apply(make.token(now), now)
    terms = services.delivery_terms(now)
    assert terms.hold == "waiting_for_keys"
    assert (terms.subscription_id, terms.license_id) == (make.SUBSCRIPTION, found.pk)


@pytest.mark.parametrize(
    ("days", "expected"),
    [(0, None), (10, None), (11, None), (100, None), (101, "not_valid")],
)
def test_events_go_out_until_the_grace_period_is_over(finished, now, days, expected):
    make.license(now, 10)
    assert hold(now + days * DAY) == expected


def test_a_trial_has_no_grace_to_send_in(finished, now):
    make.license(now, f5_order_type="eval")
    assert hold(now + 30 * DAY) is None
    assert hold(now + 31 * DAY) == "not_valid"


def test_a_license_for_later_holds_until_its_day(finished, now):
    start = now + 3 * DAY
    make.license(now, nbf=int(start.timestamp()))
    assert hold(now) == "not_valid"
    assert services.delivery_terms(start).released_at == start


def test_a_disconnected_server_sends_nothing(finished, now):
    make.license(now)
    disconnect(now)
    assert hold(now) == "disconnected"


def test_the_setting_decides_over_the_answer(finished, now, settings):
    make.license(now)
    settings.NMS_OPERATION_MODE = "disconnected"
    assert hold(now) == "disconnected"
    settings.NMS_OPERATION_MODE = "connected"
    disconnect(now)
    assert hold(now) is None


def test_a_provisional_license_never_releases(finished, now):
    disconnect(now)
    apply(make.token(now), now)
    assert hold(now) == "provisional"
    assert hold(now + 90 * DAY) == "disconnected"


def test_connected_again_releases_from_that_moment(finished, now):
    make.license(now)
    row = setup.current()
    row.mode_changed_at = now + DAY
    row.save()
    assert services.delivery_terms(now + DAY).released_at == now + DAY


def test_the_end_of_set_up_releases_when_it_came_last(db, now):
    make.license(now)
    row = setup.current()
    row.finished_at = now + DAY
    row.save()
    assert services.delivery_terms(now + DAY).released_at == now + DAY


def test_keys_that_come_later_release_from_the_moment_of_the_check(finished, now):
    apply(make.token(now), now)
    assert hold(now) == "waiting_for_keys"
    make.keys_file()
    services.announce_changes(now + DAY)
    assert services.delivery_terms(now + DAY).released_at == now + DAY


def test_an_smime_license_sends_without_itself_when_its_id_is_known(finished, now):
    apply(smime(ENCODING.DER), now, subscription_id="SBX-9")
    terms = services.delivery_terms(now)
    assert (terms.hold, terms.bearer, terms.subscription_id) == (None, False, "SBX-9")


def test_an_smime_license_without_its_id_holds(finished, now):
    apply(smime(ENCODING.DER), now)
    assert hold(now) == "no_subscription_id"


def test_a_renewal_of_the_same_subscription_interrupts_nothing(finished, now):
    make.license(now)
    make.license(now + 5 * DAY)
    make.license(now + 9 * DAY)
    assert services.delivery_terms(now + 9 * DAY).released_at == now


def test_another_subscription_begins_anew(finished, now):
    make.license(now)
    make.license(now + 5 * DAY, sub="SBX-2")
    assert services.delivery_terms(now + 5 * DAY).released_at == now + 5 * DAY


def test_a_renewal_after_the_end_begins_anew(finished, now):
    make.license(now, 10)
    make.license(now + 150 * DAY)
    assert services.delivery_terms(now + 150 * DAY).released_at == now + 150 * DAY


def test_a_terminated_license_holds_and_the_next_begins_anew(finished, now):
    make.license(now)
    services.terminate(
        confirmation=make.SUBSCRIPTION, by="ada", via="settings", now=now + DAY
    )
    assert hold(now + DAY) == "no_license"
    make.license(now + 2 * DAY)
    assert services.delivery_terms(now + 2 * DAY).released_at == now + 2 * DAY


def test_coming_back_to_a_subscription_begins_anew(finished, now):
    make.license(now)
    make.license(now + 5 * DAY, sub="SBX-2")
    make.license(now + 9 * DAY)
    assert services.delivery_terms(now + 9 * DAY).released_at == now + 9 * DAY


def test_a_license_added_at_the_moment_one_was_terminated_begins_anew(finished, now):
    make.license(now)
    later = now + DAY
    services.terminate(
        confirmation=make.SUBSCRIPTION, by="ada", via="settings", now=later
    )
    make.license(later)
    assert services.delivery_terms(later).released_at == later


def test_the_choice_is_no_hold(finished, now):
    make.license(now)
    services.set_connection(on=False, by="ada", via="settings", now=now)
    assert hold(now) is None
    assert not services.connection_on()
