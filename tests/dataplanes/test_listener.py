"""What only the real agent showed; each trap of NGINX Agent version 2 by its number."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import grpc
import pytest
from django.db import connections
from django.utils import timezone

from dataplanes import listener, services
from dataplanes.models import AgentToken, DataPlane, Refusals
from dataplanes.services import By
from telemetry import catalog
from telemetry.models import Event
from tests import make
from tests.dataplanes.agent import SDK, Messages, field, fields
from tests.dataplanes.conftest import UID, issue, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
OTHER = "11111111-6f0e-3b0e-9b44-0d9a4c8a5c11"


@pytest.fixture(autouse=True)
def _licensed(finished, now) -> None:
    make.license(now)


def added() -> int:
    return Event.objects.filter(data_point=catalog.DATA_PLANE_ADDED.name).count()


def the_data_plane(uid: str = UID) -> DataPlane | None:
    return DataPlane.objects.filter(system_uid=uid).first()


def metadata(token: str, uid: str = UID) -> tuple[tuple[str, str], ...]:
    return (("authorization", token), ("bearer", token), ("uuid", uid))


def say(
    target: str, token: str, messages: Iterable[bytes], uid: str = UID
) -> list[bytes]:
    """Open a CommandChannel, say all this, hang up, and return the answers."""
    with grpc.insecure_channel(target) as channel:
        call = channel.stream_stream(f"{SDK}.Commander/CommandChannel")
        return list(call(iter(messages), metadata=metadata(token, uid), timeout=10))


def refusal(target: str, token: str, method: str, uid: str = UID) -> grpc.StatusCode:
    with grpc.insecure_channel(target) as channel:
        call = channel.stream_unary(f"{SDK}.{method}")
        with pytest.raises(grpc.RpcError) as caught:
            call(iter([]), metadata=metadata(token, uid), timeout=10)
        return caught.value.code()


def test_an_agent_registers_and_one_event_is_recorded(running, agents, token):
    agent = agents(running.target, UID, token)
    assert agent.registered()
    found = the_data_plane()
    assert (found.name, found.os) == ("edge-1.example.net", "Debian GNU/Linux 12")
    assert (found.agent_version, found.nginx_version) == ("2.46.7", "1.27.4")
    assert (found.instances, found.plus) == (1, False)
    assert added() == 1
    assert agent.refusals == []


@pytest.mark.both_databases
def test_registering_again_makes_no_second_event(running, token):
    for _ in range(3):
        answers = say(running.target, token, [Messages(UID).connect()])
        assert len(answers) == 1
    assert DataPlane.objects.count() == 1
    assert added() == 1


@pytest.mark.both_databases
def test_of_many_first_messages_at_once_one_is_the_registration(token, finished):
    """Two listeners on one database do not share a thread."""
    from dataplanes.reading import Sighting

    firsts: list[bool] = []
    start = threading.Barrier(6)

    def register() -> None:
        start.wait()
        sighting = Sighting(shows_nginx=True)
        firsts.append(services.sighted(UID, sighting, now=timezone.now()))
        connections.close_all()

    threads = [threading.Thread(target=register) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(firsts) == [False] * 5 + [True]
    assert added() == 1


def test_while_connection_is_off_it_registers_without_an_event(running, token):
    from licensing import services as licensing

    now = timezone.now()
    licensing.set_connection(on=False, by="ada", via="settings", now=now)
    say(running.target, token, [Messages(UID).connect()])
    assert the_data_plane()
    assert added() == 0


def test_nothing_about_the_data_plane_is_in_the_event(running, token):
    say(running.target, token, [Messages(UID, hostname="marked-4f1d").connect()])
    event = Event.objects.get(data_point=catalog.DATA_PLANE_ADDED.name)
    assert "marked-4f1d" not in str(event.__dict__)
    assert UID not in str(event.__dict__)


# Trap 1
def test_the_answer_carries_a_config_and_is_ok(running, token):
    (answer,) = say(running.target, token, [Messages(UID).connect()])
    content = fields(answer)
    assert fields(content[1])[3] == b"message-1"
    response = fields(content[7])
    assert response[1] == b""  # there and empty: nothing of the agent is changed
    assert fields(response[2]) == {1: 1}


# Trap 2
def test_a_wrong_token_is_refused_by_the_status_of_the_call(running, agents, token):
    agent = agents(running.target, UID, "not-" + token)
    code, said = wait_for(lambda: agent.refusals, 10, "a refusal")[0]
    assert code == grpc.StatusCode.UNAUTHENTICATED
    assert "server.token" in said
    assert the_data_plane() is None


@pytest.mark.parametrize(
    "method",
    [
        "Commander/Upload",
        "Commander/Download",
        "MetricsService/Stream",
        "MetricsService/StreamEvents",
    ],
)
def test_every_method_asks_for_the_token(running, token, method):
    code = refusal(running.target, "", method)
    assert code == grpc.StatusCode.UNAUTHENTICATED


def test_refusals_are_counted_and_logged_less_and_less(running, token, caplog):
    for _ in range(9):
        refusal(running.target, "wrong", "MetricsService/Stream")
    said = [record for record in caplog.records if "agent.refused" in str(record.msg)]
    assert len(said) == 4  # the 1st, 2nd, 4th and 8th
    running.run(running.listener.doorkeeper.count())
    assert Refusals.objects.get(reason="token").count == 9


def test_a_revoked_token_ends_the_stream_that_uses_it(
    running, agents, token, monkeypatch
):
    monkeypatch.setattr("dataplanes.doorkeeper.TOKENS_LAST_SECONDS", 0.0)
    agent = agents(running.target, UID, token, heartbeat=0.2)
    assert agent.registered()
    wait_for(lambda: AgentToken.objects.get().used_at, 5, "the token was used")
    services.revoke_token(AgentToken.objects.get().pk, By("ada", timezone.now()))
    code, _ = wait_for(lambda: agent.refusals, 10, "a refusal")[0]
    assert code == grpc.StatusCode.UNAUTHENTICATED


def test_a_token_issued_later_lets_a_waiting_agent_in(running, agents):
    agent = agents(running.target, UID, "no token is in force", heartbeat=0.2)
    wait_for(lambda: agent.refusals, 10, "a refusal")
    agent.metadata = metadata(issue("later"))
    wait_for(the_data_plane, 10, "it is registered")
    assert added() == 1


# Trap 3
def test_an_agent_that_never_asks_again_is_registered_by_a_heartbeat(running, token):
    agent = Messages(UID)
    assert say(running.target, token, [agent.started(), agent.heartbeat()]) == []
    assert the_data_plane().name == ""
    assert added() == 1
    say(running.target, token, [agent.status()])
    assert the_data_plane().name == "edge-1.example.net"
    assert added() == 1


# Trap 4
def test_the_order_of_the_first_messages_does_not_matter(running, token):
    one, other = Messages(UID), Messages(OTHER)
    say(running.target, token, [one.started(), one.status(), one.connect()])
    say(
        running.target, token, [other.connect(), other.started(), other.status()], OTHER
    )
    assert added() == 2
    told = DataPlane.objects.values_list("name", "os", "nginx_version", "instances")
    assert len(set(told)) == 1


# Trap 5
def test_text_that_is_no_utf_8_breaks_neither_message_nor_connection(running, token):
    host = field(3, b"edge-\xff\xfe\x00\x1b[31m-1")
    connect = Messages(UID).command(6, field(4, host))
    assert len(say(running.target, token, [connect])) == 1
    assert the_data_plane().hostname == "edge-\ufffd\ufffd[31m-1"


def test_text_without_end_is_cut(running, token):
    agent = Messages(UID, hostname="n" * 100_000)
    say(running.target, token, [agent.connect()])
    assert len(the_data_plane().name) == 255


def test_a_message_that_cannot_be_read_ends_its_stream_alone(running, token):
    with pytest.raises(grpc.RpcError) as caught:
        say(running.target, token, [b"\xff\xff\xff"])
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert len(say(running.target, token, [Messages(UID).connect()])) == 1


# Trap 6
def test_an_upload_is_answered_ok_and_thrown_away(running, agents, token):
    agent = agents(running.target, UID, token)
    (answer,) = wait_for(lambda: agent.uploads, 10, "the answer to an upload")
    assert fields(answer) == {2: 1}
    assert agent.connections == 1
    with connections["default"].cursor() as cursor:
        for model in (DataPlane, AgentToken, Event):
            cursor.execute(f"SELECT * FROM {model._meta.db_table}")
            assert "directoryMap" not in str(cursor.fetchall())


# Trap 7
def test_an_agent_without_nginx_registers_once_it_shows_one(running, token):
    agent = Messages(UID, nginx=False)
    say(running.target, token, [agent.started(), agent.status(), agent.heartbeat()])
    assert the_data_plane() is None
    agent.nginx = True
    say(running.target, token, [agent.status()])
    assert added() == 1


# Trap 8
def test_agents_with_a_blank_id_are_refused_and_counted(running, token, caplog):
    for method in ("MetricsService/Stream", "Commander/Upload"):
        code = refusal(running.target, token, method, uid="")
        assert code == grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(grpc.RpcError, match="machine ID"):
        say(running.target, token, [Messages("").connect()], uid="")
    running.run(running.listener.doorkeeper.count())
    assert Refusals.objects.get(reason="no_id").count == 3
    assert DataPlane.objects.count() == 0
    assert "the agent has no system ID" in caplog.text


# Trap 9
def test_the_same_nginx_id_on_two_hosts_is_two_data_planes(running, token):
    for uid in (UID, OTHER):
        say(running.target, token, [Messages(uid).connect()], uid)
    assert list(DataPlane.objects.values_list("instances", flat=True)) == [1, 1]
    assert added() == 2


# Trap 11
def test_two_hundred_open_streams_are_all_answered(running, token):
    async def stream(channel: grpc.aio.Channel, number: int) -> object:
        uid = f"0d4f3b52-6f0e-3b0e-9b44-{number:012}"
        call = channel.stream_stream(f"{SDK}.Commander/CommandChannel")(
            metadata=metadata(token, uid)
        )
        await call.write(Messages(uid).connect())
        assert fields(await call.read())[7]
        return call  # it stays open

    async def all_of_them() -> None:
        async with grpc.aio.insecure_channel(running.target) as channel:
            work = (stream(channel, number) for number in range(200))
            calls = await asyncio.wait_for(asyncio.gather(*work), 30)
            for call in calls:
                call.cancel()

    asyncio.run(all_of_them())
    assert DataPlane.objects.count() == added() == 200


# Trap 12
def test_stopping_ends_open_streams_and_leaves_no_thread(running, agents, token):
    agent = agents(running.target, UID, token)
    assert agent.registered()
    began = time.monotonic()
    running.stop()
    assert time.monotonic() - began < 3
    assert not running.thread.is_alive()
    assert not [t for t in threading.enumerate() if t.name.startswith("database")]


# Trap 14
def test_pings_on_an_idle_stream_do_not_end_it(token, monkeypatch, make_running):
    """Look-alikes of the option have no effect: one listener goes without it."""
    name = "grpc.http2.min_ping_interval_without_data_ms"
    options = dict(listener.OPTIONS)
    assert options[name] == 10_000  # agents of version 3 ping every 20 s, 2 every 120 s
    monkeypatch.setattr(listener, "OPTIONS", [*(options | {name: 900}).items()])
    patient = idle_stream(make_running().target, token)
    del options[name]
    monkeypatch.setattr(listener, "OPTIONS", [*options.items()])
    strict = idle_stream(make_running().target, token)
    with patient as goes_on, strict as ends:
        assert ends.wait(10)
        assert not goes_on.wait(1)


@contextmanager
def idle_stream(target: str, token: str) -> Iterator[threading.Event]:
    """Hold a CommandChannel, ping every second, and give what is set when it ends."""
    ended, hang_up = threading.Event(), threading.Event()
    pings = [
        ("grpc.keepalive_time_ms", 1_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    with grpc.insecure_channel(target, pings) as channel:
        call = channel.stream_stream(f"{SDK}.Commander/CommandChannel")(
            iter(lambda: hang_up.wait() and b"", b""), metadata=metadata(token)
        )
        call.add_callback(ended.set)
        yield ended
        hang_up.set()
        call.cancel()


def test_a_heartbeat_is_written_at_most_once_a_minute(running, agents, token):
    agent = agents(running.target, UID, token, heartbeat=0.05)
    assert agent.registered()
    wait_for(the_data_plane, 5, "it is registered")
    time.sleep(0.5)
    first = the_data_plane().seen_at
    time.sleep(0.5)
    assert the_data_plane().seen_at == first


@pytest.mark.both_databases
def test_a_removed_data_plane_that_returns_is_listed_and_not_counted_again(
    running, token
):
    say(running.target, token, [Messages(UID).connect()])
    services.remove(the_data_plane().pk, By("ada", timezone.now()))
    say(running.target, token, [Messages(UID).heartbeat()])
    assert the_data_plane().removed_at is None
    assert added() == 1


def test_a_database_that_fails_ends_the_stream_for_a_later_try(
    running, token, monkeypatch
):
    from django.db import OperationalError

    say(running.target, token, [Messages(OTHER).heartbeat()], OTHER)

    def locked(*_args: object, **_more: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(services, "sighted", locked)
    with pytest.raises(grpc.RpcError) as caught:
        say(running.target, token, [Messages(UID).connect()])
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    monkeypatch.undo()
    assert len(say(running.target, token, [Messages(UID).connect()])) == 1
    assert added() == 2


def test_neither_token_nor_name_is_in_the_log(running, token, caplog):
    say(running.target, token, [Messages(UID, hostname="marked-4f1d").connect()])
    refusal(running.target, "marked-token", "MetricsService/Stream")
    for secret in (token, "marked-4f1d", UID, "marked-token"):
        assert secret not in caplog.text
