"""Settings > Telemetry as people see it."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from audit.models import Record
from common.models import Via
from licensing import services as licensing
from nms_admin import celery_app
from telemetry import delivery, services
from telemetry.models import Batch, DailyCount, Event
from tests import make
from tests.telemetry.conftest import record

pytestmark = pytest.mark.django_db
PAGE = "/ui/settings/telemetry"


@pytest.fixture
def now() -> datetime:
    """Pages ask the clock: the real one."""
    return timezone.now()


@pytest.fixture
def finished(db: None, now: datetime) -> None:
    from common import setup

    row = setup.current()
    row.finished_at = row.claimed_at = now - timedelta(days=3)
    row.save()


def text(answer) -> str:
    assert answer.status_code == 200
    page = re.sub(r"<[^>]+>", " ", answer.content.decode())
    return " ".join(html.unescape(page).split())


def payload(answer) -> str:
    found = re.search(
        r'<pre id="next-document"[^>]*>(.*?)</pre>', answer.content.decode()
    )
    assert found
    return html.unescape(found[1])


def test_the_ledger_says_where_all_other_calls_stand(signed_in, vera) -> None:
    client = signed_in(vera)
    page = client.get(PAGE)
    assert "Events only. Usage reports and their calls: Usage reports" in text(page)
    link = re.search(r'href="([^"]*group=deliveries)"', page.content.decode())
    assert link
    assert client.get(link[1]).status_code == 200


def test_what_the_page_shows_is_byte_for_byte_what_the_receiver_gets(
    signed_in, otto, licensed, receiver, clock
) -> None:
    client = signed_in(otto)
    answer = client.get(PAGE)
    shown = payload(answer)
    assert delivery.deliver(clock) == 1
    (arrival,) = receiver.arrivals
    assert shown.encode() == arrival.body
    batch = Batch.objects.get()
    assert batch.sha256 in answer.content.decode()
    details = client.get(f"{PAGE}/batches/{batch.pk}").content.decode()
    assert html.escape(shown) in details.replace("&quot;", '"').replace('"', "&quot;")
    assert batch.receipt in details


def test_a_sealed_batch_is_what_is_shown_next(signed_in, otto, licensed, clock) -> None:
    client = signed_in(otto)
    batch = delivery.seal(clock.now)
    assert batch
    assert payload(client.get(PAGE)).encode() == bytes(batch.body)


def test_when_nothing_waits_an_example_says_so(signed_in, otto, licensed) -> None:
    client = signed_in(otto)
    Event.objects.all().delete()
    answer = client.get(PAGE)
    assert "Nothing waits. An example" in text(answer)
    assert json.loads(payload(answer))["telemetryRecords"][0]["dataPoint"] == "login"
    answer = client.get(PAGE, {"preview": "process_stop"})
    assert '"dataPoint":"process_stop"' in payload(answer)


def test_a_viewer_sees_everything_but_payloads_and_buttons(
    signed_in, vera, licensed, receiver, clock
) -> None:
    client = signed_in(vera)
    receiver.fails("status", status=500)
    delivery.deliver(clock)
    page = text(client.get(PAGE))
    assert "Your role cannot view payloads." in page
    assert "Trying again" in page
    assert "An Operator or Administrator can select Try now." in page
    batch = Batch.objects.get()
    for headers in ({}, {"HX-Request": "true"}):
        details = client.get(f"{PAGE}/batches/{batch.pk}", headers=headers)
        assert "telemetryRecords" not in details.content.decode()
    assert client.post(f"{PAGE}/try-now").status_code == 403
    assert client.get(f"{PAGE}/delete-held").status_code == 403
    for action in ("retry", "discard"):
        assert client.post(f"{PAGE}/batches/{batch.pk}/{action}").status_code == 403


def test_held_events_name_the_reason_and_can_be_deleted(
    signed_in, ada, finished
) -> None:
    client = signed_in(ada)
    assert "Held until a license is added 1 event since" in text(client.get(PAGE))
    assert "Delete held events" in text(client.get(PAGE))
    assert "1 event waits on this server" in text(client.get(f"{PAGE}/delete-held"))
    answer = client.post(f"{PAGE}/delete-held", follow=True)
    assert "1 event deleted. Nothing was sent." in text(answer)
    assert Event.objects.count() == 0
    assert DailyCount.objects.get().reason == "deleted by hand"
    assert Record.objects.get(action="telemetry.held_deleted").actor == "ada"


def test_off_is_said_in_so_many_words(signed_in, ada, licensed, now) -> None:
    licensing.set_connection(on=False, by="ada", via=Via.SETTINGS, now=now)
    page = text(signed_in(ada).get(PAGE))
    assert "Telemetry is off Nothing is recorded and nothing is sent." in page
    assert "While it is off Nothing is recorded or sent." in page


def test_a_failed_try_says_when_the_next_one_is(
    signed_in, otto, licensed, receiver, clock
) -> None:
    client = signed_in(otto)
    receiver.fails("status", times=1, status=503)
    delivery.deliver(clock)
    page = text(client.get(PAGE))
    assert "The last try failed It answered 503. Events wait here" in page
    answer = client.post(f"{PAGE}/try-now", follow=True)
    assert "Sending now." in text(answer)
    assert delivery.deliver(timezone.now) == 1
    assert "The last try failed" not in text(client.get(PAGE))


def test_a_refused_license_is_named(signed_in, otto, licensed, receiver, clock) -> None:
    client = signed_in(otto)
    receiver.fails("status", status=401)
    delivery.deliver(clock)
    assert "The receiver refused the license (401)" in text(client.get(PAGE))


def test_a_refused_batch_can_be_sent_again_or_discarded(
    signed_in, ada, licensed, receiver, clock
) -> None:
    client = signed_in(ada)
    receiver.fails("status", times=1, status=422)
    delivery.deliver(clock)
    number = Batch.objects.get().pk
    assert "Refused 1 Show them" in text(client.get(PAGE))
    assert "It was refused (422)." in text(client.get(f"{PAGE}/batches/{number}"))
    answer = client.post(f"{PAGE}/batches/{number}/retry", follow=True)
    assert "It is sent again with the next delivery." in text(answer)
    answer = client.post(f"{PAGE}/batches/{number}/discard", follow=True)
    assert "It is not refused any more." in text(answer)
    receiver.fails("status", times=1, status=422)
    delivery.deliver(timezone.now)
    client.post(f"{PAGE}/batches/{number}/discard")
    assert Batch.objects.get().discarded_at


@pytest.fixture
def ledger(licensed, receiver, clock) -> list[Batch]:
    """Thirty batches, a millisecond apart; the last one is refused."""
    for number in range(30):
        if number == 29:
            receiver.fails("status", status=400)
        record(1, clock.now)
        delivery.deliver(clock)
        clock.forward(milliseconds=1)
    return list(Batch.objects.order_by("-sealed_at"))


def shown(answer) -> list[str]:
    return re.findall(r'id="b-([0-9a-f-]{36})"', answer.content.decode())


def test_the_ledger_goes_on_page_by_page(signed_in, vera, ledger) -> None:
    client = signed_in(vera)
    first = client.get(PAGE)
    found = re.search(r'href="([^"]+)" rel="next"', first.content.decode())
    assert found
    second = client.get(html.unescape(found[1]))
    assert shown(first) + shown(second) == [str(batch.pk) for batch in ledger]
    assert 'rel="next"' not in second.content.decode()


def test_the_ledger_can_be_searched(signed_in, vera, ledger) -> None:
    client = signed_in(vera)
    wanted = ledger[5]
    assert shown(client.get(PAGE, {"q": wanted.receipt[:8]})) == [str(wanted.pk)]
    assert shown(client.get(PAGE, {"q": str(wanted.pk)})) == [str(wanted.pk)]
    assert shown(client.get(PAGE, {"status": "refused"})) == [str(ledger[0].pk)]
    assert len(shown(client.get(PAGE, {"point": "login"}))) == 20
    nothing = client.get(PAGE, {"point": "installation"})
    assert "No records match. Clear filters" in text(nothing)
    for odd in ("%", "\0", "'", "x" * 500):
        assert (
            client.get(PAGE, {"q": odd, "after": odd, "status": odd}).status_code == 200
        )


def test_htmx_gets_the_ledger_alone_and_the_number_for_screen_readers(
    signed_in, vera, ledger
) -> None:
    answer = signed_in(vera).get(
        PAGE,
        {"status": "refused"},
        headers={"HX-Request": "true", "HX-Target": "ledger"},
    )
    assert "<html" not in answer.content.decode()
    assert "1 record shown" in text(answer)


def test_a_row_opens_and_closes(signed_in, otto, ledger) -> None:
    client = signed_in(otto)
    url = f"{PAGE}/batches/{ledger[1].pk}"
    opened = client.get(url, headers={"HX-Request": "true"})
    assert 'aria-expanded="true"' in opened.content.decode()
    assert "telemetryRecords" in html.unescape(opened.content.decode())
    closed = client.get(f"{url}?close", headers={"HX-Request": "true"})
    assert 'aria-expanded="false"' in closed.content.decode()
    assert "telemetryRecords" not in closed.content.decode()


def test_the_export_is_a_table_without_documents(signed_in, vera, ledger) -> None:
    Batch.objects.filter(pk=ledger[3].pk).update(receipt='=HYPERLINK("x")')
    answer = signed_in(vera).get(f"{PAGE}/ledger.csv", {"status": "accepted"})
    assert answer["Content-Type"].startswith("text/csv")
    content = b"".join(answer.streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(content)))
    assert len(rows) == 29
    assert rows[2]["receipt"] == '\'=HYPERLINK("x")'
    assert "telemetryRecords" not in content


def test_the_numbers_the_plot_and_its_table_say_the_same(
    signed_in, vera, ledger
) -> None:
    answer = signed_in(vera).get(PAGE)
    label = re.search(r'aria-label="(Events per day[^"]*)"', answer.content.decode())
    assert label
    assert label[1].endswith("29 accepted, 1 pending, 1 refused.")
    assert "Accepted, last 14 days 29 100% on the first try" in text(answer)


def test_every_data_point_is_named_with_its_purpose(signed_in, vera, finished) -> None:
    client = signed_in(vera)
    page = text(client.get(PAGE))
    for label in (
        "Installation",
        "Login",
        "Start of a process",
        "Stop of a process",
        "Adding Data Plane(s)",
        "Product Usage",
    ):
        assert label in page
    content = client.get(f"{PAGE}/data-points.json").json()
    assert [point["name"] for point in content["dataPoints"]] == [
        "installation",
        "login",
        "process_start",
        "process_stop",
        "data_plane_added",
    ]


def test_a_batch_that_is_not_there_is_404(signed_in, vera, finished) -> None:
    number = "0b5f3a52-6f0e-4b0e-9b44-0d9a4c8a5c11"
    assert signed_in(vera).get(f"{PAGE}/batches/{number}").status_code == 404


def test_the_page_costs_the_same_however_much_waits(
    signed_in, vera, ledger, django_assert_max_num_queries, clock
) -> None:
    client = signed_in(vera)
    Event.objects.bulk_create(
        Event(data_point="login", occurred_at=clock.now) for _ in range(300)
    )
    with django_assert_max_num_queries(45):
        client.get(PAGE)


def test_nothing_of_the_person_host_or_product_is_in_what_is_sent(
    signed_in, ada, licensed, receiver, clock, settings, monkeypatch
) -> None:
    marks = {
        "name": "m4rked-user",
        "host": "m4rked-host",
        "mail": "m4rked@example.net",
        "path": "/m4rked/path",
        "version": "9.8.7-m4rked",
        "ip": "203.0.113.77",
    }
    ada.username, ada.email = marks["name"], marks["mail"]
    ada.save()
    settings.VERSION = marks["version"]
    settings.NMS_DATA_DIR = marks["path"]
    monkeypatch.setattr("socket.gethostname", lambda: marks["host"])
    from telemetry import processes

    processes.started("core", clock.now)
    services.installed(clock.now)
    client = signed_in(ada)
    client.defaults["REMOTE_ADDR"] = marks["ip"]
    client.get(PAGE)
    assert delivery.deliver(clock) == 3
    (arrival,) = receiver.arrivals
    token = make.token(clock.now).split(".")[1]
    everything = b" ".join(
        [
            arrival.body,
            *(f"{name}: {value}".encode() for name, value in arrival.headers),
        ]
    )
    assert token[:10].encode() in everything, "the license is what authorises it"
    for mark in marks.values():
        assert mark.encode() not in everything
    assert b"core" not in arrival.body
    assert datetime.now(UTC).strftime("%Y").encode() in arrival.body


def test_without_a_broker_capture_and_pages_work_and_do_not_wait(
    signed_in, otto, licensed, receiver, clock, monkeypatch
) -> None:
    monkeypatch.setitem(celery_app.conf, "broker_url", "redis://127.0.0.1:1/0")
    client = signed_in(otto)
    start = time.monotonic()
    record(1, clock.now)
    assert text(client.get(PAGE))
    answer = client.post(f"{PAGE}/try-now", follow=True)
    assert "It will be sent within a minute." in text(answer)
    assert time.monotonic() - start < 3
    assert delivery.deliver(timezone.now) == 2
