"""The privacy page: for everybody, from everywhere, and what it says."""

from __future__ import annotations

import html
import re

import pytest
from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from analytics import services
from common import setup
from common.models import Setup, Via

pytestmark = pytest.mark.django_db
PRIVACY = "/privacy"
NOT_ME = "/privacy/not-me"
ERROR_PAGES = ["400", "403", "403_csrf", "404", "413", "429", "500", "503"]
FOOTER = re.compile(r"<footer\b.*?</footer>", re.DOTALL)


def text(response) -> str:
    found = re.sub(r"<[^>]+>", " ", response.content.decode())
    return re.sub(r" ([.,;])", r"\1", " ".join(found.split()))


def links(page: str) -> bool:
    """Return whether the page's footer leads to the privacy page."""
    footer = FOOTER.findall(page)[-1]
    return f'<a href="{PRIVACY}">Privacy choices</a>' in footer


@pytest.mark.parametrize("name", [None, "vera", "otto", "ada"])
def test_every_page_leads_there(name, ada, otto, vera, signed_in, noticed):
    people = {"ada": ada, "otto": otto, "vera": vera}
    client = signed_in(people[name]) if name else Client()
    addresses = ["/ui/help", PRIVACY] + (["/ui/", "/ui/docs"] if name else ["/login"])
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 200
        assert links(answer.content.decode()), address
    assert links(client.get("/nowhere").content.decode())


def test_the_set_up_leads_there(ada):
    assert links(Client().get("/setup/1").content.decode())


def test_the_set_up_shows_the_notice_with_both_links(ada):
    setup.current()
    Setup.objects.update(claimed_at=timezone.now())
    client = Client()
    client.force_login(ada, backend="django.contrib.auth.backends.ModelBackend")
    answer = client.get("/setup/2")
    page = answer.content.decode()
    assert "straight to the test receiver to improve the product" in text(answer)
    assert 'href="https://www.f5.com/company/policies/privacy-notice"' in page
    address = html.unescape(re.search(r'href="([^"]+)">Opt out for all', page)[1])
    assert "Opt out for all users" in text(client.get(address))
    assert client.post(address, {"next": "/setup/2"})["Location"] == "/setup/2"
    assert "Interaction data is off for all users." in text(client.get("/setup/2"))


@pytest.mark.parametrize("name", ERROR_PAGES)
def test_error_pages_lead_there_without_a_request(name):
    assert links(render_to_string(f"{name}.html"))


def test_a_stranger_reads_when_it_was_decided_and_no_name(noticed, now):
    services.set_choice(collect=False, by="ada", via=Via.USER_MENU, now=now)
    page = text(Client().get(PRIVACY))
    assert "Interaction data is off for all users." in page
    assert "Turned off by an administrator on 23 Nov 2026, 12:00 UTC" in page
    assert "ada" not in page
    assert "Not me" not in page


def test_a_stranger_reads_that_nobody_decided(noticed, settings):
    page = text(Client().get(PRIVACY))
    assert "No administrator has answered yet." in page
    assert "You are not signed in, so your browser sends nothing." in page
    settings.NMS_ANALYTICS_MODE = "opt-in"
    assert "Nobody has chosen yet, so nothing is sent." in text(Client().get(PRIVACY))


def test_a_lock_is_named_to_everybody(noticed, settings):
    settings.DO_NOT_TRACK = True
    page = text(Client().get(PRIVACY))
    assert "DO_NOT_TRACK is set on this server, so nothing is sent." in page
    assert "For all users: kept off by DO_NOT_TRACK on this server." in page


@pytest.mark.django_db(transaction=True)
def test_after_a_restore_the_server_itself_is_named(noticed, now):
    services.set_choice(collect=True, by="ada", via=Via.NOTICE, now=now)
    services.Choice.objects.all().delete()
    assert services.check_restore(now)
    page = text(Client().get(PRIVACY))
    assert "Turned off by this server on 23 Nov 2026, 12:00 UTC" in page
    assert "database restored" in page


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ({"Sec-GPC": "1"}, "Your browser sends Global Privacy Control"),
        ({"DNT": "1"}, "Your browser asks not to be tracked"),
        ({}, "Your browser sends page views and clicks."),
    ],
)
def test_what_applies_to_this_browser_is_said(
    vera, signed_in, noticed, now, header, sentence
):
    services.set_choice(collect=True, by="ada", via=Via.NOTICE, now=now)
    page = text(signed_in(vera).get(PRIVACY, headers=header))
    assert sentence in page
    assert "Allowed by ada on 23 Nov 2026, 12:00 UTC, from the privacy notice." in page


def test_not_me_only_narrows(vera, signed_in, noticed, now):
    client = signed_in(vera)
    services.set_choice(collect=False, by="ada", via=Via.NOTICE, now=now)
    client.post(NOT_ME, {"leave_out": "1"})
    client.post(NOT_ME, {"leave_out": "0"})
    assert "Interaction data is off for all users." in text(client.get(PRIVACY))
    assert client.get(reverse("interaction-data-permission")).status_code == 410
