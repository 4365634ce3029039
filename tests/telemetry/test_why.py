"""What the explanation says is what the product does."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import datetime
from itertools import product
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import transaction

from common import setup
from common.models import Via
from licensing import connection
from licensing import services as licensing
from telemetry import catalog, delivery, services
from telemetry.models import Event
from telemetry.states import Facts, outcome, why
from tests import make

ALL_WELL = Facts(
    do_not_track=False,
    policy=None,
    policy_says="says nothing",
    policy_origin="NMS_POLICY_FILE is not set",
    choice=None,
    choice_origin="the rule without an answer",
    finished=True,
    licensed=True,
    connected=True,
    mode_origin="set-up",
    phase="valid",
    provisional=False,
    subscription="SBX-1",
    receiver="https://receiver.example",
    refused=False,
)
NO_LICENSE = {"licensed": False, "phase": "none", "subscription": ""}


@pytest.mark.parametrize(
    ("change", "name", "follows"),
    [
        ({}, "Choice", "sent"),
        ({"choice": True}, "Choice", "sent"),
        ({"policy": True, "choice": True}, "Policy file", "sent"),
        ({"policy": True, "choice": False}, "Choice", "off"),
        ({"choice": False}, "Choice", "off"),
        ({"policy": False, "choice": True}, "Policy file", "off"),
        ({"policy": True, "do_not_track": True}, "DO_NOT_TRACK", "off"),
        ({"finished": False, "connected": False}, "Set-up", "held"),
        ({"connected": False} | NO_LICENSE, "License", "held"),
        ({"connected": False, "phase": "expired"}, "Operation mode", "held"),
        ({"phase": "waiting"}, "License state", "held"),
        ({"phase": "grace"}, "Choice", "sent"),
        ({"subscription": ""}, "Subscription ID", "held"),
        ({"receiver": ""}, "Receiver", "waiting"),
        ({"refused": True}, "Last answer", "waiting"),
    ],
)
def test_one_decides(change, name, follows):
    reasons = why(replace(ALL_WELL, **change))
    assert [one.name for one in reasons if one.decides] == [name]
    assert outcome(reasons) == follows


def test_whatever_is_combined_exactly_one_decides():
    cases = product(
        (False, True), (None, True, False), (None, True, False), *[(False, True)] * 6
    )
    for (
        dnt,
        policy,
        choice,
        finished,
        licensed,
        connected,
        good,
        named,
        refused,
    ) in cases:
        facts = replace(
            ALL_WELL,
            do_not_track=dnt,
            policy=policy,
            choice=choice,
            finished=finished,
            licensed=licensed,
            connected=connected,
            phase="valid" if good else "expired",
            subscription="SBX-1" if named else "",
            refused=refused,
        )
        reasons = why(facts)
        assert sum(one.decides for one in reasons) == 1
        may = not dnt and policy is not False and choice is not False
        goes = finished and licensed and connected and good and named
        expected = "off" if not may else "held" if not goes else "sent"
        assert outcome(reasons) == ("waiting" if refused and may and goes else expected)


@pytest.mark.django_db
def test_it_agrees_with_what_is_recorded_and_sealed(settings, tmp_path, now):
    policy = tmp_path / "policy"
    settings.NMS_POLICY_FILE = str(policy)
    settings.NMS_DATA_DIR = tmp_path
    outcomes = set()
    for license_is in ("none", "valid", "expired", "waiting"):
        with transaction.atomic():
            _license(license_is, now)
            then = now.replace(year=2028) if license_is == "expired" else now
            for dnt, text, choice, finished, mode in product(
                (False, True),
                ("", "telemetry = on", "telemetry = off", "telemetry = perhaps"),
                (None, True, False),
                (True, False),
                ("connected", "disconnected"),
            ):
                with transaction.atomic():
                    settings.DO_NOT_TRACK = False
                    policy.write_text("")
                    _answers(choice, finished, mode, now)
                    settings.DO_NOT_TRACK = dnt
                    policy.write_text(text)
                    expected = outcome(services.why(then))
                    recorded = services.record(catalog.LOGIN, now=then)
                    sealed = delivery.seal(then) is not None
                    case = (license_is, dnt, text, choice, finished, mode)
                    assert recorded == (expected != "off"), case
                    assert sealed == (expected == "sent"), case
                    assert Event.objects.count() == (recorded and not sealed), case
                    outcomes.add(expected)
                    transaction.set_rollback(True)
                connection.forget()  # what was answered was rolled back
            transaction.set_rollback(True)
    assert outcomes == {"off", "held", "sent"}


def _license(license_is: str, now: datetime) -> None:
    if license_is == "none":
        return
    found = make.license(now)
    if license_is == "waiting":
        found.checked_at, found.applied_at = None, now.replace(year=2025)
        found.save()


def _answers(choice: bool | None, finished: bool, mode: str, now: datetime) -> None:
    row = setup.current()
    row.finished_at = now if finished else None
    row.operation_mode = mode
    row.save()
    if choice is not None:
        licensing.set_connection(on=choice, by="ada", via=Via.SETTINGS, now=now)


@pytest.mark.django_db
def test_explain_names_file_and_line(settings, tmp_path, finished):
    settings.NMS_POLICY_FILE = str(tmp_path / "policy")
    Path(settings.NMS_POLICY_FILE).write_text("# rule 7\ntelemetry = off\n")
    out = io.StringIO()
    call_command("telemetry", "explain", stdout=out)
    assert "Nothing is recorded and nothing is sent." in out.getvalue()
    line = f"  -> Policy file: off ({settings.NMS_POLICY_FILE}, line 2)\n"
    assert line in out.getvalue()


@pytest.mark.django_db
def test_explain_gives_programs_the_same(finished):
    out = io.StringIO()
    call_command("telemetry", "explain", "--json", stdout=out)
    found = json.loads(out.getvalue())
    assert found["telemetry"]["outcome"] == "held"
    decides = [one for one in found["telemetry"]["reasons"] if one["decides"]]
    assert [one["name"] for one in decides] == ["License"]
    assert found["interactionData"]["outcome"] == "off"


def test_the_pages_show_what_decides(vera, signed_in):
    for url in ("/ui/settings/telemetry", "/ui/settings/web-analytics"):
        page = signed_in(vera).get(url).content.decode()
        assert page.count("Decides") == 1
        assert "NMS_POLICY_FILE is not set" in page
