"""With NMS_USAGE_CHANNEL=batch, usage has an address of its own."""

from __future__ import annotations

import pytest

from egress import destinations
from tests.egress.test_probes import check

URL = "https://product.connect.nginx.com/api/nginx-usage/batch"


@pytest.fixture(autouse=True)
def batch(settings) -> None:
    settings.NMS_USAGE_CHANNEL, settings.NMS_USAGE_BATCH_URL = "batch", URL
    settings.NMS_F5_API_URL = "https://product.apis.f5.com/ee/v1"


def test_the_batch_address_takes_the_place_of_the_bulk_one(settings) -> None:
    names = {one.name: one for one in destinations.configured()}
    assert "usage" not in names
    assert names["usage-batch"].url == URL
    assert names["usage-batch"].label == "Usage reports"
    settings.NMS_USAGE_CHANNEL = "bulk"
    assert {one.name for one in destinations.configured()} == {
        *(names.keys() - {"usage-batch"}),
        "usage",
    }


def test_it_is_checked_for_its_purpose_and_by_its_base_path() -> None:
    targets = {one.name: one for one in destinations.targets()}
    target = targets["usage-batch"]
    assert (target.host, target.path) == ("product.connect.nginx.com:443", "/")
    assert target.purpose == "Usage reports"
    assert targets["api"].purpose == "License, telemetry"


def test_with_bulk_it_is_not_checked(settings) -> None:
    settings.NMS_USAGE_CHANNEL = "bulk"
    targets = {one.name: one for one in destinations.targets()}
    assert "usage-batch" not in targets
    assert "usage reports" in targets["api"].purpose


def test_on_the_host_of_the_others_it_is_not_listed_again(settings) -> None:
    settings.NMS_USAGE_BATCH_URL = "https://product.apis.f5.com/batch"
    targets = {one.name: one for one in destinations.targets()}
    assert "usage-batch" not in targets
    assert "usage reports" in targets["api"].purpose


def test_an_address_the_vendor_did_not_publish_is_a_warning(monkeypatch) -> None:
    monkeypatch.setattr("egress.sockets.resolve", lambda *_: ["127.0.0.1"])
    monkeypatch.setattr("egress.sockets.connect", _refuse)
    (dns, *_) = check(URL)
    assert (dns.state, dns.code) == ("warning", "outside_range")
    assert "52.14.85.249/32" in dns.happened


def test_an_address_of_another_is_not_looked_up_in_the_vendors_lists(settings) -> None:
    settings.SANDBOX = False
    settings.NMS_USAGE_BATCH_URL = "https://usage.example/batch"
    assert "product.connect.nginx.com" not in destinations.vendor_hosts()
    assert destinations.vendor_ranges() == ("159.60.126.0/25",)


def _refuse(*_: object) -> None:
    raise ConnectionRefusedError
