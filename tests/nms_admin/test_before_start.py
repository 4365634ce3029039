"""Before you start: what the License page says before a license is added."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone

from common.models import Via
from egress import checks
from tests import make
from tests.nms_admin.test_connectivity import vendor  # noqa: F401
from tests.outbound import connections

pytestmark = pytest.mark.django_db
PAGE = "/ui/settings/license"


def card(client) -> str:
    """Return the text of the card, empty when it is not on the page."""
    found = re.search(
        r'aria-labelledby="before-title">(.*?)</section>',
        client.get(PAGE).content.decode(),
        re.DOTALL,
    )
    return (
        " ".join(unescape(re.sub(r"<[^>]+>", " ", found[1])).split()) if found else ""
    )


def checked() -> None:
    """Let somebody ask for the checks and a worker do them."""
    checks.ask(by="otto", via=Via.SETTINGS, address="", now=timezone.now())
    assert checks.run_waiting(timezone.now) == 1


def test_before_anybody_checked_it_says_so_and_contacts_nobody(ada, signed_in, vendor):  # noqa: F811
    with connections() as seen:
        shown = card(signed_in(ada))
    assert "Nobody has checked the connection yet. Connectivity" in shown
    assert "The server clock" not in shown
    assert "No internet here? Set NMS_OPERATION_MODE=disconnected first" in shown
    assert seen == []


def test_it_names_each_host_and_port_that_a_license_leads_to(
    ada,
    signed_in,
    settings,
    vendor,  # noqa: F811
):
    settings.NMS_JWKS_URL = "https://keys.example.net/jwks"
    settings.NMS_ENTITLEMENTS_URL = "https://rights.example.net:8443/v1"
    settings.NMS_TELEMETRY_URL = "https://events.example.net/v1"
    settings.NMS_F5_API_URL = "https://reports.example.net/ee/v1"
    shown = card(signed_in(ada))
    assert "with keys from keys.example.net:443." in shown
    assert "rights.example.net:8443 is asked for the entitlements" in shown
    assert "at events.example.net:443 and reports.example.net:443, outbound" in shown
    assert "no user names, host names or configuration" in shown
    settings.NMS_USAGE_CHANNEL = "batch"
    settings.NMS_USAGE_BATCH_URL = "https://files.example.net/batch"
    assert "and files.example.net:443, outbound" in card(signed_in(ada))


def test_without_an_address_for_entitlements_no_question_is_announced(
    ada,
    signed_in,
    settings,
    vendor,  # noqa: F811
):
    settings.NMS_ENTITLEMENTS_URL = ""
    assert "is asked for the entitlements" not in card(signed_in(ada))


def test_it_says_what_the_last_check_reached_and_that_the_clock_is_right(
    ada,
    signed_in,
    vendor,  # noqa: F811
):
    checked()
    shown = card(signed_in(ada))
    host = f"localhost:{vendor.vendor.port}"
    assert f"Last check: {host}" in shown
    assert "The server clock was right then, within 60 s." in shown


def test_it_says_what_the_last_check_did_not_reach_and_what_to_do(
    ada,
    signed_in,
    settings,
    vendor,  # noqa: F811
):
    settings.NMS_F5_API_URL = "http://localhost:9/ee/v1"
    checked()
    shown = card(signed_in(ada))
    assert "Something answered and refused: localhost, port 9." in shown
    assert "Check the address. A firewall that rejects looks the same." in shown


def test_it_says_that_the_clock_is_wrong_and_what_to_do(ada, signed_in, vendor):  # noqa: F811
    ahead = timedelta(hours=3)
    checks.ask(by="otto", via=Via.SETTINGS, address="", now=timezone.now() + ahead)
    assert checks.run_waiting(lambda: timezone.now() + ahead) == 1
    shown = card(signed_in(ada))
    assert "The clock of this server is 3 h ahead of the clock of localhost" in shown
    assert "Set it by NTP" in shown
    assert "clock was right" not in shown


def test_disconnected_it_says_that_nobody_is_contacted(
    ada,
    signed_in,
    settings,
    vendor,  # noqa: F811
):
    settings.NMS_OPERATION_MODE = "disconnected"
    shown = card(signed_in(ada))
    assert "This server is disconnected: the license is checked here" in shown
    assert "is asked for the entitlements" not in shown
    assert "No internet here?" not in shown


def test_it_stands_there_only_without_a_license_and_for_who_may_add_one(
    ada,
    vera,
    signed_in,
    vendor,  # noqa: F811
):
    assert card(signed_in(ada))
    assert not card(signed_in(vera))
    make.license(timezone.now())
    assert not card(signed_in(ada))
