from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from analytics import services as analytics
from analytics.models import Choice
from audit.models import Record
from common import choices, locks
from common.models import Setup, Via
from licensing import services as licensing
from licensing.models import ConnectionChoice
from nms_admin import policy_file, start_up
from nms_admin.checks import settings_fit
from tests import make
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db
SWITCH = "/ui/settings/license/continuous-connection"
CHOICE = "/ui/settings/web-analytics/choice"
API = "/api/platform/v1"


@pytest.fixture
def policy(settings, tmp_path):
    """Return a function that writes the policy file; a data folder of our own."""
    settings.NMS_DATA_DIR = tmp_path / "data"
    settings.NMS_DATA_DIR.mkdir(mode=0o700)
    settings.NMS_POLICY_FILE = str(tmp_path / "policy")

    def write(text: str) -> Path:
        path = Path(settings.NMS_POLICY_FILE)
        path.write_text(text)
        return path

    write("")
    return write


def basic(name: str) -> dict[str, str]:
    pair = base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def decide(now, *, connect=None, collect=None):
    who = {"by": "ada", "via": Via.SETTINGS, "now": now}
    if connect is not None:
        licensing.set_connection(on=connect, **who)
    if collect is not None:
        analytics.set_choice(collect=collect, **who)


def test_off_counts_at_once_and_is_written_down(policy, now):
    decide(now, connect=True, collect=True)
    policy("# rule 7\ntelemetry = off\ninteraction-data = off\n")
    assert not licensing.connection_on()
    assert analytics.is_on() is False
    policy_file.obey(now)
    newest = ConnectionChoice.objects.first()
    assert (newest.value, newest.decided_by, newest.reason) == (
        False,
        "system",
        "policy file, line 2",
    )
    assert Choice.objects.first().reason == "policy file, line 3"
    actions = list(Record.objects.order_by("pk").values_list("action", flat=True))
    assert actions[-4:] == [
        "connection.off",
        "policy.changed",
        "interaction-data.off",
        "policy.changed",
    ]


def test_the_same_policy_again_changes_nothing(policy, now):
    policy("telemetry = off\ninteraction-data = on\n")
    policy_file.obey(now)
    records, rows = Record.objects.count(), Choice.objects.count()
    policy_file.obey(now)
    assert (Record.objects.count(), Choice.objects.count()) == (records, rows)


def test_on_switches_on_what_was_off(policy, now):
    decide(now, connect=False, collect=False)
    policy("telemetry = on\ninteraction-data = on\n")
    policy_file.obey(now)
    assert licensing.connection_on()
    assert analytics.is_on() is True


def test_hosts_whose_files_differ_do_not_take_turns(policy, settings, now, tmp_path):
    policy("telemetry = on\n")
    policy_file.obey(now)
    here = settings.NMS_DATA_DIR, settings.NMS_POLICY_FILE
    settings.NMS_DATA_DIR = tmp_path / "other"
    settings.NMS_DATA_DIR.mkdir()
    settings.NMS_POLICY_FILE = str(tmp_path / "other-policy")
    Path(settings.NMS_POLICY_FILE).write_text("telemetry = off\n")
    policy_file.obey(now)
    settings.NMS_DATA_DIR, settings.NMS_POLICY_FILE = here
    policy_file.obey(now)
    assert ConnectionChoice.objects.count() == 2
    assert not licensing.connection_on()


@pytest.mark.django_db(transaction=True)
def test_a_restored_backup_is_not_switched_on(policy, now):
    choices.remember(choices.CONNECTION, 7, False)
    choices.remember(choices.INTERACTION_DATA, 7, False)
    policy("telemetry = on\ninteraction-data = on\n")
    start_up.prepare(now)
    policy_file.obey(now)
    assert not licensing.connection_on()
    assert analytics.is_on() is False


@pytest.mark.django_db(transaction=True)
def test_after_a_restore_an_administrator_may_follow_the_policy(
    policy, now, ada, signed_in
):
    choices.remember(choices.CONNECTION, 7, False)
    policy("telemetry = on\n")
    start_up.prepare(now)
    page = signed_in(ada).get("/ui/settings/license").content.decode()
    assert 'id="continuous-connection" name="enabled" value="1"' in page
    signed_in(ada).post(SWITCH, {"enabled": "1"})
    assert licensing.connection_on()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("telemetry = yes\n", "line 1 (“yes” is neither on nor off)"),
        ("telemetry = on\ntelemetry = on\n", "line 2 (a second line for telemetry"),
        ("telemtry = on\n", "line 1 (“telemtry = on” names no choice)"),
        ("telemetry = \0\n", "is neither on nor off"),
    ],
)
def test_what_cannot_be_understood_is_off_and_says_why(
    policy, now, ada, signed_in, text, reason
):
    decide(now, connect=True)
    policy(text)
    assert not licensing.connection_on()
    page = signed_in(ada).get("/ui/settings/license").content.decode()
    assert reason in page
    assert [found.id for found in settings_fit() if found.id == "nms.W010"]


def test_a_file_that_cannot_be_read_is_off_and_deletes_nothing(
    policy, settings, now, ada, signed_in
):
    decide(now, connect=True, collect=True)
    Path(settings.NMS_POLICY_FILE).unlink()
    policy_file.obey(now)
    assert not licensing.connection_on()
    assert analytics.is_on() is False
    assert ConnectionChoice.objects.count() == Choice.objects.count() == 1
    page = signed_in(ada).get("/ui/settings/license").content.decode()
    assert "it cannot be read: No such file or directory" in page
    policy("")
    assert licensing.connection_on()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"#" * 70_000])
def test_no_text_or_too_much_of_it_is_off(policy, content):
    policy("").write_bytes(content)
    assert locks.find(locks.TELEMETRY).on is False


def test_a_change_counts_without_a_restart(policy):
    path = policy("telemetry = off\n")
    assert not licensing.connection_on()
    other = path.with_name("new")
    other.write_text("# empty now     \n")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)
    assert licensing.connection_on()


def test_do_not_track_stands_above_a_policy_that_says_on(policy, settings, now):
    policy("telemetry = on\ninteraction-data = on\n")
    settings.DO_NOT_TRACK = True
    policy_file.obey(now)
    assert not licensing.connection_on()
    assert analytics.is_on() is False
    assert not ConnectionChoice.objects.exists()
    assert [one.id for one in settings_fit()].count("nms.W011") == 2


def test_the_pages_show_a_lock_with_file_and_line_and_no_control(
    policy, settings, now, ada, signed_in
):
    policy("telemetry = on\ninteraction-data = off\n")
    policy_file.obey(now)
    browser = signed_in(ada)
    page = browser.get("/ui/settings/license").content.decode()
    assert f"Locked by {settings.NMS_POLICY_FILE}, line 1." in page
    assert 'id="continuous-connection"' not in page
    page = browser.get("/ui/settings/web-analytics").content.decode()
    assert f"Locked by {settings.NMS_POLICY_FILE}, line 2" in page
    assert 'id="page-interaction-data"' not in page


def test_who_is_not_signed_in_reads_no_path(policy, settings, finished):
    policy("interaction-data = off\n")
    page = Client().get("/privacy").content.decode()
    assert "kept off by the policy file on this server" in page
    assert settings.NMS_POLICY_FILE not in page


@pytest.mark.parametrize("word", ["on", "off"])
def test_a_forced_answer_is_refused_with_the_same_sentence(
    policy, settings, now, ada, signed_in, word
):
    policy(f"telemetry = {word}\ninteraction-data = {word}\n")
    policy_file.obey(now)
    rows = ConnectionChoice.objects.count(), Choice.objects.count()
    other, browser = "0" if word == "on" else "1", signed_in(ada)
    for url, line in ((SWITCH, 1), (CHOICE, 2)):
        answer = browser.post(url, {"enabled": other})
        assert answer.status_code == 409
        sentence = f"Locked by {settings.NMS_POLICY_FILE}, line {line}"
        assert sentence in answer.content.decode()
    assert rows == (ConnectionChoice.objects.count(), Choice.objects.count())


def test_the_api_refuses_with_the_same_sentence(policy, settings, now, ada, finished):
    policy("telemetry = off\ninteraction-data = off\n")
    policy_file.obey(now)
    client = Client(headers=basic("ada"))
    sentence = f"Locked by {settings.NMS_POLICY_FILE}, line"
    answer = client.put(f"{API}/license?telemetry=true", "{}", "application/json")
    assert (answer.status_code, sentence in answer.json()["message"]) == (409, True)
    body = json.dumps({"interactionData": True})
    answer = client.put(f"{API}/analytics", body, "application/json")
    assert (answer.status_code, sentence in answer.json()["message"]) == (409, True)
    shown = client.get(f"{API}/analytics").json()
    assert shown["locked"] is True
    assert shown["lockedBy"] == f"{sentence} 2"


def test_a_license_with_a_forbidden_choice_is_not_stored(policy, now, ada, finished):
    make.keys_file()
    policy("telemetry = off\n")
    body = json.dumps({"desiredState": {"content": make.token(now), "type": "JWT"}})
    client = Client(headers=basic("ada"))
    answer = client.post(f"{API}/license?telemetry=true", body, "application/json")
    assert answer.status_code == 409
    assert licensing.current() is None


def test_provision_says_what_locks_a_choice(policy, tmp_path):
    policy("telemetry = off\n")
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    with pytest.raises(CommandError, match=r"line 1\. Nothing was changed."):
        call_command(
            "provision",
            "--username=ada",
            f"--password-file={secret}",
            "--continuous-connection=on",
        )


def test_nothing_is_locked_without_a_file(settings):
    assert settings.NMS_POLICY_FILE == ""
    assert locks.find(locks.TELEMETRY) is None


def test_with_htmx_the_page_itself_says_what_locks(policy, settings, ada, signed_in):
    policy("telemetry = off\n")
    browser = signed_in(ada)
    answer = browser.post(SWITCH, {"enabled": "1"}, headers={"HX-Request": "true"})
    assert answer["HX-Refresh"] == "true"
    sentence = f"Locked by {settings.NMS_POLICY_FILE}, line 1. Nothing was changed."
    assert sentence in browser.get("/ui/settings/license").content.decode()


@pytest.mark.parametrize(
    ("word", "said"),
    [("on", ": Continuous Connection is on."), ("off", ", so nothing is sent automat")],
)
def test_the_set_up_asks_nothing_that_is_locked(
    policy, settings, now, ada, signed_in, word, said
):
    policy(f"telemetry = {word}\ninteraction-data = {word}\n")
    policy_file.obey(now)
    client = signed_in(ada)
    Setup.objects.update(finished_at=None, claimed_at=now)
    page = client.get("/setup/2").content.decode()
    assert f"Locked by {settings.NMS_POLICY_FILE}, line 1{said}" in page
    assert 'name="connection"' not in page
    assert client.post("/setup/2", {})["Location"] == "/setup/3"


def test_a_line_taken_out_leaves_the_choice_as_it_was(policy, now, ada, signed_in):
    policy("telemetry = off\n")
    policy_file.obey(now)
    policy("")
    policy_file.obey(now)
    assert not licensing.connection_on()
    signed_in(ada).post(SWITCH, {"enabled": "1"})
    assert licensing.connection_on()
