"""Fixtures every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import time_machine
from django.test import Client

from common import setup
from common.roles import Role
from nms_admin.models import User

PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def _fast(settings) -> None:
    """Hash passwords quickly, and read static files where they lie."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {
            "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        },
    }


@pytest.fixture
def now() -> datetime:
    """One moment; rules and delivery take it as an argument."""
    return datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def at_noon(now: datetime) -> Iterator[None]:
    """Let the clock stand at that moment."""
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def finished(db: None, now: datetime) -> None:
    """Set-up was finished three days ago."""
    row = setup.current()
    row.finished_at = row.claimed_at = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    row.save()


def _user(name: str, role: str) -> User:
    return User.objects.create_user(
        username=name, password=PASSWORD, email=f"{name}@example.net", role=role
    )


@pytest.fixture
def ada(db: None) -> User:
    """An Administrator."""
    return _user("ada", Role.ADMINISTRATOR)


@pytest.fixture
def otto(db: None) -> User:
    """An Operator."""
    return _user("otto", Role.OPERATOR)


@pytest.fixture
def vera(db: None) -> User:
    """A Viewer."""
    return _user("vera", Role.VIEWER)


@pytest.fixture
def signed_in(finished: None) -> Callable[[User], Client]:
    """Return a function that gives a browser signed in as a user."""

    def sign_in(user: User) -> Client:
        client = Client(headers={"user-agent": "pytest"})
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return sign_in


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI a skipped test is a failure: everything it needs can be installed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("CI") == "true" and skipped and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
