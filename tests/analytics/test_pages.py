from __future__ import annotations

import json
from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.urls import reverse

from analytics import catalog, services, views
from analytics.models import Acknowledgement, Blocked, Choice
from common.models import Via

pytestmark = pytest.mark.django_db
CHOICE = "/ui/settings/web-analytics/choice"
OPT_OUT = "/ui/settings/web-analytics/opt-out"
PAGE = "/ui/settings/web-analytics"
LABEL = "Collect interaction data (all users)"


def body(response) -> str:
    return " ".join(response.content.decode().split())


def words(response) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)]


@pytest.fixture
def admin(ada, signed_in, noticed):
    return signed_in(ada)


def test_an_administrator_turns_it_off_and_the_page_says_who_and_when(admin):
    answer = admin.post(
        f"{CHOICE}?via=user_menu&seen=0", {"enabled": "0", "next": "/ui/"}
    )
    assert (answer.status_code, answer["Location"]) == (302, "/ui/")
    assert words(answer) == ["Interaction data is now off for all users."]
    row = Choice.objects.get()
    assert (row.value, row.decided_by, row.via) == (False, "ada", Via.USER_MENU)
    assert "Turned off by <strong>ada</strong> on" in body(admin.get(PAGE))


def test_htmx_gets_a_reload_and_the_message_after_it(admin):
    answer = admin.post(
        f"{CHOICE}?seen=0", {"enabled": "0"}, headers={"HX-Request": "true"}
    )
    assert (answer.status_code, answer["HX-Refresh"], answer.content) == (
        204,
        "true",
        b"",
    )
    assert "Interaction data is now off for all users." in body(admin.get(PAGE))


@pytest.mark.parametrize("name", ["otto", "vera"])
def test_only_administrators_decide(otto, vera, signed_in, noticed, name):
    client = signed_in({"otto": otto, "vera": vera}[name])
    for address in (CHOICE, OPT_OUT, f"{PAGE}/acknowledgement"):
        assert client.post(address, {"enabled": "0"}).status_code == 403
    assert client.get(OPT_OUT).status_code == 403
    assert not Choice.objects.exists()
    page = body(client.get(PAGE))
    assert LABEL in page
    assert 'role="switch"' not in page
    assert "privacy-banner" not in page
    assert "Only an administrator can change this" in page


def test_nobody_decides_without_signing_in(noticed):
    for address in (CHOICE, OPT_OUT, "/privacy/not-me"):
        assert Client().post(address, {"enabled": "0"})["Location"].startswith("/login")
    assert not Choice.objects.exists()


def test_a_forged_form_is_refused(ada, noticed):
    client = Client(enforce_csrf_checks=True)
    client.force_login(ada, backend="django.contrib.auth.backends.ModelBackend")
    for address in (CHOICE, OPT_OUT, "/privacy/not-me"):
        assert client.post(address, {"enabled": "0"}).status_code == 403
    assert not Choice.objects.exists()


@pytest.mark.parametrize(
    "data", [{}, {"enabled": "2"}, {"enabled": ["0", "1"]}, {"enabled": ["0", "0"]}]
)
def test_an_unclear_answer_is_refused(admin, data):
    assert admin.post(CHOICE, data).status_code == 400
    assert not Choice.objects.exists()


def test_get_changes_nothing(admin, noticed):
    for address in (PAGE, OPT_OUT, "/privacy", f"{OPT_OUT}?enabled=0"):
        assert admin.get(address).status_code == 200
    for address in (CHOICE, f"{CHOICE}?enabled=0", "/privacy/not-me", "/csp-report"):
        assert admin.get(address).status_code == 405
    assert not Choice.objects.exists()


def test_the_opt_out_page_has_one_button_and_obeys_it(admin):
    assert body(admin.get(OPT_OUT)).count('<button class="btn btn-primary"') == 1
    answer = admin.post(f"{OPT_OUT}?via=notice&seen=0", {"next": "/ui/"})
    assert (answer.status_code, answer["Location"]) == (302, "/ui/")
    assert Choice.objects.get().via == Via.NOTICE
    assert "Interaction data is off for all users." in body(admin.get(OPT_OUT))


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "ui"]
)
def test_the_way_back_never_leads_elsewhere(admin, target):
    assert admin.post(OPT_OUT, {"next": target})["Location"] == PAGE


class TestAnsweredMeanwhile:
    @pytest.fixture(autouse=True)
    def _meanwhile(self, noticed, now):
        services.set_choice(collect=True, by="ada2", via=Via.SETTINGS, now=now)

    def test_names_who_and_offers_both_ways(self, admin):
        answer = admin.post(f"{CHOICE}?seen=0", {"enabled": "0"})
        assert answer.status_code == 409
        page = body(answer)
        assert "ada2 chose On on" in page
        assert ">Keep it on</a>" in page
        assert f'action="{CHOICE}?seen=1"' in page
        assert Choice.objects.count() == 1

    def test_is_shown_on_top_of_the_page_with_htmx(self, admin):
        answer = admin.post(
            f"{CHOICE}?seen=0", {"enabled": "0"}, headers={"HX-Request": "true"}
        )
        assert (answer.status_code, answer["HX-Reswap"]) == (409, "afterbegin")
        assert body(answer).startswith('<div class="n-note n-warn" role="alert"')

    def test_change_is_stored_then(self, admin):
        assert admin.post(f"{CHOICE}?seen=1", {"enabled": "0"}).status_code == 302
        assert services.is_on() is False


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_of_two_administrators_who_answer_at_once_one_is_told(
    ada, signed_in, noticed, django_user_model
):
    other = django_user_model.objects.create_user("adam", role="administrator")
    clients, ready, told = [signed_in(ada), signed_in(other)], Barrier(2), []

    def answer(client, value):
        ready.wait(timeout=10)
        told.append(client.post(f"{CHOICE}?seen=0", {"enabled": value}).status_code)
        connection.close()

    threads = [
        Thread(target=answer, args=pair) for pair in zip(clients, "01", strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(told) == [302, 409]
    assert Choice.objects.count() == 1


class TestBanner:
    def test_stands_before_the_content_and_links_to_notice_and_opt_out(self, admin):
        page = body(admin.get(PAGE))
        assert page.index('id="privacy-banner"') < page.index("<h1")
        assert (
            "Browsers send interaction data to the test receiver unless you opt out"
            in page
        )
        assert 'href="https://www.f5.com/company/policies/privacy-notice"' in page
        assert (
            f'href="{OPT_OUT}?via=notice&amp;seen=0&amp;next=/ui/settings/web-analytics"'
            in page
        )

    def test_offers_both_answers_in_the_same_style_refusal_first(self, admin):
        page = body(admin.get(PAGE))
        banner = page[page.index('id="privacy-banner"') : page.index("</section>")]
        assert banner.index('<a class="btn"') < banner.index('<button class="btn"')
        assert "btn-primary" not in banner

    def test_is_gone_for_every_administrator_after_one_answer(self, admin):
        admin.post(f"{CHOICE}?via=notice&seen=0", {"enabled": "1"})
        assert "privacy-banner" not in body(admin.get(PAGE))

    def test_in_opt_in_mode_asks(self, admin, settings):
        settings.NMS_ANALYTICS_MODE = "opt-in"
        page = body(admin.get(PAGE))
        assert "Choose whether browsers send interaction data" in page
        assert "Not chosen yet, so nothing is sent." in page
        assert "Allow for all users" in page

    def test_names_f5_in_live_mode(self, admin, settings):
        settings.SANDBOX = False
        assert "Browsers send interaction data to F5 unless you opt out" in body(
            admin.get(PAGE)
        )

    def test_without_a_collector_says_that_nothing_is_sent(self, admin, settings):
        settings.NMS_COLLECTOR_URL = ""
        page = body(admin.get(PAGE))
        banner = page[page.index('id="privacy-banner"') : page.index("</section>")]
        assert "No collector is set, so nothing is sent." in banner

    def test_after_an_upgrade_says_once_that_the_choice_was_kept(
        self, admin, settings, now
    ):
        services.set_choice(collect=True, by="ada", via=Via.NOTICE, now=now)
        settings.VERSION = "0.0.2"
        page = body(admin.get(PAGE))
        assert "Interaction data stays on" in page
        assert "was kept in version 0.0.2" in page
        assert "Opt out for all users" in page
        admin.post(f"{PAGE}/acknowledgement", {"next": "/ui/"})
        assert Acknowledgement.objects.get().acknowledged_by == "ada"
        assert "privacy-banner" not in body(admin.get(PAGE))

    def test_after_an_upgrade_names_the_new_fields(self, admin, settings, now):
        services.set_choice(collect=True, by="ada", via=Via.NOTICE, now=now)
        Choice.objects.update(accepted=catalog.names()[:-1])
        settings.VERSION = "0.0.2"
        page = body(admin.get(PAGE))
        assert (
            "1 new field: <code>click.se_la</code>. It stays off until you answer"
            in page
        )

    def test_after_a_restore_says_why_it_is_off(self, admin, now):
        Choice.objects.create(
            pk=9,
            value=False,
            decided_at=now,
            decided_by="system",
            via="system",
            reason=services.RESTORED,
        )
        assert "off because the database was restored" in body(admin.get(PAGE))
        admin.post(f"{CHOICE}?via=notice&seen=9", {"enabled": "0"})
        assert "privacy-banner" not in body(admin.get(PAGE))


def test_the_switch_is_in_the_user_menu_of_administrators(admin):
    page = body(admin.get(PAGE))
    menu = page[page.index('id="user-menu"') :]
    assert LABEL in menu
    assert 'role="switch" id="menu-interaction-data"' in menu
    assert f'action="{CHOICE}?via=user_menu&amp;seen=0"' in menu


def test_off_the_menu_of_an_administrator_says_that_nothing_is_sent(admin):
    admin.post(f"{CHOICE}?via=user_menu&seen=0", {"enabled": "0", "next": "/ui/"})
    page = body(admin.get("/ui/"))
    menu = page[page.index('id="user-menu"') :]
    assert "so browsers send nothing. Applies to everyone." in menu
    assert "Browsers send" not in menu


def test_others_read_the_state_in_their_user_menu(vera, signed_in, noticed, now):
    services.set_choice(collect=True, by="ada", via=Via.SETTINGS, now=now)
    page = body(signed_in(vera).get(PAGE))
    menu = page[page.index('id="user-menu"') :]
    assert "On since" in menu
    assert "Only an administrator can change this." in menu
    assert "<input" not in menu[: menu.index("<hr> <", menu.index(LABEL))]


def test_do_not_track_locks_the_switch_and_is_named(admin, settings):
    settings.DO_NOT_TRACK = True
    page = body(admin.get(PAGE))
    assert 'role="switch"' not in page
    assert "DO_NOT_TRACK is set on this server" in page
    assert admin.post(CHOICE, {"enabled": "1"}).status_code == 409


def test_off_the_page_shows_a_sample_of_the_catalogue_and_no_live_script(admin, now):
    services.set_choice(collect=False, by="ada", via=Via.SETTINGS, now=now)
    page = body(admin.get(PAGE))
    assert "se_ac" in page
    assert "live-events.js" not in page


def test_the_page_lists_every_field_of_the_catalogue(admin):
    page = body(admin.get(PAGE))
    for point in catalog.POINTS:
        assert point.label in page
        assert all(f"<code>{field.name}</code>" in page for field in point.fields)


def test_privacy_is_open_to_everybody_but_names_who_decided_only_inside(admin, now):
    services.set_choice(collect=True, by="ada", via=Via.SETTINGS, now=now)
    outside = body(Client().get("/privacy"))
    assert "You are not signed in, so your browser sends nothing." in outside
    assert "For all users: Allowed by an administrator on" in outside
    assert "23 Nov 2026, 12:00 UTC" in outside
    assert "ada" not in outside
    inside = body(admin.get("/privacy"))
    assert "Your browser sends page views and clicks." in inside
    assert "Allowed by <strong>ada</strong>" in inside


class TestPolicyReports:
    REPORT = {
        "csp-report": {
            "effective-directive": "connect-src",
            "blocked-uri": "https://x.example",
        }
    }

    @pytest.fixture(autouse=True)
    def _fresh(self, monkeypatch):
        monkeypatch.setattr(views, "_reports", views._Reports())

    def send(self, data, **more):
        client = Client(enforce_csrf_checks=True)
        return client.post(
            "/csp-report", data, content_type="application/csp-report", **more
        )

    def test_are_counted_by_day_and_directive_and_nothing_else_is_kept(self):
        for _ in range(2):
            assert self.send(json.dumps(self.REPORT)).status_code == 204
        row = Blocked.objects.get()
        assert (row.directive, row.count) == ("connect-src", 2)

    @pytest.mark.parametrize(
        "data",
        [
            "",
            "[]",
            "{",
            '{"csp-report": 1}',
            "[" * 8000,
            '{"csp-report":{"effective-directive":"x"}}',
        ],
    )
    def test_of_another_shape_are_counted_as_other(self, data):
        assert self.send(data).status_code == 204
        assert Blocked.objects.get().directive == "other"

    def test_that_are_too_large_are_not_read(self):
        assert self.send("x" * 9000).status_code == 204
        assert not Blocked.objects.exists()

    def test_are_counted_up_to_sixty_times_a_minute(self):
        for _ in range(70):
            self.send(json.dumps(self.REPORT))
        assert Blocked.objects.get().count <= 60

    def test_are_summed_on_the_page(self, admin, now):
        services.count_blocked("connect-src", now=now)
        assert services.blocked_count(now - timedelta(days=14)) == 1


def test_the_report_address_is_the_one_in_the_policy(admin):
    assert "report-uri /csp-report" in admin.get(PAGE)["Content-Security-Policy"]
    assert reverse("csp-report") == "/csp-report"


def test_before_the_set_up_is_finished_one_can_opt_out_and_nothing_is_tracked(ada):
    client = Client()
    client.force_login(ada, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get(f"{OPT_OUT}?next=/setup/2")
    assert 'class="n-solo' in body(page)
    assert "tracker.js" not in body(page)
    answer = client.post(f"{OPT_OUT}?seen=0", {"next": "/setup/2"})
    assert answer["Location"] == "/setup/2"
    row = Choice.objects.get()
    assert (row.value, row.via) == (False, Via.WIZARD)
    undone = client.post(f"{CHOICE}?seen=1", {"enabled": "1", "next": "/setup/2"})
    assert undone["Location"] == "/setup/2"
    assert services.is_on() is True
    assert client.get("/ui/interaction-data/permission").status_code == 410
