"""What users change about themselves."""

from __future__ import annotations

import re
import time

import pytest
import time_machine
from django.test import Client

from audit.models import Record
from nms_admin.models import Session
from nms_admin.profile import browser
from nms_admin.sessions import stored
from tests.conftest import PASSWORD

NEW = "a fresh and long password"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
pytestmark = pytest.mark.usefixtures("finished")


def sign_in(name: str, **extra) -> Client:
    client = Client(**extra)
    client.post("/login", {"username": name, "password": PASSWORD})
    return client


def test_a_new_password_takes_the_old_one_and_ends_other_sessions(vera):
    here, there = sign_in("vera"), sign_in("vera")
    response = here.post(
        "/ui/profile/password", {"old": PASSWORD, "password": NEW}, follow=True
    )
    assert (
        "Your password is changed. Other sessions have ended."
        in response.content.decode()
    )
    assert here.get("/ui/profile").status_code == 200
    assert there.get("/ui/profile").status_code == 302
    vera.refresh_from_db()
    assert vera.check_password(NEW)
    assert Record.objects.filter(action="user.password_set", subject="vera").exists()


def test_guesses_of_the_old_password_count_like_guesses_at_sign_in(vera):
    client = sign_in("vera")
    pages = [
        client.post("/ui/profile/password", {"old": "wrong", "password": NEW})
        for _ in range(6)
    ]
    assert "This is not your password." in pages[0].content.decode()
    assert "Too many tries. Try again at" in pages[5].content.decode()
    right = client.post("/ui/profile/password", {"old": PASSWORD, "password": NEW})
    assert right.status_code == 422


def test_a_theme_is_kept_and_anything_else_refused(vera):
    client = sign_in("vera")
    answer = client.post("/ui/theme", {"theme": "dark", "next": "/ui/profile"})
    assert answer["Location"] == "/ui/profile"
    assert 'data-bs-theme="dark"' in client.get("/ui/profile").content.decode()
    for wrong in ({"theme": "pink"}, {"theme": ["dark", "light"]}, {}):
        assert client.post("/ui/theme", wrong).status_code == 400


def test_the_theme_also_counts_before_sign_in_and_on_error_pages(vera):
    client = sign_in("vera")
    client.post("/ui/theme", {"theme": "dark"})
    assert 'data-bs-theme="dark"' in client.get("/nowhere").content.decode()
    client.post("/logout")
    assert 'data-bs-theme="dark"' in client.get("/login").content.decode()
    client.cookies["theme"] = "pink"
    assert "data-bs-theme" not in client.get("/login").content.decode()


def test_the_profile_says_what_time_it_is_there(vera):
    client = sign_in("vera")
    assert "Now it is" not in client.get("/ui/profile").content.decode()
    client.post("/ui/profile/time-zone", {"time_zone": "Asia/Kolkata"})
    with time_machine.travel("2026-11-23T20:10:00Z", tick=False):
        client = sign_in("vera")
        page = re.sub(r"<[^>]+>", "", client.get("/ui/profile").content.decode())
    assert "Now it is 01:40 in Asia/Kolkata, and 20:10 UTC." in page


def test_times_carry_the_chosen_zone_in_their_title(vera):
    client = sign_in("vera")
    client.post("/ui/profile/time-zone", {"time_zone": "Asia/Kolkata"})
    page = client.get("/ui/profile").content.decode()
    assert ' Asia/Kolkata">' in page
    assert (
        client.post("/ui/profile/time-zone", {"time_zone": "Moon/Base"}).status_code
        == 422
    )


def test_sessions_are_named_and_ended_one_by_one_or_all(vera):
    here = sign_in("vera", headers={"user-agent": FIREFOX})
    others = [sign_in("vera", headers={"user-agent": f"curl/{i}"}) for i in range(3)]
    page = here.get("/ui/profile").content.decode()
    assert "Firefox on Linux" in page
    assert here.session.session_key not in page
    one = Session.objects.get(pk=stored(others[0].session.session_key))
    here.post("/ui/profile/end-sessions", {"session": one.handle()})
    assert [c.get("/ui/profile").status_code for c in others] == [302, 200, 200]
    here.post("/ui/profile/end-sessions")
    assert [c.get("/ui/profile").status_code for c in (here, *others)] == [
        200,
        302,
        302,
        302,
    ]


def test_nobody_ends_the_sessions_of_another(vera, otto):
    theirs = sign_in("otto")
    handle = Session.objects.get(pk=stored(theirs.session.session_key)).handle()
    sign_in("vera").post("/ui/profile/end-sessions", {"session": handle})
    assert theirs.get("/ui/profile").status_code == 200


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (FIREFOX, "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0) Chrome/150 Safari/537 Edg/150",
            "Edge on Windows",
        ),
        ("curl/8.1", "curl"),
        ("", "Unknown browser"),
    ],
)
def test_a_browser_is_named_from_what_it_says(agent, name):
    assert browser(agent) == name


def test_a_page_knows_when_its_session_ends(vera):
    page = sign_in("vera").get("/ui/profile").content.decode()
    ends = int(re.search(r'data-session-ends="(\d+)"', page)[1])
    assert 1790 <= ends - time.time() <= 1800
    assert "data-session-ends" not in Client().get("/login").content.decode()
