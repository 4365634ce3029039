"""Fixtures of the licensing tests."""

from __future__ import annotations

import pytest

from common import choices


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    """Each test has a data folder, a key file and a choices.json of its own."""
    settings.NMS_DATA_DIR = tmp_path
    settings.NMS_JWKS_FILE = str(tmp_path / "jwks.json")
    choices._written.clear()
    return tmp_path
