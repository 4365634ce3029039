"""The API knows accounts by Basic credentials alone."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
import time_machine
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils import timezone

from audit.models import Record
from common.api import api_needs
from common.roles import Role
from common.signals import api_signed_in
from nms_admin import basic
from nms_admin.models import User
from tests.conftest import PASSWORD


@pytest.fixture(autouse=True)
def _nothing_remembered():
    basic._verified.clear()


@pytest.fixture
def logins():
    seen = []

    def listen(user, now, **_):
        seen.append(user.username)

    api_signed_in.connect(listen)
    yield seen
    api_signed_in.disconnect(listen)


@pytest.fixture
def hashings(monkeypatch):
    """Count how often a password is really verified."""
    from django.contrib.auth import hashers

    seen = []
    verify = hashers.verify_password
    monkeypatch.setattr(
        hashers, "verify_password", lambda *a, **k: (seen.append(1), verify(*a, **k))[1]
    )
    return seen


def header(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def ask(authorization: str, **extra) -> HttpRequest:
    request = RequestFactory().get("/api/x", HTTP_AUTHORIZATION=authorization, **extra)
    request.answer = basic.Basic()(request)
    return request


def test_right_credentials_give_the_account(ada):
    request = ask(header("ada", PASSWORD))
    assert request.answer == request.user == ada


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Basic",
        "Basic !!!",
        "Bearer YWRhOmFkYQ==",
        "YWRhOmFkYQ==",
        "Basic /////w==",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"a\0b:c").decode(),
        header("ada", "wrong"),
        header("nobody", PASSWORD),
    ],
)
def test_anything_else_gives_nobody(ada, value):
    assert ask(value).answer is None


def test_an_inactive_account_is_refused_even_when_just_verified(ada):
    assert ask(header("ada", PASSWORD)).answer == ada
    User.objects.update(is_active=False)
    assert ask(header("ada", PASSWORD)).answer is None


def test_verified_credentials_are_not_hashed_again_for_a_minute(
    ada, hashings, monkeypatch
):
    for _ in range(5):
        ask(header("ada", PASSWORD))
    assert len(hashings) == 1
    clock = basic.time.monotonic() + 61
    monkeypatch.setattr(basic.time, "monotonic", lambda: clock)
    ask(header("ada", PASSWORD))
    assert len(hashings) == 2


def test_a_new_password_or_role_ends_what_was_remembered(ada, hashings):
    ask(header("ada", PASSWORD))
    User.objects.update(role=Role.VIEWER)
    assert ask(header("ada", PASSWORD)).answer.role == Role.VIEWER
    assert len(hashings) == 2
    ada.refresh_from_db()
    ada.set_password("another long password")
    ada.save()
    assert ask(header("ada", PASSWORD)).answer is None


def test_what_is_remembered_holds_no_password(ada):
    ask(header("ada", PASSWORD))
    assert PASSWORD not in repr(basic._verified)
    assert PASSWORD.encode() not in b"".join(basic._verified)


def test_a_locked_name_is_refused_before_hashing_and_before_what_is_remembered(
    ada, hashings
):
    ask(header("ada", PASSWORD))
    for _ in range(4):
        assert ask(header("ada", "wrong")).answer is None
    with pytest.raises(basic.TooManyTries) as refusal:
        ask(header("ada", "wrong"))
    before = len(hashings)
    with pytest.raises(basic.TooManyTries):
        ask(header("ada", PASSWORD))
    assert len(hashings) == before
    assert refusal.value.status_code == 429
    assert 890 <= refusal.value.retry_after <= 901
    assert "Too many tries. Try again at" in str(refusal.value)


def test_form_and_api_share_one_count(ada, client, finished):
    for _ in range(4):
        client.post("/login", {"username": "ada", "password": "wrong"})
    with pytest.raises(basic.TooManyTries):
        ask(header("ada", "wrong"))


def test_an_api_login_is_announced_at_most_once_in_fifteen_minutes(ada, logins):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for minutes in (0, 1, 13, 2, 1):
            clock.shift(timedelta(minutes=minutes))
            basic._verified.clear()
            ask(header("ada", PASSWORD))
    assert logins == ["ada", "ada"]


def test_a_wrong_password_is_announced_to_nobody(ada, logins):
    ask(header("ada", "wrong"))
    assert logins == []
    record = Record.objects.get()
    assert (record.action, record.via) == ("user.sign_in_failed", "api")


def test_an_operation_refuses_a_role_that_may_not(ada, vera):
    from ninja.errors import HttpError

    @api_needs(Role.ADMINISTRATOR)
    def operation(request: HttpRequest) -> str:
        return "done"

    request = ask(header("ada", PASSWORD))
    assert operation(request) == "done"
    request.user = vera
    with pytest.raises(HttpError, match="This needs the role Administrator"):
        operation(request)
    assert operation.access == Role.ADMINISTRATOR
