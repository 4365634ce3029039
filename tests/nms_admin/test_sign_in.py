"""Sign in with a browser: who gets in, what the others read, what is kept."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth.signals import user_logged_in
from django.test import Client

from audit.models import Record
from nms_admin import activity
from nms_admin.models import Session, User
from tests.conftest import PASSWORD

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("finished")


@pytest.fixture
def clock():
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


def attempt(name: str, password: str, client: Client | None = None, **extra):
    data = {"username": name, "password": password}
    return (client or Client()).post(
        "/login", {**data, **extra.pop("data", {})}, **extra
    )


def message(response) -> str:
    found = re.search(r'role="alert".*?</div>', response.content.decode(), re.S)
    return re.sub(r"<[^>]+>|\s+", " ", found[0]).strip() if found else ""


def test_the_right_password_opens_the_overview(ada):
    response = attempt("ada", PASSWORD)
    assert (response.status_code, response["Location"]) == (302, "/ui/")
    assert Session.objects.get().user == ada


def test_a_sign_in_is_one_transaction_with_session_record_and_event(ada):
    from django.db import connection

    depth = []

    def listen(**_):
        depth.append(connection.in_atomic_block)
        raise RuntimeError("the event cannot be stored")

    user_logged_in.connect(listen)
    try:
        with pytest.raises(RuntimeError):
            attempt("ada", PASSWORD)
    finally:
        user_logged_in.disconnect(listen)
    assert depth == [True]
    assert not Session.objects.filter(user=ada).exists()
    assert not Record.objects.filter(action="user.signed_in").exists()


def test_unknown_inactive_invited_and_wrong_read_the_same(ada, otto, vera):
    User.objects.filter(pk=otto.pk).update(is_active=False)
    vera.set_unusable_password()
    vera.save()
    names = ("ada", "otto", "vera", "nobody")
    pages = [
        attempt(name, "wrong", REMOTE_ADDR=f"10.0.0.{i}")
        for i, name in enumerate(names)
    ]
    bodies = {
        re.sub(
            r'name="csrf\S+ value="\w+"|content="\w{64}"|value="(?:ada|otto|vera|nobody)"',
            "",
            page.content.decode(),
        )
        for page in pages
    }
    assert {page.status_code for page in pages} == {422}
    assert len(bodies) == 1
    assert "4 tries left before a 15-minute wait." in bodies.pop()


@pytest.mark.parametrize("name", ["ada", "nobody", "nul\0byte", "x" * 400])
def test_after_five_wrong_tries_a_name_waits_whether_it_exists_or_not(ada, clock, name):
    answers = [attempt(name, "wrong", REMOTE_ADDR=f"10.0.0.{i}") for i in range(6)]
    assert [answer.status_code for answer in answers] == [422] * 4 + [429] * 2
    assert "1 try left" in message(answers[3])
    assert "Too many tries" in message(answers[4])
    assert "Try again at 12:15 UTC, or ask an administrator to unlock" in message(
        answers[4]
    )
    assert int(answers[4]["Retry-After"]) == 901


def test_a_locked_name_is_refused_with_the_right_password_until_the_wait_ends(
    ada, clock
):
    for _ in range(5):
        attempt("ada", "wrong")
    assert attempt("ada", PASSWORD).status_code == 429
    clock.shift(timedelta(minutes=14))
    assert attempt("ada", PASSWORD).status_code == 429
    clock.shift(timedelta(minutes=1, seconds=1))
    assert attempt("ada", PASSWORD).status_code == 302


def test_the_right_password_gives_back_all_tries(ada):
    for _ in range(3):
        for _ in range(4):
            assert attempt("ada", "wrong").status_code == 422
        assert attempt("ada", PASSWORD).status_code == 302


def test_an_address_that_sprays_names_is_cut_after_twenty(ada, otto):
    codes = [attempt(f"name{i}", "wrong").status_code for i in range(25)]
    assert codes == [422] * 19 + [429] * 6
    assert attempt("ada", PASSWORD).status_code == 429
    assert attempt("ada", PASSWORD, REMOTE_ADDR="10.9.9.9").status_code == 302


def test_signing_in_does_not_give_an_address_its_tries_on_other_names_back(ada):
    for i in range(19):
        attempt(f"name{i}", "wrong")
    assert attempt("ada", PASSWORD).status_code == 302
    attempt("one more", "wrong")
    assert attempt("ada", PASSWORD).status_code == 429


def test_a_forwarded_address_counts_only_behind_a_trusted_proxy(ada, settings):
    def spray(**extra):
        return [
            attempt(
                f"n{i}",
                "wrong",
                HTTP_X_FORWARDED_FOR=f"203.0.113.{i}, 198.51.100.{i}",
                **extra,
            ).status_code
            for i in range(21)
        ]

    assert spray()[-1] == 429
    settings.NMS_TRUSTED_PROXIES = ["10.1.0.0/16"]
    assert set(spray(REMOTE_ADDR="10.1.2.3")) == {422}


def test_of_what_is_typed_only_a_digest_of_the_name_is_counted(ada):
    from axes.models import AccessAttempt

    attempt("my-secret-guess", "my-secret-guess", HTTP_USER_AGENT="curl")
    row = AccessAttempt.objects.values().get()
    assert row["failures_since_start"] == 1
    assert "secret" not in repr(row)
    assert not row["post_data"] + row["user_agent"]


def test_a_password_typed_as_the_name_is_not_in_the_audit_log(ada):
    attempt("my-secret-guess", "ada")
    record = Record.objects.get()
    assert activity.line(record).sentence == "A sign-in as an unknown name failed"
    assert "my-secret-guess" not in repr(vars(record))


def test_failed_sign_ins_leave_one_record_per_name_and_minute(ada, clock):
    for _ in range(3):
        attempt("ada", "wrong")
    attempt("otto", "wrong")
    attempt("vera", "wrong")
    clock.shift(timedelta(minutes=1))
    attempt("ada", "wrong")
    failed = Record.objects.filter(action="user.sign_in_failed").order_by("sequence")
    assert list(failed.values_list("subject", flat=True)) == [
        "ada",
        "an unknown name",
        "ada",
    ]


def test_refused_tries_leave_one_record_of_the_lock_and_no_more(ada, clock):
    for _ in range(30):
        attempt("ada", "wrong")
    assert Record.objects.filter(action="user.locked", subject="ada").count() == 1
    assert Record.objects.count() == 2


def test_no_user_name_or_password_is_logged(ada, caplog):
    caplog.set_level("DEBUG")
    attempt("ada", "guess-of-mine")
    attempt("ada", PASSWORD)
    for _ in range(6):
        attempt("somebody-else", "guess-of-mine")
    assert "guess-of-mine" not in caplog.text
    lines = [
        r.getMessage() for r in caplog.records if not r.name.startswith("django.db")
    ]
    assert not [line for line in lines if "ada" in line or "somebody-else" in line]


@pytest.mark.parametrize(
    ("asked", "opened"),
    [
        ("/ui/settings/license?x=1", "/ui/settings/license?x=1"),
        ("https://evil.example/", "/ui/"),
        ("//evil.example/", "/ui/"),
        ("/\\evil.example", "/ui/"),
        ("\\\\evil.example", "/ui/"),
        ("/\t/evil.example", "/ui/"),
        ("javascript:alert(1)", "/ui/"),
        ("ui/settings", "/ui/"),
        ("http:///evil.example", "/ui/"),
        ("", "/ui/"),
    ],
)
def test_only_our_own_pages_are_opened_after_sign_in(ada, asked, opened):
    assert attempt("ada", PASSWORD, data={"next": asked})["Location"] == opened


def test_the_session_key_changes_with_the_sign_in(ada, otto):
    client = Client()
    attempt("ada", PASSWORD, client)
    first = client.session.session_key
    attempt("ada", PASSWORD, client)
    assert client.session.session_key != first
    assert not Session.objects.filter(pk=first).exists()


def test_signing_out_takes_a_post_and_ends_the_session(ada):
    client = Client()
    attempt("ada", PASSWORD, client)
    assert client.get("/logout").status_code == 405
    response = client.post("/logout", follow=True)
    assert "Signed out" in response.content.decode()
    assert not Session.objects.exists()


def test_the_form_is_refused_without_its_csrf_token(ada):
    client = Client(enforce_csrf_checks=True)
    assert attempt("ada", PASSWORD, client).status_code == 403
    assert not Session.objects.exists()


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(ada):
    cookie = attempt("ada", PASSWORD).cookies["nms-session"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (
        True,
        "Lax",
        "/",
    )
    assert 12 * 3600 - 5 <= cookie["max-age"] <= 12 * 3600


def test_a_flood_of_wrong_passwords_is_cheap(ada):
    client = Client()
    for i in range(25):
        attempt("ada", f"guess {i}", client)
    began = time.process_time()
    for i in range(100):
        assert attempt("ada", f"guess {i}", client).status_code == 429
    assert time.process_time() - began <= 1
