"""Pages read each thing once: how often they ask the database, at most."""

from __future__ import annotations

import pytest
import time_machine

from analytics import services as analytics
from common.models import Via
from licensing import connection
from licensing.models import Entitlement, License
from tests import make
from tests.usage.conftest import used
from usage import reports
from usage.models import Report

pytestmark = pytest.mark.django_db
LICENSE = "/ui/settings/license"
REPORTED = 5  # reports, accepted but the last


@pytest.fixture(autouse=True)
def _noon(now):
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def asks(signed_in, ada, now, django_assert_max_num_queries):
    """Return a function that opens a page and fails when it asks too often.

    The privacy notice was answered: it asks twice more as long as it is shown.
    """
    client = signed_in(ada)
    analytics.set_choice(collect=False, by="ada", via=Via.SETTINGS, now=now)

    def open_page(most: int, path: str = LICENSE) -> str:
        client.get(path)
        with django_assert_max_num_queries(most):
            answer = client.get(path)
        assert answer.status_code == 200
        return answer.content.decode()

    return open_page


def licensed(now) -> License:
    """A license whose entitlements came, with use against it and reports of it."""
    found = make.license(now)
    for name in ("NGINX_INSTANCES", "NGINX_NAP"):
        Entitlement.objects.create(license=found, feature=name, limit=10)
    License.objects.update(entitlements_at=now)
    used(now.date(), 3, hours=12)
    connection.set_choice(on=False, by="ada", via=Via.SETTINGS, now=now)
    connection.set_choice(on=True, by="ada", via=Via.SETTINGS, now=now)
    for _ in range(REPORTED):
        Report.objects.open().update(accepted_at=now)
        reports.send(by="ada", via=Via.SETTINGS, now=now, force=True)
    return found


def test_the_license_page_asks_at_most_10_times_without_a_license(asks):
    assert "No license yet" in asks(10)


def test_the_license_page_asks_at_most_27_times_with_use_and_a_report_on_its_way(
    asks, now
):
    """One reads the last 30 days, for when an entitlement is full; two, how hosts answer."""
    licensed(now)
    page = asks(27)
    assert "Sending usage" in page
    assert "Accepted" in page
    assert "NGINX_NAP" in page


def test_the_overview_asks_at_most_24_times(asks, now):
    licensed(now)
    assert "Needs attention" in asks(24, "/ui/")


def test_the_telemetry_page_asks_at_most_30_times(asks, now):
    licensed(now)
    assert "What is captured" in asks(30, "/ui/settings/telemetry")
