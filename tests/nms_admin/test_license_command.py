"""``manage.py license``: each state with its word and what to do, as on the page."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core.management import call_command
from django.test import Client

from common.models import Via
from licensing import services
from nms_admin.models import User
from tests import make

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("finished")]


@pytest.fixture(autouse=True)
def keys(settings, tmp_path):
    settings.NMS_DATA_DIR = tmp_path
    settings.NMS_JWKS_FILE = str(tmp_path / "jwks.json")


def shown(capsys: Any, at: Any) -> tuple[dict[str, Any], str]:
    with time_machine.travel(at, tick=False):
        call_command("license", "--json")
        found = json.loads(capsys.readouterr().out)
        call_command("license")
    return dict(found), capsys.readouterr().out


def test_without_a_license_it_says_so(capsys, now):
    found, text = shown(capsys, now)
    assert (found["phase"], found["word"], found["status"]) == ("none", "None", "NONE")
    assert "Events are held on this server until a license is added." in text


@pytest.mark.parametrize(
    ("days", "word", "title"),
    [
        (0, "Active", ""),
        (340, "Active", "License expires in 25 days"),
        (366, "In grace", "License expired, grace ends in"),
        (500, "Expired", "License expired and grace has ended"),
    ],
)
def test_each_state_has_the_words_of_the_page(
    client: Client, ada: User, capsys, now, days, word, title
):
    make.license(now)
    at = now + timedelta(days=days)
    found, text = shown(capsys, at)
    assert found["word"] == word
    assert title in text
    assert f"valid to   {(now + timedelta(days=365)).date()}" in text
    with time_machine.travel(at, tick=False):
        client.force_login(ada)
        page = client.get("/ui/settings/license").content.decode()
    assert found["title"] in page
    assert word in page


def test_one_that_waits_for_keys_says_what_to_set(capsys, now):
    content = make.token(now).encode()
    services.apply_license(content=content, by="ada", via=Via.SETTINGS, now=now)
    found, text = shown(capsys, now)
    assert (found["phase"], found["word"]) == ("waiting", "Waiting for keys")
    assert "NMS_JWKS_FILE" in text
    assert content.decode() not in text + json.dumps(found)
