"""``manage.py dpm`` as a process: TLS, restarts, and deaths at the worst moment."""

from __future__ import annotations

import signal
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from dataplanes.models import DataPlane
from nms_admin import attention
from telemetry import catalog
from telemetry.models import Event, ProcessRun
from tests import make
from tests.dataplanes.conftest import UID, Process, wait_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.e2e,
    pytest.mark.both_databases,
]
Dpm = Callable[..., Process]


@pytest.fixture(autouse=True)
def _licensed(finished, now) -> None:
    make.license(now)


def added() -> int:
    return Event.objects.filter(data_point=catalog.DATA_PLANE_ADDED.name).count()


def test_it_starts_lives_and_stops_as_a_named_process(dpm: Dpm, agents, token) -> None:
    process = dpm()
    process.start()
    assert agents(process.target, UID, token).registered(20)
    run = ProcessRun.objects.get(name="dpm")
    assert "dpm" in attention.alive(run.seen_at)
    began = time.monotonic()
    assert process.stop() == 0  # with an agent's three streams open
    assert time.monotonic() - began < 5
    run.refresh_from_db()
    assert run.stopped_at
    assert not run.unclean
    names = Event.objects.values_list("data_point", flat=True)
    assert sorted(names) == sorted(
        ["installation", "process_start", "process_stop", "data_plane_added"]
    )


def test_agents_register_by_tls(dpm: Dpm, agents, token, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    file = str(tmp_path / "both.pem")
    process = dpm(NMS_TLS_CERT=file, NMS_TLS_KEY=file)
    process.start()
    known = authority.cert_pem.bytes()
    stranger = trustme.CA().cert_pem.bytes()
    assert agents(process.target, UID, token, known).registered(20)
    lost = agents(process.target, "other", token, stranger)
    assert not lost.registered(2)
    host, port = process.target.split(":")
    served = ssl.get_server_certificate((host, int(port)))
    assert served.startswith("-----BEGIN CERTIFICATE")
    assert DataPlane.objects.count() == added() == 1


def test_agents_come_back_after_a_restart_and_are_not_counted_again(
    dpm: Dpm, agents, token
) -> None:
    process = dpm()
    process.start()
    agent = agents(process.target, UID, token, heartbeat=0.2)
    assert agent.registered(20)
    assert process.stop() == 0
    before = DataPlane.objects.get().seen_at
    process.start()
    wait_for(lambda: DataPlane.objects.get().seen_at > before, 20, "it is seen again")
    assert agent.connections >= 2
    assert len(agent.answers) == 1  # it did not ask a second time
    assert added() == 1


@pytest.mark.parametrize(
    ("step", "known"), [("dpm.before_insert", 0), ("dpm.before_answer", 1)]
)
def test_a_death_between_receipt_record_and_answer_makes_exactly_one_event(
    dpm: Dpm, agents, token, step: str, known: int
) -> None:
    process = dpm()
    process.start(fault=step)
    agent = agents(process.target, UID, token, heartbeat=0.2)
    assert process.died() == -signal.SIGKILL
    assert agent.asked
    assert DataPlane.objects.count() == added() == known
    died_at = DataPlane.objects.values_list("seen_at", flat=True).first()
    process.start()

    def seen_since() -> bool:
        now = DataPlane.objects.values_list("seen_at", flat=True).first()
        return now is not None and now != died_at

    wait_for(seen_since, 20, "a heartbeat")
    assert agent.answers == []  # agents never ask again, so none was due
    assert DataPlane.objects.count() == added() == 1


def test_a_port_in_use_stops_the_start_in_one_sentence(dpm: Dpm) -> None:
    first = dpm()
    first.start()
    wait_for(lambda: ProcessRun.objects.filter(name="dpm").exists(), 20, "it started")
    second = dpm(NMS_DPM_BIND=first.target)
    second.start()
    assert second.died() == 1
    said = second.log.read_text()
    assert "set NMS_DPM_BIND to another address and port" in said
    assert "Traceback" not in said
    assert ProcessRun.objects.filter(name="dpm").count() == 1


def test_plain_text_beyond_this_host_stops_the_start(dpm: Dpm) -> None:
    process = dpm(NMS_DPM_BIND="0.0.0.0:18443")
    process.start()
    assert process.died() == 1
    said = process.log.read_text()
    assert "nms.E009" in said
    assert "NMS_TLS_CERT" in said
