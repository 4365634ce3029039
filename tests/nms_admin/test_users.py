"""Administrators add users, change roles and shut people out; never the last of them."""

from __future__ import annotations

import re
from datetime import timedelta
from threading import Barrier, Thread

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import Record
from common.roles import Role
from nms_admin import lockout, people
from nms_admin.models import User
from nms_admin.users import ROLE_HELP
from tests.conftest import PASSWORD

NEW = "a fresh and long password"


def add(client: Client, **changes) -> tuple[str, str]:
    """Add a user on the page; return the path of the one-time link and the page."""
    data = {"username": "nora", "email": "", "role": "operator", **changes}
    page = client.post("/ui/settings/users/add", data).content.decode()
    found = re.search(r"http://127\.0\.0\.1:8000(/welcome/[\w-]+)", page)
    return (found[1] if found else "", page)


def by(user: User) -> people.By:
    return people.By(user.username, timezone.now(), pk=user.pk)


def test_a_new_user_sets_a_password_with_the_link_and_signs_in(ada, signed_in):
    link, page = add(signed_in(ada))
    assert "shown now and never again" in page
    nora = Client()
    assert (
        "You sign in as <strong>nora</strong> (Operator)"
        in nora.get(link).content.decode()
    )
    assert nora.post(link, {"password": NEW})["Location"] == "/login?why=password-set"
    assert 'value="nora"' in nora.get("/login?why=password-set").content.decode()
    answer = nora.post("/login", {"username": "nora", "password": NEW})
    assert answer.status_code == 302
    assert User.objects.get(username="nora").role == Role.OPERATOR


def test_everybody_reads_what_each_role_may_do(ada, vera, signed_in):
    for person in (ada, vera):
        client = signed_in(person)
        page = client.get("/ui/settings/users").content.decode()
        for sentence in ROLE_HELP.values():
            assert sentence in page
        own = client.get("/ui/profile").content.decode()
        assert [s for s in ROLE_HELP.values() if s in own] == [ROLE_HELP[person.role]]


def test_the_link_works_once(ada, signed_in):
    link, _ = add(signed_in(ada))
    Client().post(link, {"password": NEW})
    again = Client().post(link, {"password": "another long password"})
    assert again.status_code == 404
    assert "Ask an administrator for a new one" in again.content.decode()
    assert User.objects.get(username="nora").check_password(NEW)


def test_the_link_ends_after_a_day_and_with_a_newer_one(ada, signed_in):
    link, _ = add(signed_in(ada))
    nora = User.objects.get(username="nora")
    page = signed_in(ada).post(reverse("user-link", args=[nora.pk])).content.decode()
    newer = re.search(r"/welcome/[\w-]+", page)[0]
    assert Client().get(link).status_code == 404
    assert Client().get(newer).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(hours=24, seconds=1)):
        assert Client().get(newer).status_code == 404


def test_the_link_is_not_stored_and_not_shown_again(ada, signed_in):
    client = signed_in(ada)
    link, _ = add(client)
    token = link.removeprefix("/welcome/")
    nora = User.objects.get(username="nora")
    assert token not in repr(list(User.objects.values_list()))
    assert token not in repr(list(Record.objects.values_list()))
    assert token not in client.get(reverse("ui-user", args=[nora.pk])).content.decode()


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        ("too short", "Use at least 12 characters. This has 9."),
        ("password1234", "This password is in a list of leaked passwords."),
        ("nora.nordman@example", "too much like the user name or email"),
        ("x" * 5000, "Use at most 4096 characters."),
    ],
)
def test_a_poor_password_is_refused_with_its_reason(ada, signed_in, password, sentence):
    link, _ = add(signed_in(ada), email="nora.nordman@example.net")
    response = Client().post(link, {"password": password})
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert Client().get(link).status_code == 200


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"username": "ADA"}, "There is already a user with this name."),
        ({"username": "a b"}, "Enter a valid username"),
        ({"username": ""}, "This field is required."),
        ({"role": "root"}, "Select a valid choice"),
        ({"email": "no address"}, "Enter a valid email address."),
    ],
)
def test_a_wrong_new_user_is_refused_with_its_reason(ada, signed_in, changes, sentence):
    link, page = add(signed_in(ada), **changes)
    assert not link
    assert sentence in page
    assert User.objects.count() == 1


def test_only_the_fields_of_the_form_are_taken(ada, signed_in):
    add(signed_in(ada), is_superuser="1", is_staff="1", session_epoch="7", password="x")
    nora = User.objects.get(username="nora")
    assert (nora.is_superuser, nora.is_staff, nora.session_epoch) == (False, False, 0)
    assert not nora.has_usable_password()


def test_a_new_role_ends_the_sessions(ada, otto, signed_in):
    theirs = signed_in(otto)
    assert theirs.get("/ui/profile").status_code == 200
    signed_in(ada).post(reverse("user-role", args=[otto.pk]), {"role": "viewer"})
    assert theirs.get("/ui/profile").status_code == 302
    record = Record.objects.get(action="user.role_changed")
    assert (record.actor, record.subject) == ("ada", "otto")
    assert record.details == {"before": "operator", "after": "viewer"}


def test_nobody_changes_their_own_role(ada, signed_in):
    response = signed_in(ada).post(
        reverse("user-role", args=[ada.pk]), {"role": "viewer"}
    )
    assert response.status_code == 409
    assert "You cannot change your own role." in response.content.decode()
    ada.refresh_from_db()
    assert ada.role == Role.ADMINISTRATOR


def test_the_last_administrator_stays(ada, otto, signed_in):
    response = signed_in(ada).post(reverse("user-deactivate", args=[ada.pk]))
    assert response.status_code == 409
    assert "You cannot remove the last administrator." in response.content.decode()
    ada.refresh_from_db()
    assert ada.is_active


def test_a_deactivated_user_is_out_at_once_and_can_come_back(ada, otto, signed_in):
    theirs = signed_in(otto)
    signed_in(ada).post(reverse("user-deactivate", args=[otto.pk]))
    assert theirs.get("/ui/profile").status_code == 302
    assert (
        Client().post("/login", {"username": "otto", "password": PASSWORD}).status_code
        == 422
    )
    signed_in(ada).post(reverse("user-activate", args=[otto.pk]))
    assert theirs.get("/ui/profile").status_code == 302
    assert (
        Client().post("/login", {"username": "otto", "password": PASSWORD}).status_code
        == 302
    )


def test_a_deactivated_user_gets_no_link_and_keeps_none(ada, signed_in):
    link, _ = add(signed_in(ada))
    nora = User.objects.get(username="nora")
    people.set_active(nora.pk, False, by(ada))
    assert Client().get(link).status_code == 404
    answer = signed_in(ada).post(reverse("user-link", args=[nora.pk]))
    assert "Activate this user first." in answer.content.decode()


def test_a_locked_user_is_unlocked_on_the_page(ada, otto, signed_in):
    for _ in range(5):
        Client().post(
            "/login", {"username": "otto", "password": "wrong"}, REMOTE_ADDR="10.0.0.9"
        )
    client = signed_in(ada)
    assert "Locked" in client.get("/ui/settings/users").content.decode()
    assert (
        "Locked after too many tries"
        in client.get(reverse("ui-user", args=[otto.pk])).content.decode()
    )
    client.post(reverse("user-unlock", args=[otto.pk]))
    assert (
        Client().post("/login", {"username": "otto", "password": PASSWORD}).status_code
        == 302
    )


def test_others_read_the_list_and_who_may_change_it(ada, otto, vera, signed_in):
    for user in (otto, vera):
        page = signed_in(user).get("/ui/settings/users").content.decode()
        assert "Only an administrator can change users. Administrators: ada" in page
        assert "Add user" not in page


def test_a_role_needs_one_known_value(ada, otto, signed_in):
    for roles in ([], ["root"], ["viewer", "administrator"]):
        response = signed_in(ada).post(
            reverse("user-role", args=[otto.pk]), {"role": roles}
        )
        assert response.status_code == 422
    otto.refresh_from_db()
    assert otto.role == Role.OPERATOR


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(60)
def test_two_administrators_who_remove_each_other_leave_one():
    first = User.objects.create_user("first", role=Role.ADMINISTRATOR)
    second = User.objects.create_user("second", role=Role.ADMINISTRATOR)
    barrier, outcomes = Barrier(2), []

    def remove(actor: User, target: User) -> None:
        barrier.wait()
        try:
            people.set_active(target.pk, False, by(actor))
            outcomes.append("done")
        except Exception as error:  # noqa: BLE001 - whatever it says is the outcome
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [
        Thread(target=remove, args=pair) for pair in ((first, second), (second, first))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["PermissionDenied", "done"]
    assert len(people.administrators()) == 1


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(60)
def test_tries_made_at_once_get_no_further_than_one_after_the_other():
    barrier, allowed = Barrier(12), []

    def guess() -> None:
        barrier.wait()
        allowed.append(lockout.claim("ada", "10.0.0.1", now=timezone.now()))
        connection.close()

    threads = [Thread(target=guess) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(allowed) == 12
    assert 1 <= sum(allowed) <= lockout.NAME_LIMIT
