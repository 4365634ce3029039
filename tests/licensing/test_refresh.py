"""Keys from NMS_JWKS_URL: asked for in a worker, checked, the last good set kept."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings as site

from audit.models import Record
from common import setup
from common.models import Via
from egress import gate
from egress.models import Attempt
from licensing import keys, refresh, services, tasks
from licensing.errors import LicenseRejected
from licensing.models import FetchedKeys, License
from nms_admin import doctor
from sandbox.faults import parse_rules
from sandbox.server import Sandbox
from tests import make
from tests.names import NAME, PUBLIC, World
from tests.outbound import connections

pytestmark = pytest.mark.django_db
PATH = "/ee/v1/keys/jwks"


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("sandbox")) as started:
        yield started


@pytest.fixture
def vendor(box, settings):
    """The vendor serves the key that signs the tests' licenses; no file is here."""
    settings.NMS_JWKS_URL = f"http://localhost:{box.vendor.port}{PATH}"
    serves(box, make.jwks())
    box.faults.set([])
    box.store.reset()
    return box


def serves(vendor: Sandbox, content: object) -> None:
    vendor.jwks_file.write_text(json.dumps(content))


def fails(vendor: Sandbox, mode: str, **args: object) -> None:
    rule = {"path": PATH, "mode": mode, "times": None, "args": args}
    vendor.faults.set(parse_rules([rule]))


def tries(vendor: Sandbox) -> int:
    return len(list(vendor.store.arrivals(host="vendor", prefix=PATH)))


def fetch(now, **later: float) -> bool:
    return refresh.fetch(lambda: now + timedelta(**later))


def apply(now, **changes: object) -> License:
    content = make.token(now, **changes).encode()
    return services.apply_license(
        content=content, by="ada", via=Via.SETTINGS, now=now, replace=True
    )


def off(now) -> None:
    services.set_connection(on=False, by="ada", via=Via.SETTINGS, now=now)


@pytest.mark.both_databases
def test_43719_a_license_behind_a_firewall_becomes_active_by_itself(
    finished, vendor, now
):
    """Stored, replaceable and terminable meanwhile; nothing is to be repaired."""
    fails(vendor, "reset")
    apply(now)
    assert not fetch(now)
    assert services.state(now).phase == "waiting"
    assert "localhost" in keys.last_try().error
    apply(now, sub="SBX-22222222")
    services.terminate(confirmation="SBX-22222222", by="ada", via=Via.SETTINGS, now=now)
    apply(now)
    assert not fetch(now, minutes=2)
    vendor.faults.set([])
    assert fetch(now, hours=2)
    services.announce_changes(now)
    assert services.state(now).phase == "valid"
    assert services.delivery_terms(now).hold is None


def test_the_task_fetches_and_checks_what_waits(finished, vendor, now):
    apply(now)
    assert tasks.refresh_keys()
    found = services.current()
    assert found is not None
    assert found.checked_at


def test_a_waiting_license_asks_also_with_continuous_connection_off(
    finished, vendor, now
):
    off(now)
    apply(now)
    assert fetch(now)


def test_once_a_day_only_with_continuous_connection_on(finished, vendor, now):
    make.license(now)
    assert fetch(now)
    assert not fetch(now, hours=23)
    assert fetch(now, hours=25)
    off(now)
    assert not fetch(now, days=3)
    assert tries(vendor) == 2


def test_nothing_is_asked_without_a_license(finished, vendor, now):
    with connections() as seen:
        assert not fetch(now)
    assert seen == []


def test_nothing_is_asked_before_set_up_or_disconnected(db, vendor, now):
    apply(now)
    with connections() as seen:
        assert not fetch(now)
        row = setup.current()
        row.finished_at, row.operation_mode = now, "disconnected"
        row.save()
        assert not fetch(now)
    assert seen == []


def test_the_request_carries_no_license(finished, vendor, now, settings):
    settings.NMS_F5_API_KEY = "the-api-key"
    apply(now)
    fetch(now)
    (request,) = vendor.store.arrivals(host="vendor", prefix=PATH)
    assert (request.method, request.body) == ("GET", b"")
    names = {name.lower() for name, _ in request.headers}
    assert not names & {"authorization", "cookie", "f5-apikey"}
    attempt = Attempt.objects.get(kind="keys")
    assert Record.objects.filter(subject=f"keys {attempt.item}").count() == 1


def test_an_unknown_key_is_refused_and_newer_ones_are_asked_for_at_once(
    finished, vendor, now
):
    make.license(now)
    fetch(now)
    newer = make.private_key("newer")
    both = make.jwks()["keys"] + make.jwks(newer, kid="v2")["keys"]
    serves(vendor, {"keys": both})
    later = now + timedelta(minutes=5)
    token = {"key": newer, "header": {"kid": "v2"}, "sub": "SBX-22222222"}
    with pytest.raises(LicenseRejected, match="NMS_JWKS_URL") as refused:
        apply(later, **token)
    assert refused.value.code == "unknown_key"
    assert fetch(later, seconds=1)
    apply(later + timedelta(minutes=1), **token)
    assert services.state(later).phase == "valid"
    assert not fetch(later, minutes=2)


@pytest.mark.both_databases
def test_the_last_good_set_stays_whatever_comes(finished, vendor, now):
    Path(site.NMS_JWKS_FILE).unlink(missing_ok=True)
    apply(now)
    fetch(now)
    for number, content in enumerate(BAD.values(), 1):
        serves(vendor, content)
        assert not fetch(now, days=2 * number)
        assert keys.key_set().jwks == make.jwks()
        assert keys.last_try().error
    records = Record.objects.filter(action="keys.changed")
    assert records.count() == 1


SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)
GOOD = make.jwks()["keys"][0]
BAD: dict[str, object] = {
    "empty": {},
    "no keys": {"keys": []},
    "a shared secret": {"keys": [{"kty": "oct", "kid": "v1", "k": "c2VjcmV0"}]},
    "a secret beside": {"keys": [GOOD, {"kty": "oct", "kid": "v2", "k": "c2U"}]},
    "twice": {"keys": [GOOD, GOOD]},
    "17": {"keys": [GOOD | {"kid": str(n)} for n in range(17)]},
    "a private key": {"keys": [GOOD | {"d": "AQAB"}]},
    "a short key": make.jwks(SMALL),
    "no number": {"keys": [GOOD | {"n": ["x"]}]},
    "for encryption": {"keys": [GOOD | {"use": "enc"}]},
}


@pytest.mark.parametrize(
    "mode", ["html", "empty", "array", "gzip_bomb", "truncated", "redirect"]
)
def test_what_is_no_key_set_is_not_taken(finished, vendor, now, mode):
    apply(now)
    fails(vendor, mode)
    assert not fetch(now)
    assert keys.key_set().jwks is None
    assert services.state(now).phase == "waiting"


@pytest.mark.parametrize("status", [401, 403, 422])
def test_after_a_refusal_it_asks_again_only_when_somebody_does(
    finished, vendor, now, status
):
    apply(now)
    fails(vendor, "status", status=status)
    assert not fetch(now)
    assert gate.paused("keys")
    vendor.faults.set([])
    assert not fetch(now, days=2)
    refresh.try_again(now + timedelta(days=2))
    assert fetch(now, days=2, seconds=1)


def test_the_gate_holds_further_tries_back(finished, vendor, now):
    apply(now)
    fails(vendor, "status", status=503)
    assert not fetch(now)
    assert not fetch(now, seconds=1)
    assert tries(vendor) == 1


def test_a_clock_that_ran_ahead_does_not_stop_it(finished, vendor, now):
    make.license(now)
    assert fetch(now, days=400)
    assert fetch(now, hours=1)


# Where it goes (security.md, S8)


@pytest.fixture
def live(monkeypatch, settings, tmp_path, vendor) -> Iterator[World]:
    """Live mode: the vendor's server stands at a public address and speaks TLS."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    world = World()
    monkeypatch.setattr("socket.getaddrinfo", world.resolve)
    monkeypatch.setattr("socket.create_connection", world.connect)
    with Sandbox(vendor.jwks_file.parent, tls=context) as box:
        settings.SANDBOX, settings.NMS_PROXY_URL = False, ""
        settings.NMS_CA_BUNDLE = str(tmp_path / "ca.pem")
        settings.NMS_JWKS_URL = f"https://{NAME}:{box.vendor.port}{PATH}"
        yield world


def test_a_name_that_turns_to_this_host_leaves_the_old_keys_and_page_and_doctor_say_so(
    finished, live, now, signed_in, ada
):
    """Rebinding: a public address for the first fetch, then one of this host."""
    live.answers = [[PUBLIC], ["127.0.0.1"]]
    apply(now, sub="S-00198432")
    assert fetch(now)
    services.announce_changes(now)
    with connections() as seen:
        assert not fetch(now, days=2)
    assert (seen, live.asked, live.ways) == ([], 2, [PUBLIC])
    assert keys.key_set().jwks == make.jwks()
    assert services.state(now).phase == "valid"
    said = "leads to 127.0.0.1, an address of this host"
    page = signed_in(ada).get("/ui/settings/license").content.decode()
    assert said in page
    assert "bring the keys by NMS_JWKS_FILE. The keys above stay." in page
    assert any(said in one.found for one in doctor.local())


# Rotation by kid: what the file and the address hold together


def kids() -> list[str]:
    found = keys.key_set().jwks or {"keys": []}
    return [str(key["kid"]) for key in found["keys"]]


def fetched(content: object, url: str = "") -> None:
    defaults = {"url": url or site.NMS_JWKS_URL, "content": json.dumps(content)}
    FetchedKeys.objects.update_or_create(pk=1, defaults=defaults)


def test_a_key_of_the_file_wins_and_the_others_are_added(db):
    newer = make.private_key("newer")
    make.keys_file()
    fetched({"keys": make.jwks(newer)["keys"] + make.jwks(newer, kid="v2")["keys"]})
    assert kids() == ["v1", "v2"]
    assert keys.key_set().jwks["keys"][0] == GOOD
    assert [(key.name, key.from_file) for key in keys.held().listed] == [
        ("v1", True),
        ("v2", False),
    ]


def test_a_key_the_vendor_lists_no_more_is_forgotten(finished, vendor, now):
    apply(now)
    fetch(now)
    serves(vendor, make.jwks(kid="v2"))
    assert fetch(now, days=2)
    assert kids() == ["v2"]
    assert services.state(now).phase == "waiting"
    assert Record.objects.filter(action="keys.changed").count() == 2


def test_a_license_in_force_stays_when_its_key_is_gone(finished, vendor, now):
    apply(now)
    assert tasks.refresh_keys()
    fetched(make.jwks(kid="v2"))
    services.announce_changes(now)
    assert services.state(now).phase == "valid"


def test_keys_from_another_address_do_not_count(db):
    fetched(make.jwks(), url="https://elsewhere.example.net/keys")
    assert keys.key_set().jwks is None
