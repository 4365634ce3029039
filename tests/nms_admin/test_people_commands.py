"""What an operator does on the command line."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from analytics import services as analytics
from audit.models import Record
from common import setup
from licensing import services as licensing
from licensing.models import License
from nms_admin import lockout, setup_code
from nms_admin.models import Session, User
from tests import make
from tests.conftest import PASSWORD

NEW = "a fresh and long password"


@pytest.fixture
def password_file(tmp_path):
    def write(text: str = NEW + "\n") -> str:
        file = tmp_path / "password"
        file.write_text(text)
        return str(file)

    return write


def run(capsys, *words: str) -> str:
    call_command(*words)
    return capsys.readouterr().out.strip()


def test_provision_sets_everything_up_and_does_nothing_twice(db, capsys, password_file):
    words = ["provision", "--username", "ada", "--password-file", password_file()]
    words += ["--continuous-connection", "off", "--interaction-data", "off"]
    assert run(capsys, *words).splitlines() == [
        "The administrator ada is made.",
        "Continuous Connection is off.",
        "Interaction data is off for all users.",
        "Set-up is finished: sign in.",
    ]
    assert (licensing.connection_on(), analytics.is_on()) == (False, False)
    assert setup.finished_at() is not None
    records = Record.objects.count()
    assert run(capsys, *words) == "Nothing to do: it was done before."
    assert Record.objects.count() == records
    answer = Client().post("/login", {"username": "ada", "password": NEW})
    assert answer.status_code == 302


def test_provision_applies_a_license_once(db, capsys, password_file, tmp_path):
    make.keys_file()
    file = tmp_path / "license.jwt"
    file.write_text(make.token(timezone.now()) + "\n")
    words = ["provision", "--username", "ada", "--password-file", password_file()]
    words += ["--license", str(file)]
    assert "The license SBX-00198432 is applied." in run(capsys, *words)
    assert run(capsys, *words) == "Nothing to do: it was done before."


def test_provision_with_an_older_license_keeps_the_newer_one(
    db, capsys, password_file, tmp_path
):
    now = timezone.now()
    file = tmp_path / "license.jwt"
    file.write_text(make.token(now - timedelta(days=30), 380))
    newer = make.license(now)
    words = ["provision", "--username", "ada", "--password-file", password_file()]
    said = run(capsys, *words, "--license", str(file))
    assert "is older than the one in force. It was kept" in said
    assert License.objects.get() == newer


def test_provision_without_answers_leaves_both_choices_open(db, capsys, password_file):
    words = ["provision", "--username", "ada", "--password-file", password_file()]
    notice = run(capsys, *words).splitlines()[-1]
    assert "once an administrator has seen the notice" in notice
    assert "--interaction-data off" in notice
    assert "https://www.f5.com/company/policies/privacy-notice" in notice
    assert analytics.choice() is None
    assert licensing.connection_number() == 0


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("", "The password file is empty."),
        ("short\n", "Use at least 12 characters. This has 5."),
        ("password1234", "in a list of leaked passwords"),
    ],
)
def test_provision_refuses_a_poor_password_and_changes_nothing(
    db, password_file, written, sentence
):
    with pytest.raises(CommandError, match=sentence):
        call_command(
            "provision", "--username", "ada", "--password-file", password_file(written)
        )
    assert not User.objects.exists()
    assert setup.finished_at() is None


def test_provision_refuses_what_it_cannot_read(db, password_file, tmp_path):
    common = ["provision", "--username", "ada", "--password-file"]
    with pytest.raises(CommandError, match="cannot be read: No such file"):
        call_command(*common, str(tmp_path / "none"))
    with pytest.raises(CommandError, match="The license cannot be read"):
        call_command(*common, password_file(), "--license", str(tmp_path / "none"))
    (tmp_path / "license.jwt").write_text("<html>")
    with pytest.raises(CommandError, match="not a license file"):
        call_command(
            *common, password_file(), "--license", str(tmp_path / "license.jwt")
        )
    assert not User.objects.exists()


def test_provision_refuses_another_password_another_role_and_a_second_administrator(
    ada, otto, finished, password_file
):
    for name, sentence in (
        ("ada", "ada has another password"),
        ("otto", "a user otto who is no administrator"),
        ("eve", "Set-up has another administrator"),
    ):
        with pytest.raises(CommandError, match=sentence):
            call_command(
                "provision", "--username", name, "--password-file", password_file()
            )
    ada.refresh_from_db()
    assert ada.check_password(PASSWORD)


def test_reset_password_ends_sessions_and_unlocks(ada, finished, capsys, password_file):
    client = Client()
    client.post("/login", {"username": "ada", "password": PASSWORD})
    for _ in range(5):
        Client().post("/login", {"username": "ada", "password": "wrong"})
    out = run(capsys, "reset_password", "ada", "--password-file", password_file())
    assert out == "The password of ada is set; sessions have ended."
    assert not Session.objects.exists()
    assert (
        Client().post("/login", {"username": "ada", "password": NEW}).status_code == 302
    )


def test_reset_password_refuses_a_stranger_and_a_poor_password(ada, password_file):
    with pytest.raises(CommandError, match="There is no user eve"):
        call_command("reset_password", "eve", "--password-file", password_file())
    with pytest.raises(CommandError, match="Use at least 12 characters"):
        call_command("reset_password", "ada", "--password-file", password_file("short"))


def test_unlock_gives_a_name_or_an_address_its_tries_back(ada, finished, capsys):
    for i in range(20):
        Client().post("/login", {"username": f"n{i}", "password": "x"})
    assert run(capsys, "unlock", "ada") == "ada was not locked."
    assert run(capsys, "unlock", "--address", "127.0.0.1") == "127.0.0.1 can try again."
    for _ in range(5):
        Client().post("/login", {"username": "ada", "password": "x"})
    assert run(capsys, "unlock", "ada") == "ada can try again."
    assert (
        Client().post("/login", {"username": "ada", "password": PASSWORD}).status_code
        == 302
    )
    with pytest.raises(CommandError, match="Name one"):
        call_command("unlock")


def test_setup_code_prints_a_code_until_there_is_an_administrator(db, capsys, finished):
    setup.current().delete()
    code = run(capsys, "setup_code")
    assert setup.current().code_digest == setup_code.digest(code)
    row = setup.current()
    row.claimed_at = row.code_made_at
    row.save()
    with pytest.raises(CommandError, match="sign in"):
        call_command("setup_code")


def test_a_command_is_named_in_the_chain(ada, capsys, password_file):
    run(capsys, "reset_password", "ada", "--password-file", password_file())
    record = Record.objects.get()
    assert (record.action, record.actor, record.via, record.subject) == (
        "user.password_set",
        "command line",
        "command",
        "ada",
    )
    assert lockout.NAME_LIMIT == 5
