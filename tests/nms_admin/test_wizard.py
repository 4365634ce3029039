"""Set-up in five steps, by whoever knows the code, and nothing leaves before its end."""

from __future__ import annotations

import re
from datetime import timedelta
from threading import Barrier, Thread

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.utils import timezone

from analytics import services as analytics
from audit.models import Record
from common import setup
from common.models import Setup
from common.roles import Role
from licensing import services as licensing
from nms_admin import setup_code
from nms_admin.models import Session, User
from tests import make

PASSWORD = "correct horse battery staple"


@pytest.fixture
def code(db) -> str:
    return setup_code.new_code(timezone.now())


def answers(code: str, **changes) -> dict[str, str]:
    return {
        "code": code,
        "username": "ada",
        "email": "",
        "password": PASSWORD,
        "time_zone": "UTC",
        **changes,
    }


def text(response) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


@pytest.fixture
def begun(code) -> Client:
    """A browser that has done step 1."""
    client = Client()
    assert client.post("/setup/1", answers(code))["Location"] == "/setup/2"
    return client


@pytest.mark.parametrize(
    "page", ["/", "/ui/", "/ui/settings/license", "/login", "/nowhere"]
)
def test_before_the_first_step_every_page_leads_to_it(db, page):
    response = Client().get(page, follow=True)
    assert response.redirect_chain[-1][0] == "/setup/1"
    assert "Create the first administrator" in text(response)
    assert "<title>Set up, step 1 of 5: Administrator" in response.content.decode()


def test_before_the_end_the_api_answers_503_and_liveness_stays_open(db):
    response = Client().get("/api/platform/v1/license")
    assert response.status_code == 503
    assert response.content == (
        b'{"message":"Set-up is not finished. Open /setup/ in a browser.","code":503}'
    )


def test_all_five_steps_lead_into_the_console(begun):
    page = begun.get("/setup/2")
    assert "unless you opt out" in text(page)
    assert begun.post("/setup/2", {"connection": "on"})["Location"] == "/setup/3"
    assert begun.post("/setup/3", {"mode": "connected"})["Location"] == "/setup/4"
    assert begun.post("/setup/4", {"skip": "1"})["Location"] == "/setup/5"
    summary = text(begun.get("/setup/5"))
    assert "Continuous Connection is on" in summary
    assert "On for all users" in summary
    assert "This server can reach F5" in summary
    assert begun.post("/setup/5")["Location"] == "/ui/"
    assert setup.finished_at() is not None
    assert begun.get("/setup/").status_code == begun.get("/setup/1").status_code == 404
    assert Client().post("/setup/1", answers("x")).status_code == 404


def test_the_first_administrator_is_signed_in_and_the_sign_in_counts(code):
    from django.contrib.auth.signals import user_logged_in

    seen = []

    def listen(user, **_):
        seen.append(user.username)

    user_logged_in.connect(listen)
    try:
        Client().post("/setup/1", answers(code, username="grace"))
    finally:
        user_logged_in.disconnect(listen)
    assert seen == ["grace"]
    assert Session.objects.get().user.role == Role.ADMINISTRATOR


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"password": "too short"}, "Use at least 12 characters. This has 9."),
        (
            {"password": "password1234"},
            "This password is in a list of leaked passwords",
        ),
        ({"username": ""}, "This field is required."),
        ({"time_zone": "Moon/Base"}, "Write a time zone such as Europe/Berlin."),
        ({"email": "x"}, "Enter a valid email address."),
    ],
)
def test_a_wrong_answer_is_named_and_the_code_is_kept(code, changes, sentence):
    client = Client()
    response = client.post("/setup/1", answers(code, **changes))
    assert response.status_code == 422
    assert sentence in text(response)
    assert client.post("/setup/1", answers(code)).status_code == 302


def test_a_wrong_or_old_or_replaced_code_makes_nobody(code):
    newer = setup_code.new_code(timezone.now())
    for wrong in ("ABCD-EFGH-JKLM-NPQR", "", code):
        response = Client().post("/setup/1", answers(wrong or "-"))
        assert response.status_code == 403
        assert (
            "This code is wrong, older than 60 minutes, or a newer one was made."
            in text(response)
        )
    with time_machine.travel(timezone.now() + timedelta(minutes=60, seconds=1)):
        assert Client().post("/setup/1", answers(newer)).status_code == 403
    assert not User.objects.exists()
    assert (
        Client().post("/setup/1", answers(newer.lower().replace("-", " "))).status_code
        == 302
    )


def test_guessing_the_code_is_limited_and_a_new_code_ends_the_wait(code):
    codes = [Client().post("/setup/1", answers("wrong")).status_code for _ in range(7)]
    assert codes == [403] * 5 + [429] * 2
    assert Client().post("/setup/1", answers(code)).status_code == 429
    assert (
        Client()
        .post("/setup/1", answers(setup_code.new_code(timezone.now())))
        .status_code
        == 302
    )


def test_only_a_digest_of_the_code_is_stored(code):
    stored = repr(Setup.objects.values().get())
    assert code not in stored
    assert code.replace("-", "") not in stored


def test_a_second_claim_is_told_that_somebody_was_faster(begun):
    response = Client().post("/setup/1", answers("whatever", username="eve"))
    assert response.status_code == 409
    assert "Somebody else created the administrator" in text(response)
    assert list(User.objects.values_list("username", flat=True)) == ["ada"]


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(60)
def test_two_first_steps_at_once_make_one_administrator():
    code = setup_code.new_code(timezone.now())
    barrier, codes = Barrier(2), []

    def submit(name: str) -> None:
        barrier.wait()
        codes.append(
            Client().post("/setup/1", answers(code, username=name)).status_code
        )
        connection.close()

    threads = [Thread(target=submit, args=(name,)) for name in ("ada", "eve")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(codes) == [302, 409]
    assert User.objects.count() == Session.objects.count() == 1


def test_nobody_skips_ahead(begun):
    for number in (3, 4, 5):
        assert begun.get(f"/setup/{number}")["Location"] == "/setup/2"
        assert begun.post(f"/setup/{number}")["Location"] == "/setup/2"
    assert begun.get("/setup/6").status_code == begun.get("/setup/0").status_code == 404


def test_a_stranger_reaches_no_later_step(begun):
    for number in (1, 2, 5):
        assert (
            Client()
            .get(f"/setup/{number}")["Location"]
            .startswith("/login?next=/setup/")
        )
    assert (
        Client()
        .post("/setup/2", {"connection": "off"})["Location"]
        .startswith("/login")
    )
    assert licensing.connection_on()


def test_who_comes_back_signs_in_and_goes_on_where_it_was_left(begun):
    begun.post("/setup/2", {"connection": "off"})
    client = Client()
    assert (
        client.get("/ui/", follow=True).redirect_chain[-1][0].startswith("/login?next=")
    )
    client.post("/login", {"username": "ada", "password": PASSWORD})
    page = text(client.get("/ui/", follow=True))
    assert "Welcome back Steps 1 and 2 are done." in page
    assert "Check the connection to F5" in page
    assert "Welcome back" not in text(client.get("/setup/3"))
    back = client.get("/setup/2").content.decode()
    assert re.search(r'name="connection" value="off"[^>]* checked', back)


def test_an_answer_is_changed_from_the_summary_and_back(begun):
    for number, answer in (
        (2, {"connection": "on"}),
        (3, {"mode": "connected"}),
        (4, {"skip": "1"}),
    ):
        begun.post(f"/setup/{number}", answer)
    assert begun.post("/setup/2", {"connection": "off"})["Location"] == "/setup/5"
    assert begun.post("/setup/3", {"mode": "disconnected"})["Location"] == "/setup/5"
    summary = text(begun.get("/setup/5"))
    assert "Nothing is sent automatically" in summary
    assert "Disconnected" in summary
    assert setup.operation_mode() == "disconnected"


def test_the_notice_is_opted_out_of_and_undone_inside_the_set_up(begun):
    page = begun.get("/setup/2").content.decode()
    link = re.search(r'href="([^"]+opt-out[^"]*)"', page)[1].replace("&amp;", "&")
    assert begun.get(link).status_code == 200
    assert begun.post(link)["Location"] == "/setup/2"
    assert "Interaction data is off for all users." in text(begun.get("/setup/2"))
    assert analytics.choice().via == "wizard"


def test_opt_in_mode_asks_with_nothing_preselected(begun, settings):
    settings.NMS_ANALYTICS_MODE = "opt-in"
    page = begun.get("/setup/2").content.decode()
    assert not re.search(r'name="interaction"[^>]* checked', page)
    refused = begun.post("/setup/2", {"connection": "on"})
    assert refused.status_code == 422
    assert "Choose whether to collect interaction data." in text(refused)
    assert (
        begun.post("/setup/2", {"connection": "on", "interaction": "on"}).status_code
        == 302
    )
    assert analytics.choice().value is True


def test_every_choice_needs_one_answer(begun):
    for wrong in ({}, {"connection": "maybe"}, {"connection": ["on", "off"]}):
        assert begun.post("/setup/2", wrong).status_code == 422
    assert setup.current().privacy_at is None


def test_a_locked_mode_is_shown_and_not_asked(begun, settings):
    settings.NMS_OPERATION_MODE = "disconnected"
    begun.post("/setup/2", {"connection": "on"})
    page = begun.get("/setup/3")
    assert "It is set by NMS_OPERATION_MODE" in text(page)
    assert b'name="mode"' not in page.content
    assert begun.post("/setup/3", {"mode": "connected"})["Location"] == "/setup/4"
    assert setup.operation_mode() == "disconnected"


def test_a_disconnected_server_lists_no_address_of_its_own(begun, settings):
    settings.NMS_COLLECTOR_URL = ""
    begun.post("/setup/2", {"connection": "on"})
    assert (
        f"<code>{settings.NMS_TELEMETRY_URL}" in begun.get("/setup/3").content.decode()
    )
    settings.NMS_OPERATION_MODE = "disconnected"
    page = text(begun.get("/setup/3"))
    assert "Nothing is contacted from this server." in page
    assert settings.NMS_TELEMETRY_URL not in page
    settings.NMS_COLLECTOR_URL = "https://collector.example.net"
    page = text(begun.get("/setup/3"))
    assert "https://collector.example.net from browsers" in page


def test_proxy_and_certificates_are_shown_without_the_password(begun, settings):
    settings.NMS_PROXY_URL = "http://ada:pr0xy-secret@proxy.example:3128"
    settings.NMS_CA_BUNDLE = "/etc/ssl/own.pem"
    begun.post("/setup/2", {"connection": "on"})
    page = text(begun.get("/setup/3"))
    assert "http://•••@proxy.example:3128" in page
    assert "/etc/ssl/own.pem" in page
    assert "pr0xy-secret" not in page


def test_the_address_usage_goes_to_is_that_of_its_channel(begun, settings):
    begun.post("/setup/2", {"connection": "on"})
    assert settings.NMS_USAGE_BATCH_URL not in text(begun.get("/setup/3"))
    settings.NMS_USAGE_CHANNEL = "batch"
    assert settings.NMS_USAGE_BATCH_URL in text(begun.get("/setup/3"))


def test_do_not_track_is_said_instead_of_asked(begun, settings):
    settings.DO_NOT_TRACK = True
    page = text(begun.get("/setup/2"))
    assert (
        "DO_NOT_TRACK is set on this server, so nothing is sent automatically." in page
    )
    assert begun.post("/setup/2", {})["Location"] == "/setup/3"


def test_a_license_is_added_by_file_or_paste_and_replaced_on_the_way_back(begun):
    make.keys_file()
    begun.post("/setup/2", {"connection": "on"})
    begun.post("/setup/3", {"mode": "connected"})
    file = SimpleUploadedFile("license.jwt", make.token(timezone.now()).encode())
    assert begun.post("/setup/4", {"add": "1", "file": file})["Location"] == "/setup/5"
    assert "SBX-00198432" in text(begun.get("/setup/5"))
    other = make.token(timezone.now(), sub="SBX-2")
    assert (
        begun.post("/setup/4", {"add": "1", "token": other})["Location"] == "/setup/5"
    )
    assert "SBX-2" in text(begun.get("/setup/5"))
    assert licensing.current().via == "wizard"


def drawn(page) -> str:
    """Return which license the form names that somebody has open."""
    return re.search(r'name="seen" value="(\d+)"', page.content.decode())[1]


def test_the_license_another_administrator_added_is_not_replaced_unseen(begun):
    make.keys_file()
    begun.post("/setup/2", {"connection": "on"})
    begun.post("/setup/3", {"mode": "connected"})
    bob, user = Client(), User.objects.create_user("bob", role=Role.ADMINISTRATOR)
    bob.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    mine, his = drawn(begun.get("/setup/4")), drawn(bob.get("/setup/4"))
    now = timezone.now()
    theirs = {"add": "1", "token": make.token(now, sub="SBX-BOB"), "seen": his}
    assert bob.post("/setup/4", theirs)["Location"] == "/setup/5"

    form = {"add": "1", "token": make.token(now, sub="SBX-ADA")}
    answer = begun.post("/setup/4", form | {"seen": mine})
    assert answer.status_code == 409
    assert "bob added SBX-BOB on" in text(answer)
    assert "Nothing of yours was stored" in text(answer)
    assert licensing.current().subscription_id == "SBX-BOB"
    answer = begun.post("/setup/4", form | {"seen": drawn(answer)})
    assert answer["Location"] == "/setup/5"
    assert licensing.current().subscription_id == "SBX-ADA"


def test_a_refused_license_does_not_hide_what_another_added(begun):
    make.keys_file()
    begun.post("/setup/2", {"connection": "on"})
    begun.post("/setup/3", {"mode": "connected"})
    mine = drawn(begun.get("/setup/4"))
    make.license(timezone.now())
    answer = begun.post("/setup/4", {"add": "1", "token": "no", "seen": mine})
    assert answer.status_code == 422
    assert drawn(answer) == mine == "0"


def test_a_step_that_names_no_license_by_number_is_refused(begun):
    begun.post("/setup/2", {"connection": "on"})
    begun.post("/setup/3", {"mode": "connected"})
    answer = begun.post("/setup/4", {"add": "1", "token": "no", "seen": "one"})
    assert answer.status_code == 400
    assert setup.current().license_at is None


def test_something_that_is_no_license_is_refused_with_its_reason(begun):
    begun.post("/setup/2", {"connection": "on"})
    begun.post("/setup/3", {"mode": "connected"})
    response = begun.post("/setup/4", {"add": "1", "token": "<html>"})
    assert response.status_code == 422
    assert "This is not a license file" in text(response)
    assert "Found an HTML page" in text(response)
    assert setup.current().license_at is None


def test_each_decision_is_in_the_chain_with_the_wizard_named(begun):
    begun.post("/setup/2", {"connection": "off"})
    begun.post("/setup/3", {"mode": "disconnected"})
    begun.post("/setup/4", {"skip": "1"})
    begun.post("/setup/5")
    begun_at = Record.objects.order_by("sequence").values_list("action", "actor", "via")
    assert list(begun_at) == [
        ("setup.claimed", "ada", "wizard"),
        ("user.signed_in", "ada", "sign_in"),
        ("connection.off", "ada", "wizard"),
        ("setup.operation_mode", "ada", "wizard"),
        ("setup.finished", "ada", "wizard"),
    ]
