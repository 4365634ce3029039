from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import checking, listing, services
from audit.models import Check, Head, Record
from common.models import Via
from telemetry import catalog, delivery
from telemetry import services as telemetry
from tests import make

PAGE = "/ui/audit"
DOCUMENT = Path(__file__).parent.parent.parent / "docs/audit.md"
pytestmark = pytest.mark.django_db


def add(action: str = "connection.off", number: int = 0, **more) -> Record:
    """Add a record; a higher number is later."""
    at = datetime(2026, 11, 20, 9, 0, tzinfo=UTC) + timedelta(minutes=number)
    return services.record(action, **{"now": at, "actor": "ada"} | more)


def shown(client, query: str = "") -> list[int]:
    page = client.get(f"{PAGE}{query}").content.decode()
    return [int(found) for found in re.findall(r'href="/ui/audit/(\d+)"', page)]


@pytest.fixture
def some(db) -> None:
    """Five records of five kinds on three days."""
    add("license.applied", subject="SBX-1", via=Via.SETTINGS, address="192.0.2.7")
    add("connection.off", 1, via=Via.API)
    add("user.signed_in", 1440, actor="otto", via="sign_in")
    add("delivery.sent", 1441, actor="system", subject="batch 1", via=Via.SYSTEM)
    add("usage.report_downloaded", 2880, actor="otto", subject="r-1")


@pytest.fixture
def reader(vera, signed_in):
    """A browser of a viewer, signed in without a record of it."""
    return signed_in(vera)


def test_each_record_is_a_sentence_with_who_when_and_from_where(some, reader, ada):
    page = reader.get(PAGE).content.decode()
    assert "Added the license SBX-1" in page
    assert "Turned Continuous Connection off" in page
    assert "20 Nov 2026, 09:00 UTC" in page
    for origin in ("Settings", "API", "Sign-in page", "System"):
        assert f'data-th="From">{origin}' in page
    assert shown(reader) == [5, 4, 3, 2, 1]


def test_what_a_record_does_not_have_is_a_dash(db, ada, signed_in):
    add("backup.made", 0)
    page = signed_in(ada).get(PAGE).content.decode()
    assert 'data-th="Object"><span class="n-muted">–</span>' in page
    assert 'data-th="IP address"><span class="n-muted">–</span>' in page
    assert "<dd>None</dd>" not in signed_in(ada).get(f"{PAGE}/1").content.decode()


def test_only_administrators_see_ip_addresses(some, otto, ada, signed_in):
    for path in (PAGE, f"{PAGE}/1"):
        assert "192.0.2.7" in signed_in(ada).get(path).content.decode()
        assert "192.0.2.7" not in signed_in(otto).get(path).content.decode()
    for form in ("csv", "json"):
        path = f"{PAGE}/export.{form}"
        assert b"192.0.2.7" in signed_in(ada).get(path).getvalue()
        taken = signed_in(otto).get(path).getvalue()
        assert b"192.0.2.7" not in taken
        assert b"127.0.0.1" not in taken


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("who=otto", [5, 3]),
        ("who=system", [4]),
        ("group=license", [1]),
        ("group=choices", [2]),
        ("group=users", [3]),
        ("group=deliveries", [4]),
        ("group=exports", [5]),
        ("group=reports", []),
        ("first=2026-11-21", [5, 4, 3]),
        ("last=2026-11-20", [2, 1]),
        ("first=2026-11-21&last=2026-11-21", [4, 3]),
        ("who=ada&group=choices&first=2026-11-20&last=9999-12-31", [2]),
    ],
)
def test_filters_by_who_action_and_day(some, reader, query, found):
    assert shown(reader, f"?{query}") == found
    if not found:
        assert "No records match." in reader.get(f"{PAGE}?{query}").content.decode()


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("first=yesterday", "Write the first day as 2026-11-23."),
        ("last=2026-13-01", "Write the last day as 2026-11-23."),
        (
            "first=2026-11-21&last=2026-11-20",
            "The last day is before the first one.",
        ),
        ("group=nonsense", "Select one of the actions in the list."),
        ("who=%00", "Null characters are not allowed."),
    ],
)
def test_a_filter_that_cannot_be_is_named_and_nothing_is_shown(
    some, otto, signed_in, query, says
):
    client = signed_in(otto)
    answer = client.get(f"{PAGE}?{query}")
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert shown(client, f"?{query}") == []
    refused = client.get(f"{PAGE}/export.json?{query}")
    assert refused["Location"].startswith(PAGE)
    assert not Record.objects.filter(action="audit.exported").exists()


def test_pages_of_fifty_lead_on_and_back(reader):
    for number in range(120):
        add("user.signed_in", number // 3)  # three of the same moment

    def follow(rel: str, at: str) -> str:
        page = reader.get(at).content.decode()
        found = re.search(rf'href="([^"]+)" rel="{rel}"', page)
        return found[1].replace("&amp;", "&").removeprefix(PAGE) if found else ""

    second = follow("next", f"{PAGE}?who=ada")
    third = follow("next", PAGE + second)
    assert "who=ada" in second
    assert shown(reader) == [*range(120, 70, -1)]
    assert shown(reader, second) == [*range(70, 20, -1)]
    assert shown(reader, third) == [*range(20, 0, -1)]
    assert follow("next", PAGE + third) == ""
    assert shown(reader, follow("prev", PAGE + third)) == shown(reader, second)
    assert shown(reader, follow("prev", PAGE + second)) == shown(reader)
    assert shown(reader, "?after=nonsense") == shown(reader)


def test_the_number_of_queries_does_not_grow(reader):
    add()
    reader.get(PAGE)
    with CaptureQueriesContext(connection) as few:
        reader.get(PAGE)
    for number in range(1, 60):
        add("user.signed_in", number)
    with CaptureQueriesContext(connection) as many:
        reader.get(PAGE)
    assert len(many) == len(few) <= 12


def test_htmx_gets_the_records_alone(some, reader):
    headers = {"HX-Request": "true", "HX-Target": "records"}
    page = reader.get(f"{PAGE}?who=ada", headers=headers).content.decode()
    assert "<html" not in page
    assert "2 records shown" in page


def test_what_somebody_typed_is_text_and_nothing_else(reader):
    add("user.sign_in_failed", subject="<script>alert(1)</script>", actor="system")
    for path in (PAGE, f"{PAGE}/1"):
        page = reader.get(path).content.decode()
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page


def test_before_the_first_check_the_page_says_when_it_comes(some, reader):
    page = reader.get(PAGE).content.decode()
    assert "Not checked yet" in page
    assert services.head()[1] in page


def test_the_head_says_when_the_chain_was_checked_and_how_many_hold(some, reader, now):
    checking.go_on(now)
    page = reader.get(PAGE).content.decode()
    assert re.sub("<[^>]+>", "", page).count(
        "Checked 23 Nov 2026, 12:00 UTC: 5 records, unbroken."
    )


def test_a_broken_chain_names_the_record_and_what_to_do(some, reader, now):
    Record.objects.filter(sequence=3).update(actor="mallory")
    checking.go_on(now)
    page = reader.get(PAGE).content.decode()
    assert "The chain is broken at record 3" in page
    assert "record 3 was changed" in page
    assert "Keep a copy of the database" in page
    assert "unbroken" not in page
    assert "Digest does not match" in reader.get(f"{PAGE}/3").content.decode()
    overview = reader.get("/ui/").content.decode()
    assert "The audit chain is broken at record 3" in overview


def test_check_now_stores_the_wish_and_walks_nothing_in_the_request(
    some, otto, signed_in
):
    client = signed_in(otto)
    Record.objects.filter(sequence=3).update(actor="mallory")
    answer = client.post(f"{PAGE}/check")
    assert answer["Location"] == PAGE
    assert checking.state().asked_at is not None
    assert checking.state().broken_at is None
    page = client.get(PAGE).content.decode()
    assert "it starts within a minute" in page
    checking.go_on(timezone.now())
    headers = {"HX-Request": "true", "HX-Target": "chain"}
    page = client.get(PAGE, headers=headers).content.decode()
    assert "<html" not in page
    assert "hx-trigger" not in page
    assert "The chain is broken at record 3." in page


def test_a_check_no_worker_took_is_said_to_be(some, otto, signed_in):
    checking.ask(timezone.now() - timedelta(minutes=6))
    page = signed_in(otto).get(PAGE).content.decode()
    assert "The check did not start" in page


def test_a_record_of_a_sending_leads_to_the_bytes(finished, ada, signed_in, now):
    make.license(now)
    telemetry.record(catalog.LOGIN, now=now)
    batch = delivery.seal(now)
    sent = add("delivery.sent", subject=f"batch {batch.pk}")
    client = signed_in(ada)
    page = client.get(f"{PAGE}/{sent.sequence}").text
    (address,) = re.findall(r'href="([^"]+)">Show what was sent', page)
    assert batch.sha256 in client.get(address).text


def test_the_digest_of_no_body_is_said_to_be_one(db, ada, signed_in):
    details = {"sha256": hashlib.sha256(b"").hexdigest()}
    sent = add("delivery.sent", subject="keys", details=details)
    page = signed_in(ada).get(f"{PAGE}/{sent.sequence}").text
    assert "(nothing: the request had no body)" in page
    assert "Show what was sent" not in page


def test_a_record_shows_all_its_members_and_its_neighbours(ada, signed_in):
    add("license.applied")
    add("user.role_changed", 1, subject="otto", details={"before": "a", "after": "b"})
    add("license.replaced", 2)
    page = signed_in(ada).get(f"{PAGE}/2").content.decode()
    record = Record.objects.get(sequence=2)
    for part in ("before", "after", record.digest, record.previous, "otto"):
        assert part in page
    assert 'href="/ui/audit/1" rel="next"' in page
    assert 'href="/ui/audit/3" rel="prev"' in page
    text = re.search(r'<pre id="content"[^>]*>([^<]+)</pre>', page)[1]
    assert text.replace("&quot;", '"') == services.content(record)
    assert "Digest matches" in page


@pytest.mark.parametrize("number", ["0", "99", str(1 << 63), str(10**30)])
def test_a_record_that_is_not_there_is_not_found(some, reader, number):
    assert reader.get(f"{PAGE}/{number}").status_code == 404


def export(client, form: str = "json", query: str = "") -> str:
    answer = client.get(f"{PAGE}/export.{form}{query}")
    assert answer.status_code == 200
    assert answer.streaming
    assert answer["Cache-Control"] == "no-store"
    return answer.getvalue().decode()


def snippet() -> str:
    """Return the Python of docs/audit.md."""
    return re.search(r"```python\n(.+?)```", DOCUMENT.read_text(), re.DOTALL)[1]


def proven(text: str, folder: Path) -> str:
    """Return what the documented snippet says about an export."""
    file = folder / "audit-log.jsonl"
    file.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-c", snippet(), file], capture_output=True, text=True
    )
    return (done.stdout or done.stderr).strip()


def test_an_export_proves_itself_by_the_documented_snippet(
    some, ada, signed_in, tmp_path
):
    add("user.added", 5000, subject="Jürgen 🦊", details={"ratio": 0.5, "none": None})
    text = export(signed_in(ada))
    number, digest = services.head()
    assert number == 7  # the export itself is the last record in it
    assert proven(text, tmp_path) == f"unbroken, 7 records, head {digest}"
    lines = text.splitlines(keepends=True)
    broken = text.replace("SBX-1", "SBX-2")
    assert proven(broken, tmp_path).startswith("Record 1 does not follow")
    without = "".join(lines[:3] + lines[4:])
    assert proven(without, tmp_path).startswith("Record 3 does not follow")
    assert proven("".join(lines[:-1]), tmp_path) == "The last record is not the head."


def test_an_export_holds_what_matches_and_is_recorded(some, otto, signed_in):
    text = export(signed_in(otto), "json", "?who=ada")
    heading, *records = [json.loads(line) for line in text.splitlines()]
    assert [one["sequence"] for one in records] == [1, 2]
    assert heading["filters"] == {"who": "ada"}
    assert heading["head"] == {"sequence": 6, "digest": services.head()[1]}
    record = Record.objects.latest("sequence")
    assert (record.action, record.actor) == ("audit.exported", "otto")
    assert record.details == {"who": "ada"}
    assert services.verify() is None


def test_a_csv_cell_a_spreadsheet_would_run_is_guarded(ada, signed_in):
    add("user.sign_in_failed", actor="system", subject='=HYPERLINK("http://x")')
    rows = list(csv.reader(io.StringIO(export(signed_in(ada), "csv"))))
    assert rows[0][0] == "sequence"
    assert rows[1][4] == '\'=HYPERLINK("http://x")'
    assert rows[-1][0] == "2"
    assert rows[-1][-1] == services.head()[1]
    assert {len(row) for row in rows} == {len(rows[0])}


def test_asking_whether_an_export_is_there_is_not_an_export(ada, signed_in):
    assert signed_in(ada).head(f"{PAGE}/export.csv").status_code == 200
    assert not Record.objects.exists()


def test_an_export_of_many_records_is_not_held_in_memory(some):
    found = listing.records(listing.Filters(), upto=5)
    assert next(found).sequence == 1
    assert not isinstance(found, list)


def test_the_ledger_somebody_takes_away_is_recorded(vera, signed_in):
    signed_in(vera).get("/ui/settings/telemetry/ledger.csv").getvalue()
    record = Record.objects.get()
    assert (record.action, record.actor) == ("telemetry.ledger_exported", "vera")


def test_an_empty_log_says_what_comes_first(reader):
    assert not Head.objects.exists()
    assert not Check.objects.exists()
    assert "No records yet." in reader.get(PAGE).content.decode()
