"""What a new version of the product may and may not do with the answer of an old one."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import pytest
from django.test import Client

from analytics import catalog, services
from analytics.models import Acknowledgement, Choice
from common.dictionary import DataPoint, Field, digest
from common.models import Via

pytestmark = pytest.mark.django_db
CONSOLE = "/ui/"
CHOICE = "/ui/settings/web-analytics/choice"
OPT_OUT = "/ui/settings/web-analytics/opt-out"
GOT_IT = "/ui/settings/web-analytics/acknowledgement"
WIDTH = Field(name="vp", type="string", example="1440x900", purpose="Window size")
SEARCH = DataPoint(
    name="search",
    label="Search",
    trigger="Somebody searches",
    purpose="Whether people search",
    since="9.0.0",
    fields=catalog.CLICK.fields[:6],
)
VIEW, CLICK = catalog.POINTS
SAME = catalog.POINTS
WITH_FIELD = (replace(VIEW, fields=(*VIEW.fields, WIDTH)), CLICK)
WITH_POINT = (*SAME, SEARCH)
WITHOUT_FIELD = (replace(VIEW, fields=VIEW.fields[:-1]), CLICK)
REWORDED = (replace(VIEW, purpose="Which pages are used"), CLICK)
CATALOGUES = {
    "same": SAME,
    "a field more": WITH_FIELD,
    "a point more": WITH_POINT,
    "a field less": WITHOUT_FIELD,
    "reworded": REWORDED,
}


@pytest.fixture
def admin(ada, signed_in):
    """An administrator of 0.1.0 who has seen its notice in the console."""
    client = signed_in(ada)
    assert "privacy-banner" in page(client)
    return client


@pytest.fixture
def answered(admin, now):
    """Return a function that answers in 0.1.0: True, False, or None for not at all."""

    def answer(value: bool | None) -> None:
        if value is not None:
            services.set_choice(collect=value, by="ada", via=Via.NOTICE, now=now)

    return answer


@pytest.fixture
def upgrade(settings, monkeypatch):
    """Return a function that starts 9.0.0, with another catalogue."""

    def start(points: tuple[DataPoint, ...]) -> None:
        settings.VERSION = "9.0.0"
        monkeypatch.setattr(catalog, "POINTS", points)
        monkeypatch.setattr(catalog, "DIGEST", digest(points))

    return start


def page(client: Client) -> str:
    answer = client.get(CONSOLE)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def banner(client: Client) -> str:
    """Return the banner's words; empty when there is none."""
    found = re.search(r'<section class="n-consent".*?</section>', page(client))
    text = re.sub(r"<[^>]+>", " ", found[0]) if found else ""
    return re.sub(r" ([.,;])", r"\1", " ".join(html.unescape(text).split()))


def may_send(client: Client) -> list[str]:
    """Return the fields that the tracker of a page may fill, as ``point.field``."""
    found = re.search(r'data-points="([^"]+)"', page(client))
    points = json.loads(html.unescape(found[1])) if found else {}
    return [f"{point}.{field}" for point, fields in points.items() for field in fields]


def first_answers() -> list[str]:
    return [f"{p.name}.{f.name}" for p in SAME for f in p.fields]


@pytest.mark.parametrize("mode", ["opt-out", "opt-in"])
@pytest.mark.parametrize("value", [True, False, None], ids=["on", "off", "unanswered"])
@pytest.mark.parametrize("name", CATALOGUES)
def test_no_choice_is_changed_and_nothing_new_is_sent(
    admin, answered, upgrade, settings, mode, value, name
):
    settings.NMS_ANALYTICS_MODE = mode
    answered(value)
    rows = list(Choice.objects.values())
    before = may_send(admin)
    assert bool(before) is (value is True or (value is None and mode == "opt-out"))

    upgrade(CATALOGUES[name])
    for _ in range(2):
        assert set(may_send(admin)) <= set(before)
    if before:
        gone = {"page_view.refr"} if name == "a field less" else set()
        assert set(may_send(admin)) == set(before) - gone
    assert list(Choice.objects.values()) == rows
    assert banner(admin)


@pytest.mark.parametrize("value", [True, False])
def test_an_unchanged_dictionary_is_said_once_for_the_installation(
    admin, answered, upgrade, signed_in, django_user_model, value
):
    answered(value)
    assert banner(admin) == ""
    upgrade(SAME)
    said = banner(admin)
    assert f"Interaction data stays {'on' if value else 'off'}" in said
    assert "Your choice from 23 Nov 2026 by ada was kept in version 9.0.0." in said
    assert "What may be sent has not changed." in said
    assert ("Opt out for all users" in said) is value
    assert "Keep it on" not in said

    assert admin.post(GOT_IT, {"next": CONSOLE})["Location"] == CONSOLE
    assert Acknowledgement.objects.get().version == "9.0.0"
    other = django_user_model.objects.create_user("adam", role="administrator")
    assert banner(admin) == banner(signed_in(other)) == ""
    assert services.is_on() is value


def test_opting_out_from_the_notice_of_an_upgrade(admin, answered, upgrade):
    answered(True)
    upgrade(SAME)
    admin.post(f"{OPT_OUT}?via=notice&seen=1", {"next": CONSOLE})
    assert services.is_on() is False
    assert banner(admin) == ""
    assert may_send(admin) == []


@pytest.mark.parametrize(
    ("points", "new", "fields"),
    [
        (WITH_FIELD, "1 new field: page_view.vp. It stays off", {"page_view.vp"}),
        (WITH_POINT, "6 new fields: search.e,", {"search.eid", "search.dtm"}),
    ],
    ids=["field", "point"],
)
def test_what_is_new_is_listed_and_goes_out_only_after_an_answer(
    admin, answered, upgrade, points, new, fields
):
    answered(True)
    upgrade(points)
    said = banner(admin)
    assert "Interaction data stays on" in said
    assert new in said
    assert "off until you answer; what was accepted before goes on." in said
    assert "Opt out for all users Keep it on" in said
    assert may_send(admin) == first_answers()

    admin.post(f"{CHOICE}?via=notice&seen=1", {"enabled": "1", "next": CONSOLE})
    assert banner(admin) == ""
    assert set(may_send(admin)) >= fields
    assert Choice.objects.count() == 2


def test_what_is_new_stays_off_for_those_who_never_answered(admin, upgrade):
    upgrade(WITH_FIELD)
    said = banner(admin)
    assert "unless you opt out" in said
    assert "1 new field: page_view.vp. It stays off until you answer" in said
    assert may_send(admin) == first_answers()
    admin.post(f"{CHOICE}?via=notice&seen=0", {"enabled": "1", "next": CONSOLE})
    assert "page_view.vp" in may_send(admin)


def test_what_is_new_is_listed_to_those_who_said_no_and_is_off_with_the_rest(
    admin, answered, upgrade
):
    answered(False)
    upgrade(WITH_FIELD)
    said = banner(admin)
    assert "Interaction data stays off" in said
    assert "1 new field: page_view.vp. It stays off." in said
    assert "Got it Change" in said
    admin.post(GOT_IT, {"next": CONSOLE})
    assert banner(admin) == ""
    assert may_send(admin) == []


def test_in_opt_in_mode_an_upgrade_still_asks_and_sends_nothing(
    admin, upgrade, settings
):
    settings.NMS_ANALYTICS_MODE = "opt-in"
    upgrade(WITH_FIELD)
    said = banner(admin)
    assert "Nothing is sent until you choose." in said
    assert "new field" not in said
    assert may_send(admin) == []


@pytest.mark.parametrize(
    ("points", "difference"),
    [
        (WITHOUT_FIELD, "No longer sent: page_view.refr."),
        (REWORDED, "The same fields may be sent; what is said of them has changed."),
    ],
    ids=["less", "reworded"],
)
def test_a_change_that_adds_nothing_is_told_and_needs_no_answer(
    admin, answered, upgrade, points, difference
):
    answered(True)
    upgrade(points)
    said = banner(admin)
    assert difference in said
    assert "What may be sent has not changed." not in said
    assert "Opt out for all users Got it" in said
    admin.post(GOT_IT, {"next": CONSOLE})
    assert banner(admin) == ""
    assert services.is_on() is True


@pytest.mark.parametrize("name", ["otto", "vera"])
def test_others_see_no_notice(admin, answered, upgrade, otto, vera, signed_in, name):
    answered(True)
    upgrade(WITH_FIELD)
    assert banner(signed_in({"otto": otto, "vera": vera}[name])) == ""
