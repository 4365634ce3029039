from __future__ import annotations

import json
import stat
from datetime import UTC, datetime

import pytest

from common import choices

pytestmark = pytest.mark.django_db(transaction=True)
NAME = choices.INTERACTION_DATA


@pytest.fixture(autouse=True)
def path(settings, tmp_path):
    settings.NMS_DATA_DIR = tmp_path
    choices._written.clear()
    return tmp_path / "choices.json"


def test_the_newest_decision_is_kept_readable_by_us_alone(path):
    choices.remember(NAME, 3, False)
    assert choices.load() == {NAME: (3, False)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_older_decision_never_replaces_a_newer_one(path):
    choices.remember(NAME, 3, False)
    choices.remember(NAME, 2, True)
    assert choices.load() == {NAME: (3, False)}


def test_both_choices_and_the_sealed_time_stand_side_by_side(path):
    at = datetime(2026, 11, 23, 12, tzinfo=UTC)
    choices.remember(NAME, 3, False)
    choices.remember(choices.CONNECTION, 7, True)
    choices.remember_sealed(at)
    choices.remember_sealed(at.replace(hour=11))
    assert choices.load() == {NAME: (3, False), choices.CONNECTION: (7, True)}
    assert choices.sealed_until() == at


def test_a_database_behind_the_file_is_older(path):
    choices.remember(NAME, 3, False)
    assert choices.is_older(NAME, 0, None)
    assert choices.is_older(NAME, 2, True)
    assert choices.is_older(NAME, 3, True)
    assert not choices.is_older(NAME, 3, False)
    assert not choices.is_older(NAME, 4, True)
    assert choices.next_number(NAME, 1) == 4


def test_without_a_file_nothing_is_older(path):
    assert not choices.is_older(NAME, 0, None)
    assert choices.next_number(NAME, 0) == 1
    assert choices.sealed_until() is None


@pytest.mark.parametrize(
    "text", ["", "[]", '{"interaction-data": 1}', '{"interaction-data": {}}']
)
def test_a_damaged_file_allows_nothing_and_is_replaced(path, text):
    path.write_text(text)
    assert choices.is_older(NAME, 5, True)
    choices.remember(NAME, choices.next_number(NAME, 5), False)
    assert json.loads(path.read_text())[NAME] == {"number": 6, "value": False}


def test_a_folder_that_cannot_be_written_does_not_disturb(settings, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    settings.NMS_DATA_DIR = blocker
    choices.remember(NAME, 1, True)
