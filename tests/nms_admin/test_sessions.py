"""Sessions end: idle, in all, and when what they stand on changes."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from django.http import HttpResponse
from django.test import Client, override_settings
from django.urls import path
from django.utils import timezone

from common.access import sign_in_required
from nms_admin import people_urls, sessions
from nms_admin.models import Session, User
from tests.conftest import PASSWORD


@sign_in_required
def page(request):
    return HttpResponse("a page")


urlpatterns = [
    *people_urls.urlpatterns,
    path("ui/page", page, name="page"),
    path("ui/quiet", page, name="interaction-data-permission"),
]
pytestmark = [pytest.mark.usefixtures("finished"), pytest.mark.urls(__name__)]


@pytest.fixture
def clock():
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield traveller


def sign_in(name: str, **extra) -> Client:
    client = Client()
    client.post("/login", {"username": name, "password": PASSWORD}, **extra)
    return client


def opens(client: Client, address: str = "/ui/page") -> bool:
    return client.get(address).status_code == 200


def test_a_session_ends_thirty_minutes_after_the_last_page(ada, clock):
    client = sign_in("ada")
    for _ in range(4):
        clock.shift(timedelta(minutes=29))
        assert opens(client)
    clock.shift(timedelta(minutes=30))
    response = client.get("/ui/page?a=1")
    assert response["Location"] == "/login?next=/ui/page%3Fa%3D1&why=ended"
    assert "Your session ended" in client.get(response["Location"]).content.decode()


def test_what_a_page_asks_by_itself_does_not_keep_a_session(ada, clock):
    client = sign_in("ada")
    clock.shift(timedelta(minutes=20))
    assert opens(client, "/ui/quiet")
    clock.shift(timedelta(minutes=11))
    assert not opens(client, "/ui/quiet")


def test_a_session_ends_after_twelve_hours_however_busy(ada, clock):
    client = sign_in("ada")
    for _ in range(12 * 3 - 1):
        clock.shift(timedelta(minutes=20))
        assert opens(client)
    session = client.session
    session["touched"] = True
    session.save()
    clock.shift(timedelta(minutes=20))
    assert not opens(client)


def test_a_page_is_noted_at_most_once_a_minute(ada, clock, django_assert_num_queries):
    client = sign_in("ada")
    clock.shift(timedelta(minutes=2))
    assert opens(client)
    with django_assert_num_queries(3):  # set-up, session, user
        assert opens(client)


@pytest.mark.parametrize(
    "change",
    [
        {"role": "viewer"},
        {"is_active": False},
        {"session_epoch": 1},
        {"password": "x"},
    ],
)
def test_what_a_session_stands_on_ends_it(ada, change):
    client = sign_in("ada")
    assert opens(client)
    User.objects.update(**change)
    assert not opens(client)


def test_the_list_names_browser_and_address_and_ends_the_others(ada):
    mine, other = sign_in("ada", REMOTE_ADDR="10.0.0.1"), sign_in("ada")
    key = mine.session.session_key
    assert {row.address for row in sessions.of(ada, now=timezone.now())} == {
        "10.0.0.1",
        "127.0.0.1",
    }
    assert sessions.end(ada, keep=key) == 1
    assert opens(mine)
    assert not opens(other)


def test_the_table_holds_nothing_a_cookie_could_be_made_of(ada):
    client = sign_in("ada")
    rows = repr(list(Session.objects.values()))
    assert client.session.session_key not in rows
    stolen = Client()
    stolen.cookies["nms-session"] = Session.objects.get().pk
    assert opens(client)
    assert not opens(stolen)


def test_signing_in_clears_away_ended_sessions(ada, clock):
    sign_in("ada")
    clock.shift(timedelta(minutes=31))
    sign_in("ada")
    assert Session.objects.count() == 1


def test_htmx_is_sent_to_the_sign_in_page_and_back(db):
    response = Client().post(
        "/ui/page",
        headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/ui/x?y=1"},
    )
    assert response["HX-Redirect"] == "/login?next=/ui/x%3Fy%3D1"
    assert response.content == b""


@override_settings(SESSION_COOKIE_NAME="__Host-nms-session", SESSION_COOKIE_SECURE=True)
def test_over_https_the_cookie_is_bound_to_this_host(ada):
    client = Client()
    response = client.post(
        "/login", {"username": "ada", "password": PASSWORD}, secure=True
    )
    cookie = response.cookies["__Host-nms-session"]
    assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")
