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


@pytest.mark.parametrize("name", ["Send Usage to F5", "Download License Report"])
def test_nothing_is_offered_that_is_not_there_yet(signed_in, ada, now, name):
    make.license(now)
    assert name not in signed_in(ada).get(PAGE).content.decode()
