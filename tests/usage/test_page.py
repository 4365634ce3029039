"""NGINX usage, and what the License page says of use against limits."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests import make
from usage import intake, listing
from usage.errors import MessageRefused
from usage.models import ClusterDay, Reporter
from usage.reading import ClusterReport, Message

pytestmark = pytest.mark.django_db
PAGE, LICENSE = "/ui/nginx-usage", "/ui/settings/license"


@pytest.fixture(autouse=True)
def _noon(now):
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
def shown(signed_in, vera):
    """Return a page as Vera reads it, in one line of text without its markup."""

    def show(address: str = PAGE) -> str:
        page = signed_in(vera).get(address)
        assert page.status_code == 200
        text = re.sub(r"<[^>]+>", " ", page.content.decode())
        return re.sub(r"[ \n]+", " ", text)

    return show


def report(
    now, who: str = "a1", hours_ago: int = 1, *, host: str = "web-1", **said
) -> None:
    end = int(now.timestamp()) - 3600 * (hours_ago - 1)
    message = {"version": "nginx-plus-r34", "waf": False, **said}
    intake.store(
        Message(uuid=who, hostname=host, since=end - 3600, until=end, **message),
        now - timedelta(hours=hours_ago - 1),
    )


def cluster(now, **counts) -> None:
    usual = {"pods": 15, "waf": 5, "dos": 1, "nodes": 4}
    intake.store_cluster(
        ClusterReport(uid="d290f1ee", display_name="shop", **(usual | counts)), now
    )


def test_with_nothing_reported_the_page_shows_how_to_begin(shown, settings):
    settings.NMS_PUBLIC_URL = "https://nms.example.net:8443"
    text = shown()
    assert "No usage yet" in text
    assert "usage_report endpoint=nms.example.net:8443;" in text
    assert "license_token /etc/nginx/license.jwt;" in text


def test_an_endpoint_that_no_other_host_reaches_is_not_given_to_copy(shown):
    text = shown()
    assert "usage_report endpoint=<this-server>:443;" in unescape(text)
    assert text.index("does not speak TLS") < text.index("license_token")


def test_the_page_says_what_a_report_holds(shown, settings):
    assert "a report holds totals only." in shown()
    settings.NMS_USAGE_DETAIL = "instances"
    assert "totals and the number each instance made for itself." in shown()


def test_use_stands_against_the_license(shown, now):
    found = make.license(now)
    found.entitlements.create(feature="NGINX_INSTANCES", limit=2)
    found.entitlements.create(feature="NGINX_NAP", limit=40)
    found.entitlements.create(feature="IC_PODS", unlimited=True)
    found.entitlements.create(feature="TM_INSTANCES", limit=9)
    for number in range(3):
        report(now, f"a{number}", waf=number == 0)
    cluster(now)
    for text in (shown(), shown(LICENSE)):
        assert "3 of 2" in text
        assert "1 over , 23 Nov 2026" in text
        assert "6 of 40" in text
        assert "15 · not limited" in text
        assert "9 entitled Not counted here" in text
        assert "Kubernetes nodes IC_K8S_NODES 4 in use" in text


@pytest.mark.parametrize(
    ("used", "color"), [(79, ""), (80, "n-warn"), (100, "n-warn"), (101, "n-bad")]
)
def test_the_bar_warns_from_80_percent_on(signed_in, vera, now, used, color):
    make.license(now).entitlements.create(feature="IC_PODS", limit=100)
    cluster(now, pods=used)
    page = signed_in(vera).get(LICENSE).content.decode()
    bar = re.search(r'rect class="n-f ?([^"]*)"', page)
    assert bar is not None
    assert bar[1] == color
    assert f"{used} of 100 used" in page


def test_yesterdays_use_counts_while_today_is_young(shown, now):
    report(now, "a1", 30)
    report(now, "a2", 30)
    report(now, "a1", 1)
    assert "NGINX_INSTANCES 2 in use 22 Nov 2026" in shown()


def test_requests_and_bytes_are_those_of_the_days_shown(shown, now):
    report(now, "a1", 1, requests=1204, bytes=3 * 1024**3)
    report(now, "a1", 24 * 10, requests=9000, bytes=1024**3)
    assert "Requests 1\u202f204 In the last 7 days" in shown()
    assert "Traffic 3 GB" in shown()
    assert "Requests 10\u202f204 In the last 30 days" in shown(f"{PAGE}?days=30")
    assert "Requests 1\u202f204 In the last 7 days" in shown(f"{PAGE}?days=8000")


def test_the_plot_says_in_a_sentence_what_it_shows(signed_in, vera, now):
    report(now, "a1")
    report(now, "a2")
    page = signed_in(vera).get(PAGE).content.decode()
    assert "NGINX instances per day in the last 7 days: 2 at most." in page


def test_an_instance_that_stopped_reporting_turns_late_and_silent(shown, now):
    report(now, "0123456789abcdef", 1, host="web-1")
    report(now, "a2", 26, host="web-2")
    report(now, "a3", 24 * 8, host="web-3")
    text = shown()
    assert "01234567 web-1 nginx-plus-r34 Off 23 Nov 2026 just now Reporting" in text
    assert re.search("web-2 nginx-plus-r34 Off .{15,30} Late", text)
    assert re.search("web-3 nginx-plus-r34 Off .{15,30} Silent", text)
    assert "1 late, 1 silent" in text
    assert "nginx-plus-r34 2" in text


def test_instances_come_fifty_at_a_time(signed_in, vera, now, shown):
    seen = {"first_seen_at": now, "last_seen_at": now}
    Reporter.objects.bulk_create(
        [Reporter(uuid=f"u{n}", hostname=f"host-{n:03}", **seen) for n in range(120)]
    )
    address, hosts = PAGE, []
    while address:
        page = signed_in(vera).get(address).content.decode()
        hosts += re.findall(r"host-\d{3}", page)
        older = re.search(r'href="([^"#]+)[^"]*" rel="next"', page)
        address = older[1].replace("&amp;", "&") if older else ""
    assert hosts == [f"host-{n:03}" for n in range(119, -1, -1)]
    assert "No more instances" in shown(f"{PAGE}?after=1")
    assert "host-119" in shown(f"{PAGE}?after=²")


def test_names_are_shown_as_text(signed_in, vera, now):
    report(now, host="<script>alert(1)</script>")
    cluster(now)
    page = signed_in(vera).get(PAGE).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_clusters_are_listed_with_their_pods(shown, now):
    cluster(now)
    assert "shop d290f1ee 15 5 1 4 just now" in shown()
    assert "Only clusters report here so far" in shown()


def test_what_was_turned_away_is_told_with_its_reason(shown, now):
    stranger = MessageRefused("wrong_license", "No.", status=401)
    intake._refused.clear()
    intake.count_refusal(stranger, "203.0.113.9", now - timedelta(days=7))
    intake.count_refusal(stranger, "203.0.113.9", now - timedelta(days=6))
    assert "1 time: another license than the one added here." in shown()


def test_every_reason_has_its_words(now):
    import inspect

    from usage import reading

    source = inspect.getsource(reading) + inspect.getsource(intake)
    codes = re.findall(r'(?:_refuse\(|MessageRefused\()\s+"(\w+)"', source)
    assert set(codes) | {"no_license", "wrong_license"} == set(listing.REASONS)
    documented = (Path(__file__).parents[2] / "docs/usage.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \| \d{3} ", documented, re.M)) == set(
        listing.REASONS
    )


def test_the_page_asks_the_database_as_often_with_many_as_with_few(
    signed_in, vera, now
):
    client = signed_in(vera)

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            client.get(PAGE)
        return len(captured)

    report(now, "a0")
    cluster(now)
    queries()
    few = queries()
    for number in range(1, 40):
        report(now, f"a{number}")
    assert ClusterDay.objects.count() == 1
    assert queries() == few
