"""Every numbered step of the Help page, performed; a step nobody performs fails here."""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from analytics import services as analytics
from egress import checks
from licensing import services as licensing
from nms_admin.help import PAGE
from sandbox.server import Sandbox
from telemetry import catalog
from telemetry import services as telemetry
from telemetry.models import DailyCount
from tests import make
from tests.conftest import PASSWORD
from tests.without_scripts import Browser

pytestmark = pytest.mark.django_db
Procedure = tuple[str, str]  # the two headings above the steps
Step = tuple[str, str, int]


def written() -> dict[Procedure, list[str]]:
    """Return the numbered steps of the page, by the headings above them."""
    found: dict[Procedure, list[str]] = {}
    section = part = ""
    for block in re.split(r"\n(?=#|\d+\. )", PAGE.read_text()):
        if heading := re.match(r"(##+) (.*)", block):
            level, title = heading.groups()
            section, part = (title, "") if level == "##" else (section, title)
        elif step := re.match(r"(\d+)\. (.*)", block, re.DOTALL):
            steps = found.setdefault((section, part), [])
            steps.append(step[2])
            assert int(step[1]) == len(steps), f"{part}: not in order"
    return found


class World:
    """Ada at her browser and at her command line, in front of a licensed console."""

    def __init__(self, now: datetime, vendor: Sandbox) -> None:
        self.now = now
        self.vendor = vendor
        self.browser = Browser()
        self.text = ""  # of the step that is performed

    def sign_in(self, name: str = "ada") -> None:
        """Sign in by the form."""
        self.browser.open("/login")
        self.browser.fill(username=name, password=PASSWORD)
        self.browser.select("Sign in")
        assert self.browser.address == "/ui/"

    def named_in_step(self) -> str:
        """Return what the step sets in bold letters: the control to select."""
        found = re.search(r"\*\*(.+?)\*\*", self.text)
        assert found, self.text
        return found[1]

    def follow(self) -> None:
        """Open the address that the step names."""
        found = re.search(r"`(/[^`]+)`", self.text)
        assert found, self.text
        self.browser.open(found[1])

    def select(self) -> None:
        """Select what the step sets in bold letters."""
        self.browser.select(self.named_in_step())

    def shell(self) -> str:
        """Return the command that the step gives."""
        found = re.search(r"```sh\n\s*(.*?)\n\s*```", self.text, re.DOTALL)
        assert found, self.text
        return found[1]

    def command(self) -> dict[str, Any]:
        """Run the curl command of the step, and return its JSON."""
        words = iter(shlex.split(self.shell()))
        assert next(words) == "curl"
        method, data, headers, address = "GET", "", {}, ""
        for word in words:
            if word == "-X":
                method = next(words)
            elif word == "-d":
                data = next(words)
            elif word == "-u":
                pair = next(words).replace("PASSWORD", PASSWORD).encode()
                headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
            elif not word.startswith("-"):
                address = word
        parts = urlsplit(address)
        answer = Client().generic(
            method,
            f"{parts.path}?{parts.query}",
            data,
            content_type="application/x-www-form-urlencoded",
            headers=headers,
        )
        assert answer.status_code == 200, answer.content
        return dict(json.loads(answer.content))


PERFORMERS: dict[Step, Callable[[World], None]] = {}
FIREWALL = "Firewall"
TELEMETRY, OPT_OUT = "Enable or disable telemetry", "Opt out of web analytics"


def step(section: str, part: str, number: int) -> Callable[..., Any]:
    def keep(performer: Callable[[World], None]) -> Callable[[World], None]:
        assert (section, part, number) not in PERFORMERS
        PERFORMERS[section, part, number] = performer
        return performer

    return keep


@step(TELEMETRY, "On the License page", 1)
def _open_license(world: World) -> None:
    world.sign_in()
    world.follow()
    assert "Enable Continuous Connection" in world.browser.names


@step(TELEMETRY, "On the License page", 2)
def _switch_off(world: World) -> None:
    waits = telemetry.waiting(world.now).total
    assert waits > 1
    world.select()
    assert f"{waits} waiting events are deleted and not sent" in world.browser.text
    assert licensing.connection_on()


@step(TELEMETRY, "On the License page", 3)
def _turn_off_and_delete(world: World) -> None:
    waits = telemetry.waiting(world.now).total
    world.select()
    page = world.browser.text
    assert f"{waits} waiting events were deleted" in page
    assert "Continuous Connection is off" in page
    assert "Turned off by <strong>ada</strong> on" in page
    assert telemetry.waiting(world.now).total == 0
    assert sum(row.count for row in DailyCount.objects.all()) == waits


@step(TELEMETRY, "On the License page", 4)
def _on_again(world: World) -> None:
    world.browser.select("Enable Continuous Connection")
    assert "Continuous Connection is now on" in world.browser.text
    assert licensing.connection_on()


def instance(document: dict[str, Any]) -> dict[str, Any]:
    return dict(document["currentStatus"]["state"]["currentInstance"])


@step(TELEMETRY, "With the API", 1)
def _off_by_the_api(world: World) -> None:
    assert instance(world.command())["telemetry"] is False
    assert telemetry.waiting(world.now).total == 0


@step(TELEMETRY, "With the API", 2)
def _see_by_the_api(world: World) -> None:
    document = world.command()
    assert instance(document)["telemetry"] is False
    events = document["currentStatus"]["events"]
    assert (events["waiting"], events["discarded"] > 1) == (0, True)


@step(TELEMETRY, "With the API", 3)
def _on_by_the_api(world: World) -> None:
    assert instance(world.command())["telemetry"] is True
    assert licensing.connection_on()


@step(FIREWALL, "Check from the console", 1)
def _open_connectivity(world: World) -> None:
    world.sign_in("otto")
    world.follow()
    assert "No checks yet." in world.browser.text
    assert world.vendor.store.arrivals() == []


@step(FIREWALL, "Check from the console", 2)
def _run_checks(world: World) -> None:
    world.select()
    assert checks.run_waiting(timezone.now) == 1
    world.browser.open("/ui/settings/connectivity")
    assert world.browser.text.count("Reachable") == 2
    assert len(world.vendor.store.arrivals()) == 2


@step(FIREWALL, "Check from the console", 3)
def _firewall_rules(world: World) -> None:
    world.select()
    assert "nft insert rule inet filter output ip daddr" in world.browser.text
    assert "159.60.126.0/25" in world.browser.text


@step(FIREWALL, "Check on the server", 1)
def _doctor(world: World) -> None:
    command = shlex.split(world.shell())
    assert command[:2] == [".venv/bin/python", "manage.py"]
    said = io.StringIO()
    call_command(*command[2:], stdout=said)
    assert "404 as expected" in said.getvalue()


@step(OPT_OUT, "From the notice", 1)
def _see_the_notice(world: World) -> None:
    world.sign_in()
    assert 'id="privacy-banner"' in world.browser.text
    assert analytics.is_on()


@step(OPT_OUT, "From the notice", 2)
def _opt_out(world: World) -> None:
    world.select()
    assert analytics.is_on()


@step(OPT_OUT, "From the notice", 3)
def _one_button(world: World) -> None:
    world.select()
    assert "Interaction data is now off for all users." in world.browser.text
    assert "privacy-banner" not in world.browser.text
    assert analytics.is_on() is False


@step(OPT_OUT, "From the user menu", 1)
def _user_menu(world: World) -> None:
    world.sign_in()
    assert 'id="user-menu"' in world.browser.text


@step(OPT_OUT, "From the user menu", 2)
def _switch_data_off(world: World) -> None:
    world.select()
    assert analytics.is_on() is False
    assert "tracker.js" not in world.browser.text


@step(OPT_OUT, "From the user menu", 3)
def _switch_data_on(world: World) -> None:
    world.browser.select("Collect interaction data (all users)")
    assert analytics.is_on()
    assert "tracker.js" in world.browser.text


@step(OPT_OUT, "On the Web analytics page", 1)
def _open_web_analytics(world: World) -> None:
    world.sign_in()
    world.follow()
    assert "Choice for all users" in world.browser.text


@step(OPT_OUT, "On the Web analytics page", 2)
def _switch_off_on_the_page(world: World) -> None:
    world.select()
    assert analytics.is_on() is False
    assert world.browser.address == "/ui/settings/web-analytics"
    assert "Turned off by <strong>ada</strong> on" in world.browser.text


@step(OPT_OUT, "On the Web analytics page", 3)
def _switch_on_on_the_page(world: World) -> None:
    world.browser.select("Collect interaction data (all users)")
    assert analytics.is_on()


@step(OPT_OUT, "With the API", 1)
def _data_off_by_the_api(world: World) -> None:
    assert world.command()["interactionData"] is False


@step(OPT_OUT, "With the API", 2)
def _data_by_the_api(world: World) -> None:
    answer = world.command()
    assert answer["decidedBy"] == "ada"
    assert answer["decidedAt"]


@step(OPT_OUT, "For yourself alone", 1)
def _privacy(world: World) -> None:
    world.sign_in("vera")
    assert "tracker.js" in world.browser.text
    world.browser.select("Privacy choices")
    assert f"`{world.browser.address}`" in world.text


@step(OPT_OUT, "For yourself alone", 2)
def _not_me(world: World) -> None:
    world.select()
    assert "Your browsers are left out." in world.browser.text
    world.browser.open("/ui/")
    assert "tracker.js" not in world.browser.text
    assert analytics.is_on()


@step(OPT_OUT, "For yourself alone", 3)
def _me_again(world: World) -> None:
    world.browser.open("/privacy")
    world.select()
    world.browser.open("/ui/")
    assert "tracker.js" in world.browser.text


@pytest.fixture
def world(finished, ada, otto, vera, now, settings, tmp_path):
    settings.NMS_COLLECTOR_URL = "http://localhost:8002"
    with Sandbox(tmp_path / "sandbox") as box, time_machine.travel(now, tick=False):
        base = f"http://localhost:{box.vendor.port}/ee"
        settings.NMS_F5_API_URL = f"{base}/v1"
        settings.NMS_F5_SECURE_API_URL = base
        settings.NMS_TELEMETRY_URL = f"{base}/v1/telemetry"
        settings.NMS_ENTITLEMENTS_URL = f"{base}/v1/entitlements"
        settings.NMS_JWKS_URL = f"{base}/v1/keys/jwks"
        settings.NMS_TERMINATE_URL = f"{base}/v1/licenses/terminate"
        make.license(now)
        for _ in range(2):
            telemetry.record(catalog.LOGIN, now=now)
        analytics.notice_rendered(to="ada", now=now)
        yield World(now, box)


def test_each_step_has_a_performer_and_each_performer_a_step():
    steps = {
        (*procedure, number + 1)
        for procedure, texts in written().items()
        for number in range(len(texts))
    }
    assert len(steps) > 12
    assert steps == set(PERFORMERS)


@pytest.mark.parametrize("procedure", written(), ids=" / ".join)
def test_the_steps_do_what_they_say(world, procedure):
    for number, text in enumerate(written()[procedure], 1):
        world.text = text
        PERFORMERS[*procedure, number](world)
