"""``manage.py sandbox_license``: a license to try the product with, never in live mode."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from common.models import Via
from licensing import services
from licensing.errors import LicenseRejected
from licensing.states import State
from tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def printed(settings, folder):
    """Return a function that gives what the command prints; its keys are ours."""
    settings.NMS_JWKS_FILE = str(folder / "sandbox" / "jwks.json")

    def run(*words: str) -> str:
        output = StringIO()
        call_command("sandbox_license", *words, stdout=output)
        return output.getvalue()

    return run


def added(content: str) -> State:
    now = timezone.now()
    services.apply_license(
        content=content.encode(), by="ada", via=Via.SETTINGS, now=now
    )
    return services.state(now)


def test_what_it_prints_is_a_valid_license_here(printed):
    state = added(printed())
    assert (state.phase, state.days_left) == ("valid", 365)
    assert services.current().subscription_id.startswith("SBX-")


def test_one_for_another_sandbox_is_refused_with_the_command_for_this_one(
    printed, settings
):
    token = printed()
    settings.NMS_JWKS_URL = "http://localhost:8101/ee/v1/keys/jwks"
    with pytest.raises(LicenseRejected) as refused:
        added(token)
    assert refused.value.code == "wrong_jku"
    assert refused.value.sentence == (
        "This license was made for the test receiver at localhost:8001; this console's"
        " is localhost:8101. Make one for this console."
    )
    assert refused.value.command == (
        f"NMS_DATA_DIR={settings.NMS_DATA_DIR} NMS_SANDBOX_PORT=8101 .venv/bin/python"
        " manage.py sandbox_license"
    )
    settings.NMS_DATA_DIR = settings.BASE_DIR / "var" / "sandbox"
    with pytest.raises(LicenseRejected) as refused:
        added(token)
    assert refused.value.command.startswith("NMS_SANDBOX_PORT=8101 ")


def test_one_made_with_another_data_folder_is_refused_with_the_command_to_copy(
    printed, settings, ada, signed_in, now
):
    printed()
    token = make.token(timezone.now(), jku=settings.NMS_JWKS_URL)
    page = signed_in(ada).post("/ui/settings/license/add", {"token": token})
    shown = page.content.decode()
    assert page.status_code == 422
    assert "A sandbox license made with another data folder looks like this." in shown
    assert (
        '<button class="btn btn-link btn-sm n-push" type="button" data-copy=' in shown
    )
    assert f"NMS_DATA_DIR={settings.NMS_DATA_DIR} NMS_SANDBOX_PORT=" in shown


def test_a_trial_of_some_days_can_be_asked_for(printed):
    words = ("--type", "eval", "--days", "9", "--subscription", "SBX-00000009")
    state = added(printed(*words))
    assert state.trial
    assert state.ends_on == (timezone.now() + timedelta(days=9)).date()
    assert services.current().subscription_id == "SBX-00000009"


def test_one_that_ended_was_issued_before_it_did(printed):
    assert added(printed("--days", "-5")).phase == "grace"
    current = services.current()
    assert current.issued_at < current.ends_at < timezone.now()


def test_another_subscription_than_the_sandboxs_is_refused(printed):
    with pytest.raises(CommandError, match="SBX-"):
        printed("--subscription", "A-S00198432")


def test_it_refuses_in_live_mode(printed, settings):
    settings.SANDBOX = False
    with pytest.raises(CommandError, match="live mode"):
        printed()
