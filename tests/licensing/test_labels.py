"""The labels the product's documentation names stand on the pages as they are."""

from __future__ import annotations

import re

import pytest

from common import labels
from tests import make

pytestmark = pytest.mark.django_db
PAGE = "/ui/settings/license"
WHERE = {
    "GET_STARTED": (PAGE, False),
    "BROWSE": (f"{PAGE}/add", False),
    "ADD": (f"{PAGE}/add", False),
    "CONTINUOUS_CONNECTION": (PAGE, False),
    "TERMINATE": (PAGE, True),
    "INTERACTION_DATA": ("/ui/", False),
}


def words(html: str) -> set[str]:
    """Return the texts between tags."""
    return {" ".join(text.split()) for text in re.findall(r">([^<>]+)<", html)}


def test_every_label_has_its_page():
    assert {name for name in vars(labels) if name.isupper()} == set(WHERE)


@pytest.mark.parametrize("name", WHERE)
def test_a_label_is_on_its_page(signed_in, ada, now, name):
    path, licensed = WHERE[name]
    if licensed:
        make.license(now)
    shown = signed_in(ada).get(path).content.decode()
    assert getattr(labels, name) in words(shown)


def test_a_connected_server_offers_no_report_to_carry(signed_in, ada, now):
    make.license(now)
    shown = signed_in(ada).get(PAGE).content.decode()
    assert "Download License Report" not in words(shown)
