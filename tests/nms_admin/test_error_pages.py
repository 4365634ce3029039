from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client

from nms_admin import views


@pytest.fixture
def browser(signed_in, vera) -> Client:
    client = signed_in(vera)
    client.raise_request_exception = False
    return client


def test_no_access_names_the_role_and_whom_to_ask(browser: Client, ada) -> None:
    page = browser.get("/ui/settings/users/add")
    assert page.status_code == 403
    text = page.content.decode()
    assert "Your role is Viewer. Ask an administrator: ada." in text


def test_a_page_that_is_not_there_says_so(browser: Client) -> None:
    page = browser.get("/ui/nowhere")
    assert page.status_code == 404
    assert "Page not found" in page.content.decode()


def test_a_failure_shows_its_number_and_nothing_else(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(views, "_last_accepted", broken)
    page = browser.get("/ui/")
    assert page.status_code == 500
    text = page.content.decode()
    assert page["X-Request-ID"] in text
    assert "secret detail" not in text
    assert "Traceback" not in text


@pytest.mark.django_db(transaction=True)
def test_tables_older_than_the_code_answer_503_with_the_command(
    browser: Client,
) -> None:
    with connection.schema_editor() as editor:
        editor.execute("ALTER TABLE common_setup RENAME TO common_setup_away")
    try:
        page = browser.get("/ui/")
        answer = browser.get("/api/platform/v1/license")
    finally:
        with connection.schema_editor() as editor:
            editor.execute("ALTER TABLE common_setup_away RENAME TO common_setup")
    assert page.status_code == 503
    assert "manage.py migrate" in page.content.decode()
    assert page["Refresh"] == "10"
    assert answer.status_code == 503
    assert answer.json()["code"] == 503
