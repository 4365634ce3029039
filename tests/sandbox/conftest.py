"""A sandbox on free ports with keys of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.server import Sandbox
from sandbox.tokens import issue_license, make_keys
from tests.sandbox.clients import SUBSCRIPTION, Client


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sandbox")
    make_keys(folder)
    return folder


@pytest.fixture(scope="session")
def token(data: Path) -> str:
    return issue_license(data, subscription=SUBSCRIPTION)


@pytest.fixture
def client(data: Path, token: str) -> Iterator[Client]:
    with Sandbox(data) as box:
        yield Client(box, token)
