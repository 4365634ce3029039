"""Add, replace, switch, terminate: with and without htmx, and what is refused."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile

from audit.models import Record
from common.models import Via
from common.roles import Role
from egress import gate
from licensing import services
from licensing.models import ConnectionChoice, License
from nms_admin.models import User
from telemetry import catalog
from telemetry import services as telemetry
from telemetry.models import Event
from tests import make

pytestmark = pytest.mark.django_db
PAGE = "/ui/settings/license"
ADD = f"{PAGE}/add"
SWITCH = f"{PAGE}/continuous-connection"
HTMX = {"hx-request": "true"}
DER = bytes.fromhex("3082010006092a864886f70d010702a081f2") + b"\1" * 200


@pytest.fixture(autouse=True)
def _noon(now):
    make.keys_file()
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def ada_client(signed_in, ada):
    """Ada's browser; the event of her sign-in does not wait any more."""
    client = signed_in(ada)
    Event.objects.all().delete()
    return client


def file(content: bytes | str, name: str = "nginx.jwt") -> SimpleUploadedFile:
    return SimpleUploadedFile(
        name, content.encode() if isinstance(content, str) else content
    )


def text(response) -> str:
    return " ".join(response.content.decode().split())


def wait(count: int, now) -> None:
    for _ in range(count):
        assert telemetry.record(catalog.LOGIN, now=now)


# Add


def test_a_file_is_added_and_the_page_says_so(ada_client, now):
    answer = ada_client.post(ADD, {"file": file(make.token(now))}, follow=True)
    assert answer.redirect_chain == [(PAGE, 302)]
    assert f"License {make.SUBSCRIPTION} was added." in text(answer)
    found = services.current()
    assert (found.applied_by, found.via) == ("ada", Via.SETTINGS)


def test_a_pasted_license_is_added(ada_client, now):
    pasted = f"\n  {make.token(now)}  \r\n"
    assert ada_client.post(ADD, {"token": pasted}).status_code == 302
    assert services.current()


def test_the_file_counts_when_both_are_given(ada_client, now):
    data = {"file": file(make.token(now)), "token": "something else"}
    assert ada_client.post(ADD, data).status_code == 302


@pytest.mark.parametrize(("choice", "on"), [("on", True), ("off", False)])
def test_the_choice_beside_add_is_stored_with_the_license(ada_client, now, choice, on):
    ada_client.post(ADD, {"file": file(make.token(now)), "telemetry": choice})
    assert services.connection_on() is on
    assert ConnectionChoice.objects.get().decided_by == "ada"


def test_a_form_without_the_choice_leaves_it(ada_client, now):
    services.set_connection(on=False, by="ada", via=Via.WIZARD, now=now)
    ada_client.post(ADD, {"file": file(make.token(now))})
    assert not services.connection_on()


@pytest.mark.parametrize("choice", [["maybe"], ["on", "off"], [""]])
def test_another_choice_is_refused_and_nothing_stored(ada_client, now, choice):
    data = {"file": file(make.token(now)), "telemetry": choice}
    assert ada_client.post(ADD, data).status_code == 400
    assert not License.objects.exists()


def test_adding_with_one_current_replaces_it(ada_client, now):
    make.license(now - timedelta(days=1), sub="SBX-11111111")
    answer = ada_client.post(ADD, {"file": file(make.token(now))}, follow=True)
    assert f"License {make.SUBSCRIPTION} replaced the one before." in text(answer)
    assert License.objects.filter(current=True).count() == 1
    assert License.objects.get(current=None).ended_reason == "replaced"


def test_adding_the_same_license_again_changes_nothing(ada_client, now):
    earlier = now - timedelta(days=1)
    content = make.token(now)
    services.apply_license(
        content=content.encode(), by="ada", via=Via.SETTINGS, now=earlier
    )
    answer = ada_client.post(ADD, {"file": file(content)}, follow=True)
    assert "is in force already; nothing was changed." in text(answer)
    assert License.objects.count() == 1


@pytest.fixture
def bob_client(signed_in):
    """The browser of a second administrator."""
    return signed_in(User.objects.create_user("bob", role=Role.ADMINISTRATOR))


def seen(client) -> str:
    """Return which license the form names that somebody has open."""
    return re.search(r'name="seen" value="(\d+)"', text(client.get(ADD)))[1]


def test_who_replaces_a_license_that_is_not_the_one_seen_is_told_first(
    ada_client, bob_client, now
):
    make.license(now - timedelta(days=1))
    mine, his = seen(ada_client), seen(bob_client)
    theirs = {"file": file(make.token(now, sub="SBX-BOB")), "seen": his}
    assert "replaced the one before" in text(bob_client.post(ADD, theirs, follow=True))

    form = {"file": file(make.token(now, sub="SBX-ADA")), "seen": mine}
    answer = ada_client.post(ADD, form)
    assert answer.status_code == 409
    shown = text(answer)
    assert "Another license is in force by now" in shown
    assert "bob added SBX-BOB on" in shown
    assert f"{now:%-d %b %Y, %H:%M} UTC</time>, after you opened" in shown
    assert "Nothing of yours was stored" in shown
    assert License.objects.get(current=True).subscription_id == "SBX-BOB"

    drawn = re.search(r'name="seen" value="(\d+)"', shown)[1]
    form = {"file": file(make.token(now, sub="SBX-ADA")), "seen": drawn}
    answer = ada_client.post(ADD, form, follow=True)
    assert "License SBX-ADA replaced the one before." in text(answer)


def test_who_saw_no_license_does_not_replace_the_one_added_since(
    ada_client, bob_client, now
):
    mine = seen(ada_client)
    bob_client.post(ADD, {"file": file(make.token(now, sub="SBX-BOB")), "seen": "0"})
    answer = ada_client.post(ADD, {"file": file(make.token(now)), "seen": mine})
    assert answer.status_code == 409
    assert "bob added SBX-BOB" in text(answer)
    assert License.objects.get().subscription_id == "SBX-BOB"


def test_who_replaces_a_license_that_was_terminated_is_told_first(
    ada_client, bob_client, now
):
    make.license(now)
    mine = seen(ada_client)
    bob_client.post(f"{PAGE}/terminate", {"confirm": make.SUBSCRIPTION})
    answer = ada_client.post(ADD, {"file": file(make.token(now)), "seen": mine})
    assert answer.status_code == 409
    assert f"bob terminated {make.SUBSCRIPTION} on" in text(answer)
    assert not License.objects.filter(current=True).exists()


def test_a_refused_file_does_not_hide_what_another_added(ada_client, bob_client, now):
    make.license(now - timedelta(days=1))
    mine = seen(ada_client)
    bob_client.post(ADD, {"file": file(make.token(now, sub="SBX-BOB"))})
    answer = ada_client.post(ADD, {"file": file("no license"), "seen": mine})
    assert answer.status_code == 422
    assert f'name="seen" value="{mine}"' in text(answer)


def test_both_may_add_the_same_license(ada_client, bob_client, now):
    content, mine = make.token(now), seen(ada_client)
    bob_client.post(ADD, {"file": file(content), "seen": "0"})
    form = {"file": file(content), "seen": mine}
    assert "License" in text(ada_client.post(ADD, form, follow=True))
    assert License.objects.count() == 1


@pytest.mark.parametrize("value", ["-1", "one", "9" * 19, "1.0"])
def test_a_form_that_names_no_license_by_number_is_refused(ada_client, now, value):
    answer = ada_client.post(ADD, {"file": file(make.token(now)), "seen": value})
    assert answer.status_code == 400
    assert not License.objects.exists()


def test_an_ended_license_replaces_a_valid_one_only_when_asked_twice(ada_client, now):
    make.license(now)
    ended = make.token(now - timedelta(days=400), 380, sub="SBX-ENDED")
    answer = ada_client.post(ADD, {"file": file(ended)})
    assert answer.status_code == 422
    shown = text(answer)
    assert "This license, SBX-ENDED, has ended; the one in force is valid" in shown
    assert "a license that ends after" in shown
    assert License.objects.get().subscription_id == make.SUBSCRIPTION
    answer = ada_client.post(ADD, {"file": file(ended), "anyway": "1"}, follow=True)
    assert "License SBX-ENDED replaced the one before." in text(answer)


def test_an_older_license_replaces_a_newer_one_only_when_asked_twice(ada_client, now):
    make.license(now)
    older = make.token(now - timedelta(days=30), 380)
    answer = ada_client.post(ADD, {"file": file(older)})
    assert answer.status_code == 422
    assert "is older than the one in force" in text(answer)
    assert "The older license takes the place of the newer one." in text(answer)
    assert License.objects.count() == 1
    answer = ada_client.post(ADD, {"file": file(older), "anyway": "1"}, follow=True)
    assert "replaced the one before." in text(answer)


def test_a_newer_license_and_one_of_another_subscription_need_no_question(
    ada_client, now
):
    make.license(now - timedelta(days=30))
    ada_client.post(ADD, {"file": file(make.token(now))})
    other = make.token(now - timedelta(days=60), sub="SBX-OTHER")
    ada_client.post(ADD, {"file": file(other)})
    assert services.current().subscription_id == "SBX-OTHER"


def test_an_smime_license_is_taken_with_its_subscription(ada_client):
    data = {"file": file(DER, "nms.lic"), "subscription_id": "SBX-00000007"}
    answer = ada_client.post(ADD, data, follow=True)
    assert "SBX-00000007" in text(answer)
    assert "Signature not checked" in text(answer)
    assert "cannot be read here" in text(answer)


def test_an_smime_license_without_one_says_what_is_missing(ada_client):
    answer = ada_client.post(ADD, {"file": file(DER, "nms.lic")}, follow=True)
    assert "Events are held: the license has no subscription ID here." in text(answer)


HS512 = make.parts(
    [b'{"alg":"HS512","typ":"JWT","kid":"v1"}', b'{"sub":"x"}', b"x" * 64]
).encode()
REFUSED = {
    "nothing": (lambda now: b"", "empty"),
    "a certificate": (lambda now: b"-----BEGIN CERTIFICATE-----\nMII", "a certificate"),
    "a zip": (lambda now: b"PK\x03\x04rest", "a .zip archive"),
    "a page": (lambda now: b"<!doctype html><html>", "an HTML page"),
    "UTF-16": (lambda now: make.token(now).encode("utf-16"), "UTF-16"),
    "65 KB": (lambda now: b"A" * 66_000, "up to 64 KB"),
    "changed": (lambda now: make.token(now)[:-6].encode() + b"AAAAAA", "signature"),
    "audience": (
        lambda now: make.token(now, aud="urn:f5:other").encode(),
        "urn:f5:tee",
    ),
    "issuer": (lambda now: make.token(now, iss="Else").encode(), "not issued by F5"),
    "test keys": (
        lambda now: make.token(now, header={"jku": "https://else/keys"}).encode(),
        "another environment",
    ),
    "unknown key": (
        lambda now: make.token(now, header={"kid": "v9"}).encode(),
        "Key v9 is not known here",
    ),
    "HS512": (lambda now: HS512, "does not take"),
    "ended": (lambda now: make.token(now, days=-100).encode(), "ended"),
    "two": (lambda now: f"{make.token(now)}\n{make.token(now)}".encode(), "more than"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_says_what_was_expected_and_what_to_do(ada_client, now, case):
    make_content, words = REFUSED[case]
    records = Record.objects.count()
    answer = ada_client.post(ADD, {"file": file(make_content(now))})
    assert answer.status_code == 422
    shown = text(answer)
    assert words.lower() in shown.lower()
    assert "Nothing was stored." in shown
    assert "Choose another file" in shown
    assert re.search(r'role="alert" tabindex="-1" data-focus', shown)
    assert not License.objects.exists()
    assert Record.objects.count() == records


def test_what_was_pasted_is_not_given_back(ada_client, now):
    pasted = make.token(now, aud="urn:f5:other")
    answer = ada_client.post(ADD, {"token": pasted})
    assert answer.status_code == 422
    assert pasted[:60] not in answer.content.decode()


def test_what_a_file_says_is_escaped(ada_client, now):
    evil = make.token(now, iss="<script>alert(1)</script>")
    answer = ada_client.post(ADD, {"file": file(evil)})
    assert "<script>alert(1)" not in answer.content.decode()


def test_a_body_beyond_the_limit_is_answered_413(ada_client):
    answer = ada_client.post(ADD, {"file": file(b"A" * 2_000_000)})
    assert answer.status_code == 413
    assert "The file is too large" in text(answer)
    assert "Nothing was stored" in text(answer)


# Continuous Connection


def test_the_switch_turns_off_and_on(ada_client, now):
    make.license(now)
    answer = ada_client.post(SWITCH, {"enabled": "0"}, follow=True)
    assert "Continuous Connection is now off." in text(answer)
    assert not services.connection_on()
    answer = ada_client.post(SWITCH, {"enabled": "1"}, follow=True)
    assert "Continuous Connection is now on." in text(answer)
    assert services.connection_on()


def test_the_same_answer_again_adds_no_row(ada_client):
    for _ in range(2):
        ada_client.post(SWITCH, {"enabled": "0"})
    assert ConnectionChoice.objects.count() == 1


def test_with_events_waiting_it_asks_before_it_deletes(ada_client, now):
    wait(12, now)
    answer = ada_client.post(SWITCH, {"enabled": "0"}, follow=True)
    assert answer.redirect_chain == [(f"{SWITCH}/off", 302)]
    assert "12 waiting events are deleted and not sent." in text(answer)
    assert "Turn off and delete 12" in text(answer)
    assert "Keep it on" in text(answer)
    assert services.connection_on()
    assert Event.objects.count() == 12


def test_the_answer_deletes_and_counts(ada_client, now):
    wait(12, now)
    data = {"enabled": "0", "confirmed": "1"}
    answer = ada_client.post(SWITCH, data, follow=True)
    assert "12 waiting events were deleted." in text(answer)
    assert not services.connection_on()
    assert not Event.objects.exists()


def test_with_htmx_the_question_is_a_page_of_its_own(ada_client, now):
    wait(1, now)
    answer = ada_client.post(SWITCH, {"enabled": "0"}, headers=HTMX)
    assert answer["HX-Redirect"] == f"{SWITCH}/off"


def test_with_htmx_the_switch_reloads_the_page(ada_client):
    answer = ada_client.post(SWITCH, {"enabled": "0"}, headers=HTMX)
    assert answer["HX-Refresh"] == "true"
    assert "now off" in text(ada_client.get(PAGE))


@pytest.mark.parametrize("value", [None, ["2"], ["0", "1"], ["on"]])
def test_another_answer_is_refused(ada_client, value):
    data = {} if value is None else {"enabled": value}
    assert ada_client.post(SWITCH, data).status_code == 400
    assert not ConnectionChoice.objects.exists()


def test_do_not_track_cannot_be_overruled(ada_client, settings):
    settings.DO_NOT_TRACK = True
    answer = ada_client.post(SWITCH, {"enabled": "1"}, follow=True)
    assert "DO_NOT_TRACK is set, so nothing is sent." in text(answer)
    assert not ConnectionChoice.objects.exists()


# Terminate


def test_terminate_asks_for_the_subscription_id(ada_client, now):
    make.license(now)
    shown = text(ada_client.get(f"{PAGE}/terminate"))
    assert f"Terminate license {make.SUBSCRIPTION}?" in shown
    assert "Keep license" in shown


@pytest.mark.parametrize("typed", ["", "SBX-1", "sbx-00198432", "Keep license"])
def test_another_word_changes_nothing(ada_client, now, typed):
    make.license(now)
    answer = ada_client.post(f"{PAGE}/terminate", {"confirm": typed})
    assert answer.status_code == 422
    assert "Nothing was changed." in text(answer)
    assert 'aria-invalid="true"' in text(answer)
    assert services.current()


def test_the_typed_id_ends_the_license(ada_client, now):
    make.license(now)
    data = {"confirm": f" {make.SUBSCRIPTION} "}
    answer = ada_client.post(f"{PAGE}/terminate", data, follow=True)
    assert answer.redirect_chain == [(PAGE, 302)]
    words = f"License {make.SUBSCRIPTION} was terminated at 12:00 UTC."
    assert words in text(answer)
    assert "No license yet" in text(answer)
    assert Record.objects.filter(action="license.terminated", actor="ada").exists()


def test_without_a_license_there_is_nothing_to_terminate(ada_client):
    answer = ada_client.get(f"{PAGE}/terminate", follow=True)
    assert "There is no license to terminate." in text(answer)
    assert ada_client.post(f"{PAGE}/terminate", {"confirm": "x"}).status_code == 302


# Who may


@pytest.mark.parametrize("user", ["vera", "otto"])
@pytest.mark.parametrize("path", [ADD, SWITCH, f"{PAGE}/terminate", f"{SWITCH}/off"])
def test_others_are_refused_and_nothing_changes(request, signed_in, now, user, path):
    make.license(now)
    client = signed_in(request.getfixturevalue(user))
    data = {"enabled": "0", "confirm": make.SUBSCRIPTION, "file": file(make.token(now))}
    assert client.post(path, data).status_code == 403
    assert services.connection_on()
    assert License.objects.get().current


def test_trying_again_lifts_the_refusal(ada_client, now):
    make.license(now)
    gate.pause("entitlements", 401, now)
    answer = ada_client.post(f"{PAGE}/activation/again")
    assert answer.status_code == 302
    assert gate.paused("entitlements") is None
