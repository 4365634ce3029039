from __future__ import annotations

import json

from analytics import catalog

# The members of Snowplow's payload_data 1-0-4 we use; it admits no others.
SNOWPLOW = {
    "e",
    "p",
    "tv",
    "aid",
    "eid",
    "dtm",
    "page",
    "refr",
    "se_ca",
    "se_ac",
    "se_la",
}
PERSONAL = {
    "url",
    "lang",
    "res",
    "vp",
    "ds",
    "cd",
    "cookie",
    "duid",
    "sid",
    "vid",
    "uid",
    "tz",
    "ua",
    "ip",
}


def test_every_field_is_one_of_the_tp2_payload_and_none_is_personal():
    used = {name.split(".")[1] for name in catalog.names()}
    assert used == SNOWPLOW
    assert not used & PERSONAL


def test_only_accepted_fields_are_allowed_and_their_points():
    allowed = catalog.allowed(["page_view.e", "page_view.page", "gone.field"])
    assert allowed == {"page_view": {"e": "pv", "page": ""}}


def test_fields_nobody_accepted_are_new():
    assert catalog.new_fields(catalog.names()) == []
    assert catalog.new_fields(catalog.names()[:-1]) == ["click.se_la"]


def test_a_constant_of_a_point_is_what_its_example_says():
    constants = {
        name: value
        for name, value in catalog.allowed(catalog.names())["click"].items()
        if value
    }
    assert constants == {
        "e": "se",
        "p": "web",
        "tv": "nms-1",
        "aid": "nms-admin",
        "se_ca": "click",
    }


def test_the_format_bears_no_product_version(settings):
    assert settings.VERSION not in json.dumps(catalog.allowed(catalog.names()))
