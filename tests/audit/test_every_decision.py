"""Every page that takes a decision: made once as an administrator, found in the chain."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit import services as audit
from audit.models import Record
from dataplanes import services as dataplanes
from dataplanes.models import DataPlane
from nms_admin import people
from nms_admin.models import User
from telemetry import catalog, delivery
from telemetry import services as telemetry
from tests import make
from tests.conftest import PASSWORD
from tests.test_access import API, PAGES
from tests.usage.conftest import used

NEW = "another correct horse battery"

# Pages whose POST decides nothing for anybody else, and why they leave no record.
WITHOUT = {
    "audit-check": "it only asks a worker to look",
    "csp-report": "sent by browsers, counted",
    "interaction-data-acknowledgement": "the notice was read; no choice changes",
    "license-notice-hide": "one's own display",
    "license-ask-again": "hurries what was decided by adding the license",
    "nginx-usage": "sent by NGINX, counted",
    "no-such-call": "always 404",
    "privacy-not-me": "nobody can list who objected",
    "profile-time-zone": "one's own display",
    "telemetry-try-now": "hurries what was decided by the choice",
    "theme": "one's own display",
    "PUT /k8s-usage/{uid}": "sent by clusters, counted",
}
ELSEWHERE = {
    "setup-step": "tests/nms_admin/test_wizard.py",
    "usage-acknowledge": "tests/usage/test_offline_page.py",
    "POST /report/upload": "tests/usage/test_offline.py",
}


@dataclass
class World:
    """An administrator's browser, another user, and where the request goes."""

    client: Client
    target: User
    path: dict[str, Any] = field(default_factory=dict)


Prepare = Callable[[World], None]


@dataclass(frozen=True)
class Case:
    """What is sent, what must be there before, and what the chain then says."""

    action: str
    data: dict[str, str] = field(default_factory=dict)
    prepare: Prepare = lambda world: None


@dataclass(frozen=True)
class Call:
    """The same of the API: the body, what must be there before, what the chain says."""

    action: str
    body: Any = None
    prepare: Prepare = lambda world: None


def of_target(world: World) -> None:
    world.path = {"pk": world.target.pk}


def of_inactive(world: World) -> None:
    of_target(world)
    User.objects.filter(pk=world.target.pk).update(is_active=False)


def of_locked(world: World) -> None:
    of_target(world)
    for _ in range(5):
        wrong = {"username": "target", "password": "wrong"}
        Client().post("/login", wrong, REMOTE_ADDR="10.0.0.9")


def of_signed_in(world: World) -> None:
    of_target(world)
    Client().post("/login", {"username": "target", "password": PASSWORD})


def signed_in_twice(world: World) -> None:
    world.client = Client()
    for client in (Client(), world.client):
        client.post("/login", {"username": "ada", "password": PASSWORD})


def signed_out(world: World) -> None:
    world.client = Client()


def invited(world: World) -> None:
    by = people.By("ada", timezone.now())
    world.path = {"token": people.make_link(world.target.pk, by)[1]}


def licensed(world: World) -> None:
    make.license(timezone.now())


def key_known(world: World) -> None:
    make.keys_file()


def with_another(world: World) -> None:
    make.license(timezone.now(), sub="SBX-00000001")


def of_token(world: World) -> None:
    by = dataplanes.By("ada", timezone.now())
    world.path = {"pk": dataplanes.issue_token("Berlin", by)[0].pk}


def of_data_plane(world: World) -> None:
    now = timezone.now()
    found = DataPlane.objects.create(system_uid="1", registered_at=now, seen_at=now)
    world.path = {"pk": found.pk}


def with_use(world: World) -> None:
    licensed(world)
    used(timezone.now().date() - timedelta(days=1))


def with_event(world: World) -> None:
    telemetry.record(catalog.LOGIN, now=timezone.now())


def of_dead_batch(world: World) -> None:
    licensed(world)
    with_event(world)
    batch = delivery.seal(timezone.now())
    batch.dead_at = timezone.now()
    batch.save()
    world.path = {"number": batch.pk}


LICENSE = {"desiredState": {"content": make.token(timezone.now()), "type": "JWT"}}
CASES = {
    "login": Case(
        "user.signed_in", {"username": "target", "password": PASSWORD}, signed_out
    ),
    "logout": Case("user.signed_out"),
    "welcome": Case("user.password_set", {"password": NEW}, invited),
    "ui-user-add": Case(
        "user.added", {"username": "nora", "email": "n@example.net", "role": "viewer"}
    ),
    "user-role": Case("user.role_changed", {"role": "operator"}, of_target),
    "user-deactivate": Case("user.deactivated", {}, of_target),
    "user-activate": Case("user.activated", {}, of_inactive),
    "user-link": Case("user.link_made", {}, of_target),
    "user-sessions": Case("user.sessions_ended", {}, of_signed_in),
    "user-unlock": Case("user.unlocked", {}, of_locked),
    "profile-password": Case("user.password_set", {"old": PASSWORD, "password": NEW}),
    "profile-sessions": Case("user.sessions_ended", {}, signed_in_twice),
    "interaction-data-choice": Case("interaction-data.on", {"enabled": "1"}),
    "interaction-data-opt-out": Case("interaction-data.off"),
    "ui-data-plane-remove": Case("data_plane.removed", {}, of_data_plane),
    "ui-agent-token-issue": Case("agent_token.issued", {"name": "Berlin"}),
    "ui-agent-token-revoke": Case("agent_token.revoked", {}, of_token),
    "ui-license-add": Case(
        "license.applied", {"token": LICENSE["desiredState"]["content"]}, key_known
    ),
    "license-connection": Case("connection.off", {"enabled": "0", "confirmed": "1"}),
    "ui-license-terminate": Case(
        "license.terminated", {"confirm": make.SUBSCRIPTION}, licensed
    ),
    "connectivity-run": Case("connectivity.checked"),
    "support-bundle": Case("support.bundle_downloaded"),
    "usage-send": Case("usage.report_selected", {"anyway": "1"}, with_use),
    "usage-prepare": Case("usage.report_built", {}, with_use),
    "telemetry-retry": Case("telemetry.batch_retried", {}, of_dead_batch),
    "telemetry-discard": Case("telemetry.batch_discarded", {}, of_dead_batch),
    "telemetry-delete-held": Case("telemetry.held_deleted", {}, with_event),
}
EXPORTS = {
    "audit-export-csv": "audit.exported",
    "audit-export-json": "audit.exported",
    "telemetry-export": "telemetry.ledger_exported",
}
CALLS = {
    "PUT /analytics": Call("interaction-data.off", {"interactionData": False}),
    "POST /license": Call("license.applied", LICENSE, key_known),
    "PUT /license": Call("license.replaced", LICENSE, with_another),
    "DELETE /license": Call("license.terminated", None, licensed),
    "POST /report/send": Call("usage.report_selected", None, with_use),
}

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(ada, signed_in) -> World:
    target = User.objects.create_user("target", password=PASSWORD, role="viewer")
    return World(signed_in(ada), target)


def test_every_page_that_takes_a_decision_is_looked_at():
    posts = {name for name, (_, methods) in PAGES.items() if "POST" in methods}
    assert posts == set(CASES) | (posts & (set(WITHOUT) | set(ELSEWHERE)))


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_decision_made_on_a_page_is_in_the_chain(name, world):
    case = CASES[name]
    case.prepare(world)
    before, _ = audit.head()
    answer = world.client.post(reverse(name, kwargs=world.path), case.data)
    assert answer.status_code in (200, 204, 302)
    added = Record.objects.filter(sequence__gt=before)
    assert case.action in set(added.values_list("action", flat=True))
    assert audit.verify() is None


@pytest.mark.parametrize("name", sorted(EXPORTS))
def test_what_somebody_takes_away_is_in_the_chain(name, world):
    world.client.get(reverse(name)).getvalue()
    record = Record.objects.get()
    assert (record.action, record.actor) == (EXPORTS[name], "ada")
    assert record.address == "127.0.0.1"


def test_every_call_that_takes_a_decision_is_looked_at():
    calls = {name for name in API if not name.startswith("GET")}
    assert calls - set(WITHOUT) - set(ELSEWHERE) == set(CALLS)


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_decision_made_by_a_call_is_in_the_chain(name, world):
    case = CALLS[name]
    case.prepare(world)
    before, _ = audit.head()
    method, path = name.split()
    pair = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
    answer = Client().generic(
        method,
        f"/api/platform/v1{path}",
        json.dumps(case.body) if case.body else "",
        "application/json",
        headers={"authorization": f"Basic {pair}"},
    )
    assert answer.status_code in (200, 202, 204)
    added = Record.objects.filter(sequence__gt=before, action=case.action)
    assert [(row.actor, row.via) for row in added] == [("ada", "api")]
