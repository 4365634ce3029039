"""A license as of a day, its notices and what locks a choice, in Chromium with axe."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.utils import timezone

from nms_admin import policy_file
from tests import make
from tests.browser import listen, violations
from tests.licensing.test_browser import browser, visit  # noqa: F401  (fixtures)

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.mark.parametrize("width", [1440, 320])
def test_pages_of_what_is_locked_and_near_its_end(visit, settings, tmp_path, width):  # noqa: F811
    settings.NMS_DATA_DIR = tmp_path
    settings.NMS_POLICY_FILE = str(tmp_path / "policy")
    Path(settings.NMS_POLICY_FILE).write_text(
        "telemetry = off\ninteraction-data = on\n"
    )
    now = timezone.now()
    make.license(now, days=25)
    policy_file.obey(now)
    for path in (
        "/ui/",
        "/ui/settings/license",
        f"/ui/settings/license/as-of?date={timezone.localdate():%Y-%m-%d}",
        "/ui/settings/license/as-of?date=never",
        "/ui/settings/telemetry",
        "/ui/settings/web-analytics",
    ):
        page = visit(path, width=width)
        heard = listen(page)
        for summary in page.locator("summary", has_text="Why").all():
            summary.click()
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert heard == [], path


def test_a_day_is_chosen_and_a_notice_hidden_without_scripts(visit):  # noqa: F811
    make.license(timezone.now(), days=25)
    page = visit("/ui/", java_script_enabled=False)
    page.get_by_role("button", name="Hide for 7 days").click()
    assert page.get_by_text("License expires in").count() == 0
    page = visit("/ui/settings/license", java_script_enabled=False)
    page.get_by_role("link", name="See it as of a day").click()
    page.get_by_role("button", name="Show").click()
    assert page.get_by_text("25 days left", exact=False).count() >= 1
