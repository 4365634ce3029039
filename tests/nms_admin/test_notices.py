from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.utils.html import escape

from audit.models import Record
from licensing.states import Facts, State, state_at
from nms_admin import notices
from nms_admin.models import Snooze
from tests import make

pytestmark = pytest.mark.django_db
HIDE = "/ui/settings/license/notices/hide"
LICENSE = "/ui/settings/license"
ENDS = date(2027, 2, 28)


def state_on(day: date, **changes) -> State:
    given = {
        "order_type": "paid",
        "applied_at": datetime(2026, 11, 1, tzinfo=UTC),
        "checked": True,
        "not_before": None,
        "ends_at": datetime(2027, 2, 28, tzinfo=UTC),
    }
    return state_at(
        Facts(**given | changes), datetime(*day.timetuple()[:3], tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("days_left", "stage"),
    [
        (61, ""),
        (60, "license-60-2027-02-28"),
        (31, "license-60-2027-02-28"),
        (30, "license-30-2027-02-28"),
        (7, "license-7-2027-02-28"),
        (0, "license-7-2027-02-28"),
        (-1, "license-grace-2027-02-28"),
        (-90, "license-grace-2027-02-28"),
        (-91, "license-ended-2027-02-28"),
    ],
)
def test_each_stage_has_its_days(days_left, stage):
    state = state_on(ENDS - timedelta(days=days_left))
    assert notices.license_stage(state) == stage


def test_stages_only_follow_one_another():
    days = [ENDS + timedelta(days=n) for n in range(-80, 120)]
    seen = [notices.license_stage(state_on(day)) for day in days]
    changes = [
        stage for at, stage in enumerate(seen) if at == 0 or stage != seen[at - 1]
    ]
    words = [stage.split("-")[1] if stage else "" for stage in changes]
    assert words == ["", "60", "30", "7", "grace", "ended"]


@pytest.mark.parametrize(
    ("left", "stage"),
    [(31, None), (30, "30"), (8, "30"), (7, "7"), (0, "7"), (-1, "overdue")],
)
def test_a_report_is_announced_in_three_stages(now, left, stage):
    due = now.date() + timedelta(days=left)
    notice = notices.report_notice(due, now)
    found = notice.stage if notice else None
    assert found == (stage and f"report-{stage}-{due.isoformat()}")


def test_nothing_is_due_before_the_first_report(now):
    assert notices.report_notice(None, now) is None


@pytest.fixture
def soon(now):
    """It is noon, and the license ends in 25 days."""
    with time_machine.travel(now, tick=False) as clock:
        make.license(now, days=25)
        yield clock


def shown(client, url="/ui/") -> bool:
    return "License expires in " in client.get(url).content.decode()


def test_only_administrators_are_warned(soon, ada, otto, vera, signed_in):
    for user, warned in ((ada, True), (otto, False), (vera, False)):
        client = signed_in(user)
        assert (shown(client), shown(client, LICENSE)) == (warned, warned)


def test_who_hides_a_stage_does_not_see_it_for_seven_days(soon, now, ada, signed_in):
    client = signed_in(ada)
    page = client.get("/ui/").content.decode()
    stage = "license-30-2026-12-18"
    assert f'name="stage" value="{stage}"' in page
    records = Record.objects.count()
    answer = client.post(HIDE, {"stage": stage, "next": "/ui/"}, follow=True)
    assert answer.redirect_chain == [("/ui/", 302)]
    assert escape("Hidden for 7 days") in answer.content.decode()
    assert not shown(client)
    assert not shown(client, LICENSE)
    assert Record.objects.count() == records
    soon.move_to(now + timedelta(days=7, seconds=1))
    assert shown(signed_in(ada))


def test_the_next_stage_is_shown_though_the_last_was_hidden(soon, now, ada, signed_in):
    soon.move_to(now + timedelta(days=17))
    signed_in(ada).post(HIDE, {"stage": "license-30-2026-12-18"})
    assert not shown(signed_in(ada))
    soon.move_to(now + timedelta(days=18))
    assert shown(signed_in(ada))


def test_it_is_hidden_for_one_person_only(soon, ada, signed_in, django_user_model):
    other = django_user_model.objects.create_user("grace", role=ada.role)
    signed_in(ada).post(HIDE, {"stage": "license-30-2026-12-18"})
    assert not shown(signed_in(ada))
    assert shown(signed_in(other))


@pytest.mark.parametrize("stage", ["", "license-7-2026-12-18", "else", "x" * 500, "\0"])
def test_a_stage_that_is_not_shown_cannot_be_hidden(soon, ada, signed_in, stage):
    assert signed_in(ada).post(HIDE, {"stage": stage}).status_code == 400
    assert not Snooze.objects.exists()


def test_it_leads_back_to_our_own_pages_only(soon, ada, signed_in):
    sent = {"stage": "license-30-2026-12-18", "next": "https://evil.example/"}
    assert signed_in(ada).post(HIDE, sent)["Location"] == LICENSE


def test_an_expired_license_is_told_to_everybody_on_its_page(now, vera, signed_in):
    with time_machine.travel(now, tick=False):
        make.license(now, days=-5)
        page = signed_in(vera).get(LICENSE).content.decode()
    assert "License expired, grace ends in 85 days" in page
    assert "Hide for 7 days" not in page
