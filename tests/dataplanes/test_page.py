from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.models import Record
from dataplanes import services
from dataplanes.models import AgentToken, DataPlane, Refusals
from dataplanes.services import By
from nms_admin import activity

PAGE = "/ui/data-planes"


def data_plane(number: int, *, seen: timedelta = timedelta(), **more) -> DataPlane:
    now = timezone.now()
    return DataPlane.objects.create(
        system_uid=f"0d4f3b52-6f0e-3b0e-9b44-{number:012}",
        name=more.pop("name", f"edge-{number}.example.net"),
        registered_at=now - timedelta(days=30),
        seen_at=now - seen - timedelta(seconds=number),
        **more,
    )


def shown(client, query: str = "") -> list[str]:
    page = client.get(f"{PAGE}{query}").content.decode()
    return re.findall(r'data-th="Name"><strong>(edge-\d+)', page)


def test_without_data_planes_the_page_says_how_they_come(vera, ada, signed_in):
    page = signed_in(vera).get(PAGE).content.decode()
    assert "No data planes yet" in page
    assert "They appear when an NGINX Agent registers" in page
    assert "Issue a token" not in page
    assert "Issue a token" in signed_in(ada).get(PAGE).content.decode()


def test_each_status_follows_from_when_it_was_seen(vera, signed_in):
    data_plane(1)
    data_plane(2, seen=timedelta(hours=25))
    data_plane(3, seen=timedelta(days=8))
    data_plane(4, removed_at=timezone.now())
    client = signed_in(vera)
    assert shown(client) == ["edge-1", "edge-2", "edge-3"]
    for number, status in enumerate(("reporting", "late", "silent", "removed"), 1):
        assert shown(client, f"?status={status}") == [f"edge-{number}"]
        page = client.get(f"{PAGE}?status={status}").content.decode()
        assert re.search(rf"</svg>{status.title()}</span>", page)


def test_a_name_or_the_beginning_of_a_system_id_finds_it(vera, signed_in):
    data_plane(1)
    data_plane(2, hostname="inner.example.org")
    client = signed_in(vera)
    assert shown(client, "?q=EDGE-1") == ["edge-1"]
    assert shown(client, "?q=inner") == ["edge-2"]
    assert shown(client, "?q=0d4f3b52-6f0e-3b0e-9b44-000000000002") == ["edge-2"]
    page = client.get(f"{PAGE}?q=nothing").content.decode()
    assert "No data planes match." in page


def test_pages_of_fifty_lead_on_and_back(vera, signed_in):
    DataPlane.objects.bulk_create(
        DataPlane(
            system_uid=str(number),
            name=f"edge-{number}",
            registered_at=timezone.now(),
            seen_at=timezone.now() - timedelta(minutes=number),
        )
        for number in range(120)
    )
    client = signed_in(vera)

    def follow(rel: str, at: str) -> str:
        page = client.get(at).content.decode()
        found = re.search(rf'href="([^"]+)" rel="{rel}"', page)
        return found[1].replace("&amp;", "&").removeprefix(PAGE) if found else ""

    second = follow("next", PAGE)
    third = follow("next", PAGE + second)
    assert shown(client) == [f"edge-{n}" for n in range(50)]
    assert shown(client, second) == [f"edge-{n}" for n in range(50, 100)]
    assert shown(client, third) == [f"edge-{n}" for n in range(100, 120)]
    assert follow("next", PAGE + third) == ""
    back = follow("prev", PAGE + third)
    assert shown(client, back) == shown(client, second)
    first = follow("prev", PAGE + back)
    assert shown(client, first) == shown(client)
    assert follow("prev", PAGE + first) == ""
    assert shown(client, "?after=nonsense") == shown(client)


def test_the_number_of_queries_does_not_grow(vera, signed_in):
    client = signed_in(vera)
    data_plane(0)
    client.get(PAGE)
    with CaptureQueriesContext(connection) as few:
        client.get(PAGE)
    for number in range(1, 60):
        data_plane(number)
    with CaptureQueriesContext(connection) as many:
        client.get(PAGE)
    assert len(many) == len(few) <= 11


def test_htmx_gets_the_rows_alone(vera, signed_in):
    data_plane(1)
    headers = {"HX-Request": "true", "HX-Target": "data-planes"}
    page = signed_in(vera).get(PAGE, headers=headers).content.decode()
    assert "<html" not in page
    assert "1 data plane shown" in page


def test_what_an_agent_says_is_text_and_nothing_else(vera, signed_in):
    data_plane(1, name="<script>alert(1)</script>")
    page = signed_in(vera).get(PAGE).content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_a_token_is_shown_once_and_only_its_digest_is_kept(ada, signed_in):
    client = signed_in(ada)
    page = client.post(f"{PAGE}/tokens/issue", {"name": "Berlin"}).content.decode()
    token = re.search(r'<pre id="agent-token"[^>]*>([^<]+)</pre>', page)[1]
    assert f"token: &quot;{token}&quot;" in page
    assert "skip_verify: false" in page
    stored = AgentToken.objects.get()
    assert stored.digest == services.digest(token)
    assert token not in client.get(PAGE).content.decode()
    record = Record.objects.get(action="agent_token.issued")
    assert token not in str(record.__dict__)
    assert activity.line(record).sentence == "ada issued the agent token Berlin"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "Enter a name"),
        (" \t\u202e", "Enter a name"),
        ("Berlin", "There is already a token with this name."),
    ],
)
def test_a_token_needs_a_name_of_its_own(ada, signed_in, name, says):
    services.issue_token("Berlin", By("ada", timezone.now()))
    answer = signed_in(ada).post(f"{PAGE}/tokens/issue", {"name": name})
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert AgentToken.objects.count() == 1


def test_revoking_asks_first_and_is_told_to_the_chain(ada, signed_in):
    token, _ = services.issue_token("Berlin", By("ada", timezone.now()))
    client = signed_in(ada)
    address = f"{PAGE}/tokens/{token.pk}/revoke"
    assert "Revoke the token?" in client.get(address).content.decode()
    assert services.digests_in_force() == {token.digest}
    page = client.post(address, follow=True).content.decode()
    assert "The token Berlin is revoked." in page
    assert services.digests_in_force() == set()
    again = client.post(address, follow=True).content.decode()
    assert "This token is not in force any more." in again
    services.issue_token("Berlin", By("ada", timezone.now()))  # the name is free again
    record = Record.objects.get(action="agent_token.revoked")
    assert activity.line(record).sentence == "ada revoked the agent token Berlin"


def test_removing_keeps_the_history(ada, signed_in):
    found = data_plane(1)
    client = signed_in(ada)
    address = f"{PAGE}/{found.pk}/remove"
    assert "Remove the data plane?" in client.get(address).content.decode()
    page = client.post(address, follow=True).content.decode()
    assert "edge-1.example.net is removed." in page
    assert shown(client) == []
    assert shown(client, "?status=removed") == ["edge-1"]
    again = client.post(address, follow=True).content.decode()
    assert "not listed any more" in again
    record = Record.objects.get(action="data_plane.removed")
    said = "ada removed the data plane edge-1.example.net"
    assert activity.line(record).sentence == said


def test_agents_that_are_refused_are_told_of(vera, signed_in):
    client = signed_in(vera)
    assert "Agents were refused" not in client.get(PAGE).content.decode()
    today = timezone.now().date()
    Refusals.objects.create(day=today, reason="token", count=12)
    Refusals.objects.create(day=today - timedelta(days=1), reason="no_id", count=7)
    page = client.get(PAGE).content.decode()
    assert "12 times: the token is not one of this server&#x27;s." in page
    assert "no system ID" not in page


@pytest.mark.parametrize(
    ("public", "bind", "certificate", "says"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8443", "", ("127.0.0.1", 8443, "false")),
        ("https://nms.example", "0.0.0.0:8443", "c", ("nms.example", 8443, "true")),
        ("https://nms.example", "127.0.0.1:8443", "", ("nms.example", 443, "true")),
        ("https://nms.example:444", "[::1]:1", "", ("nms.example", 444, "true")),
    ],
)
def test_the_configuration_fits_where_agents_reach_this_server(
    vera, signed_in, settings, public, bind, certificate, says
):
    settings.NMS_PUBLIC_URL, settings.NMS_DPM_BIND = public, bind
    settings.NMS_TLS_CERT = certificate
    page = signed_in(vera).get(PAGE).content.decode()
    host, port, tls = says
    assert f"  host: {host}\n  grpcPort: {port}\n" in page
    assert f"tls:\n  enable: {tls}\n  skip_verify: false\n" in page


def test_the_chain_is_not_told_what_an_agent_said_beyond_its_name(now: datetime, db):
    found = data_plane(1, os="Debian", hostname="inner")
    services.remove(found.pk, By("ada", now))
    record = Record.objects.get()
    assert record.subject == "edge-1.example.net"
    assert record.details == {}
