"""What only the real agent showed; each trap of NGINX Agent version 2 by its name."""

from __future__ import annotations

import pytest

from dataplanes.models import DataPlane
from telemetry import catalog
from telemetry.models import Event
from tests import make
from tests.dataplanes.conftest import UID

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _licensed(finished, now) -> None:
    make.license(now)


def added() -> int:
    return Event.objects.filter(data_point=catalog.DATA_PLANE_ADDED.name).count()


def the_data_plane() -> DataPlane | None:
    return DataPlane.objects.filter(system_uid=UID).first()


def test_an_agent_registers_and_one_event_is_recorded(running, agents, token):
    agent = agents(running.target, UID, token)
    assert agent.registered()
    found = the_data_plane()
    assert (found.name, found.os) == ("edge-1.example.net", "Debian GNU/Linux 12")
    assert (found.agent_version, found.nginx_version) == ("2.46.7", "1.27.4")
    assert (found.instances, found.plus) == (1, False)
    assert added() == 1
    assert agent.refusals == []
