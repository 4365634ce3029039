"""Fixtures of the interaction data tests."""

from __future__ import annotations

import pytest

from analytics import services
from common import choices

COLLECTOR = "http://localhost:8002"


@pytest.fixture(autouse=True)
def _own_folder(settings, tmp_path) -> None:
    """Each test has a data folder, and a choices.json, of its own."""
    settings.NMS_DATA_DIR = tmp_path
    settings.NMS_COLLECTOR_URL = COLLECTOR
    choices._written.clear()


@pytest.fixture
def noticed(finished, now) -> None:
    """Set-up is finished and an administrator has seen the notice."""
    services.notice_rendered(to="ada", now=now)
