from __future__ import annotations

import threading

import pytest
from django.db import connection

from analytics import catalog, services
from analytics.errors import AnsweredMeanwhile, ChoiceLocked
from analytics.models import Choice, NoticeShown
from audit import services as audit
from audit.models import Record
from common import choices
from common.models import Via

pytestmark = pytest.mark.django_db


def decide(collect, now, **more):
    more = {"by": "ada", "via": Via.SETTINGS, **more}
    return services.set_choice(collect=collect, now=now, **more)


def banner() -> services.Banner:
    due = services.banner(services.choice())
    assert due is not None
    return due


def state() -> str:
    return banner().state


def test_nobody_has_decided_at_first(settings):
    assert services.choice() is None
    assert services.is_on() is True
    settings.NMS_ANALYTICS_MODE = "opt-in"
    assert services.is_on() is None


def test_a_decision_is_added_with_its_audit_record(now):
    row = decide(False, now, address="192.0.2.7")
    assert services.is_on() is False
    assert row.accepted == catalog.names()
    record = Record.objects.get()
    assert (record.action, record.actor, record.address) == (
        "interaction-data.off",
        "ada",
        "192.0.2.7",
    )
    assert record.details["number"] == row.pk == 1
    assert audit.verify() is None


def test_the_same_answer_again_adds_nothing(now):
    decide(False, now)
    decide(False, now, by="otto")
    assert Choice.objects.count() == Record.objects.count() == 1


def test_the_same_answer_to_new_fields_is_a_new_decision(now):
    row = decide(True, now)
    Choice.objects.filter(pk=row.pk).update(accepted=row.accepted[:-1])
    assert decide(True, now).pk == 2
    assert catalog.new_fields(services.accepted_fields(services.choice())) == []


def test_history_is_kept_and_the_newest_row_is_in_force(now):
    for collect in (True, False, True):
        decide(collect, now)
    assert [row.value for row in services.changes()] == [True, False, True]
    assert services.is_on() is True


def test_an_answer_given_meanwhile_is_not_overwritten(now):
    decide(True, now, by="ada2")
    with pytest.raises(AnsweredMeanwhile):
        decide(False, now, expected=0)
    assert services.is_on() is True


def test_the_same_answer_given_meanwhile_is_no_conflict(now):
    decide(False, now, by="ada2")
    assert decide(False, now, expected=0).decided_by == "ada2"


def test_do_not_track_locks_off_and_off_can_still_be_stored(settings, now):
    decide(True, now)
    settings.DO_NOT_TRACK = True
    assert services.is_on() is False
    assert services.banner(services.choice()) is None
    decide(False, now)
    with pytest.raises(ChoiceLocked):
        decide(True, now)


def test_the_choice_can_be_stored_without_a_collector(settings, now):
    settings.NMS_COLLECTOR_URL = ""
    decide(False, now)
    assert services.is_on() is False


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_of_administrators_who_decide_at_once_each_gets_a_number_of_its_own(now):
    decide(True, now)
    ready, refused = threading.Barrier(6), []

    def race(collect):
        try:
            ready.wait(timeout=10)
            decide(collect, now, expected=1)
        except AnsweredMeanwhile:
            refused.append(collect)
        finally:
            connection.close()

    threads = [threading.Thread(target=race, args=(False,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert Choice.objects.count() == Record.objects.count() == 2
    assert services.is_on() is False
    assert audit.verify() is None


@pytest.mark.django_db(transaction=True)
def test_choices_json_follows_the_database(now):
    decide(True, now)
    assert choices.load()[choices.INTERACTION_DATA] == (1, True)
    Choice.objects.create(
        pk=2, value=False, decided_at=now, decided_by="ada", via="api"
    )
    services.choice()  # another host's decision is read, and kept here too
    assert choices.load()[choices.INTERACTION_DATA] == (2, False)


@pytest.mark.django_db(transaction=True)
def test_a_restored_database_is_off_until_an_administrator_answers(now):
    decide(True, now)
    decide(False, now)
    decide(True, now)
    Choice.objects.filter(pk__gt=1).delete()  # the backup knew only the first
    assert services.check_restore(now) is True
    row = services.choice()
    assert row is not None
    assert (row.pk, row.value, row.reason) == (4, False, "database restored")
    assert state() == "restored"
    assert services.check_restore(now) is False
    decide(False, now)
    assert services.banner(services.choice()) is None
    assert services.is_on() is False


@pytest.mark.django_db(transaction=True)
def test_an_emptied_database_is_off_too(now):
    decide(True, now)
    Choice.objects.all().delete()
    assert services.check_restore(now) is True
    assert services.is_on() is False


@pytest.mark.django_db(transaction=True)
def test_a_database_as_new_as_the_file_stays_as_it_is(now):
    assert services.check_restore(now) is False
    decide(True, now)
    choices._written.clear()
    assert services.check_restore(now) is False
    assert Choice.objects.count() == 1


class TestBanner:
    def test_asks_once_at_first(self, now):
        assert state() == "first"
        decide(True, now, via=Via.NOTICE)
        assert services.banner(services.choice()) is None

    def test_asks_in_opt_in_mode(self, settings):
        settings.NMS_ANALYTICS_MODE = "opt-in"
        assert state() == "ask"

    @pytest.mark.parametrize("collect", [True, False])
    def test_says_once_after_an_upgrade_that_the_choice_was_kept(
        self, settings, now, collect
    ):
        decide(collect, now)
        settings.VERSION = "0.0.2"
        assert state() == "kept"
        assert services.is_on() is collect
        services.acknowledge(by="ada", now=now)
        services.acknowledge(by="ada2", now=now)
        assert services.banner(services.choice()) is None

    def test_names_new_fields_and_they_stay_off_until_somebody_answers(
        self, settings, now
    ):
        row = decide(True, now)
        Choice.objects.filter(pk=row.pk).update(accepted=catalog.names()[:-1])
        settings.VERSION = "0.0.2"
        due = banner()
        assert (due.state, due.new) == ("changed", ("click.se_la",))
        assert "se_la" not in services.allowed_fields(services.choice())["click"]
        decide(True, now, via=Via.NOTICE)
        assert services.banner(services.choice()) is None
        assert "se_la" in services.allowed_fields(services.choice())["click"]

    def test_unanswered_only_what_was_first_shown_is_allowed(self, settings, now):
        services.notice_rendered(to="ada", now=now)
        NoticeShown.objects.update(fields=catalog.names()[:-1], notice="older")
        services.notice_rendered(to="ada", now=now)
        assert NoticeShown.objects.count() == 2
        assert banner().new == ("click.se_la",)
        assert "se_la" not in services.allowed_fields(services.choice())["click"]

    @pytest.mark.parametrize("via", [Via.API, Via.COMMAND])
    def test_shows_the_notice_when_it_was_allowed_where_none_is_shown(self, now, via):
        decide(True, now, via=via)
        assert state() == "kept"

    def test_is_silent_when_it_was_turned_off_by_a_command(self, now):
        decide(False, now, via=Via.COMMAND)
        assert services.banner(services.choice()) is None
