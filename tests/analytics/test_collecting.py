from __future__ import annotations

import html
import json

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, get_resolver, reverse

from analytics import catalog, services
from analytics.models import Choice, NoticeShown
from audit.models import Record
from common.models import Via
from tests.analytics.conftest import COLLECTOR

pytestmark = pytest.mark.django_db
TRACES = ("tracker.js", COLLECTOR, "data-points=", "data-track=", "snowplow")
PERMISSION = "/ui/interaction-data/permission"
PAGE = "/ui/settings/web-analytics"


def pages() -> list[str]:
    """Return every address below /ui/ that takes no argument."""

    def walk(patterns, prefix=""):
        for entry in patterns:
            route = prefix + str(entry.pattern)
            if isinstance(entry, URLPattern):
                if route.startswith("ui/") and "<" not in route:
                    yield f"/{route}"
            else:
                yield from walk(entry.url_patterns, route)

    return sorted(walk(get_resolver().url_patterns))


def content(response) -> str:
    return b"".join(response).decode()  # also of an answer that streams


def traces(response) -> list[str]:
    told = f"<code>{COLLECTOR}</code>"  # in words, for a firewall: Connectivity
    everything = str(response.headers) + content(response).replace(told, "")
    return [trace for trace in TRACES if trace in everything]


def connect_src(response) -> list[str]:
    policy = dict(
        part.split(" ", 1) for part in response["Content-Security-Policy"].split("; ")
    )
    return list(policy["connect-src"].split())


@pytest.fixture
def people(ada, otto, vera, signed_in):
    return {user.username: signed_in(user) for user in (ada, otto, vera)}


def test_there_are_pages_to_look_at():
    assert PAGE in pages()


@pytest.mark.parametrize("name", ["ada", "otto", "vera"])
def test_collecting_pages_bear_the_tracker_and_name_the_collector(
    noticed, people, name
):
    response = people[name].get(PAGE)
    assert response.status_code == 200
    assert connect_src(response) == ["'self'", COLLECTOR]
    body = response.content.decode()
    assert body.count("js/tracker.js") == 1
    start = body.index('data-points="') + len('data-points="')
    points = json.loads(html.unescape(body[start : body.index('"', start)]))
    assert points == catalog.allowed(catalog.names())


def test_nothing_but_connect_src_changes_with_the_choice(noticed, people, now):
    def policy():
        header = people["vera"].get(PAGE)["Content-Security-Policy"]
        return {tuple(sorted(part.split())) for part in header.split("; ")}

    on = policy()
    services.set_choice(collect=False, by="ada", via=Via.API, now=now)
    off = policy()
    assert on ^ off == {
        tuple(sorted(("connect-src", "'self'", COLLECTOR))),
        tuple(sorted(("connect-src", "'self'"))),
    }


@pytest.mark.parametrize("name", ["ada", "otto", "vera"])
def test_off_leaves_no_trace_on_any_page_of_anybody(noticed, people, now, name):
    services.set_choice(collect=False, by="ada", via=Via.SETTINGS, now=now)
    for address in [*pages(), "/privacy"]:
        response = people[name].get(address)
        assert traces(response) == [], address


@pytest.mark.parametrize("name", ["ada", "otto", "vera"])
def test_every_page_that_names_the_collector_bears_the_tracker(noticed, people, name):
    for address in pages():
        response = people[name].get(address)
        in_policy = COLLECTOR in response.headers.get("Content-Security-Policy", "")
        assert in_policy == ("js/tracker.js" in content(response)), address


def test_pages_without_sign_in_have_no_trace(noticed):
    for address in ("/login", "/privacy", "/ui/", "/nowhere"):
        assert traces(Client().get(address)) == [], address


def test_the_privacy_page_is_never_tracked(noticed, people):
    assert traces(people["ada"].get("/privacy")) == []


def test_nothing_is_sent_before_an_administrator_saw_the_notice(people):
    assert traces(people["vera"].get(PAGE)) == []
    assert not NoticeShown.objects.exists()
    first = people["ada"].get(PAGE)
    assert "unless you opt out" in first.content.decode()
    assert traces(first) == []
    shown = NoticeShown.objects.get()
    assert (shown.shown_to, shown.notice) == ("ada", catalog.DIGEST)
    assert traces(people["vera"].get(PAGE)) != []


def test_a_notice_that_was_never_delivered_does_not_count(people, now):
    people["ada"].post(f"{reverse('interaction-data-choice')}?seen=9", {"enabled": "0"})
    people["ada"].get("/nowhere")
    people["ada"].get(PERMISSION)
    assert not NoticeShown.objects.exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"NMS_COLLECTOR_URL": ""}, "No collector is set, so nothing is sent."),
        ({"DO_NOT_TRACK": True}, "DO_NOT_TRACK is set on this server"),
        (
            {"NMS_ANALYTICS_MODE": "opt-in"},
            "Nobody has chosen yet, so nothing is sent.",
        ),
    ],
)
def test_settings_that_forbid_leave_no_trace_and_are_named(
    noticed, people, settings, change, sentence
):
    for name, value in change.items():
        setattr(settings, name, value)
    for client in people.values():
        response = client.get(PAGE)
        assert traces(response) == []
        assert sentence in response.content.decode()


@pytest.mark.parametrize("header", ["Sec-GPC", "DNT"])
def test_a_browser_that_asks_is_left_out_and_told_so(noticed, people, header):
    response = people["vera"].get(PAGE, headers={header: "1"})
    assert traces(response) == []
    assert "so it is left out." in response.content.decode()
    assert {"Sec-GPC", "DNT"} <= set(response["Vary"].split(", "))
    assert people["vera"].get(PERMISSION, headers={header: "1"}).status_code == 410
    assert people["vera"].get(PERMISSION, headers={header: "0"}).status_code == 204


def test_not_me_leaves_out_that_user_alone_and_tells_nobody(noticed, people):
    answer = people["vera"].post("/privacy/not-me", {"leave_out": "1"}, follow=True)
    assert "you asked to be left out" in answer.content.decode().lower()
    assert traces(people["vera"].get(PAGE)) == []
    assert people["vera"].get(PERMISSION).status_code == 410
    assert traces(people["otto"].get(PAGE)) != []
    assert not Record.objects.exists()
    people["vera"].post("/privacy/not-me", {"leave_out": "0"})
    assert traces(people["vera"].get(PAGE)) != []


def test_not_me_never_turns_anything_on(noticed, people, now):
    services.set_choice(collect=False, by="ada", via=Via.SETTINGS, now=now)
    people["vera"].post("/privacy/not-me", {"leave_out": "0"})
    assert traces(people["vera"].get(PAGE)) == []
    assert services.is_on() is False


def test_only_accepted_fields_reach_the_page(noticed, people, now):
    services.set_choice(collect=True, by="ada", via=Via.NOTICE, now=now)
    Choice.objects.update(accepted=["page_view.e", "page_view.page"])
    body = html.unescape(people["vera"].get(PAGE).content.decode())
    assert 'data-points="{"page_view":{"e":"pv","page":""}}"' in body


def test_the_page_come_from_is_a_name_of_ours_or_nothing(noticed, people):
    def came_from(referer):
        body = people["vera"].get(PAGE, headers={"Referer": referer}).content.decode()
        return body.partition('data-came-from="')[2].partition('"')[0]

    here = "http://testserver"
    assert came_from(f"{here}/ui/settings/web-analytics?q=secret") == "ui-web-analytics"
    for elsewhere in (
        "",
        f"{here}/privacy",
        f"{here}/ui/nowhere",
        "https://evil.example/ui/",
    ):
        assert came_from(elsewhere) == ""


class TestPermission:
    def test_is_given_while_collecting_and_ends_with_the_choice(
        self, noticed, people, now
    ):
        assert people["vera"].get(PERMISSION).status_code == 204
        services.set_choice(collect=False, by="ada", via=Via.API, now=now)
        answer = people["vera"].get(PERMISSION)
        assert (answer.status_code, answer["Cache-Control"]) == (410, "no-store")

    def test_ends_with_the_session(self, noticed, people):
        people["vera"].logout()
        assert people["vera"].get(PERMISSION).status_code == 410

    def test_writes_nothing_and_does_not_extend_the_session(self, noticed, people):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = people["vera"].get(PERMISSION)
        assert [q["sql"] for q in queries if not q["sql"].startswith("SELECT")] == []
        assert "Set-Cookie" not in answer.headers

    def test_is_asked_by_get_alone(self, noticed, people):
        assert people["vera"].post(PERMISSION).status_code == 405
