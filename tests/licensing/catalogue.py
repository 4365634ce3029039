"""The message catalogue of Settings > License: every row, and how it comes about.

Source: the prototype's states and ux.md 4.5h, and what this product adds. Tests reach
each row through the pages, the real tasks and a real sandbox, check what it says, and
take its picture; ``document`` writes docs/license-states.md.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from common import choices, setup
from licensing import connection
from licensing import tasks as licensing_tasks
from nms_admin import policy_file
from nms_admin.models import User
from sandbox.app import BULK
from sandbox.faults import parse_rules
from sandbox.server import Sandbox
from tests import make
from tests.licensing.test_reading import certificate, smime, zipped
from tests.usage.conftest import used
from tests.usage.test_offline import acknowledged
from usage import document as usage_document
from usage import tasks as usage_tasks
from usage.models import Report

PAGE = "/ui/settings/license"
ADD, HISTORY = f"{PAGE}/add", f"{PAGE}/history"
ENTITLEMENTS = "/ee/v1/entitlements"
TERMINATE = "/ee/v1/licenses/terminate"
DAY = timedelta(days=1)


@dataclass
class Scene:
    """An installation after set-up, its administrator's browser, and a sandbox."""

    client: Client
    box: Sandbox
    settings: Any  # of this test alone
    traveller: Any  # of time_machine: the clock of this installation
    patch: pytest.MonkeyPatch

    @property
    def now(self) -> datetime:
        return timezone.now()

    def fails(self, path: str, mode: str, **args: Any) -> None:
        """Let the sandbox fail at every path that begins so."""
        rule = {"path": path, "mode": mode, "times": None, "args": args}
        self.box.faults.set(parse_rules([rule]))

    def work(self) -> None:
        """Let a worker do what waits: entitlements, notices, the usage report."""
        for tasks in (licensing_tasks, usage_tasks):
            tasks.sweep.apply(throw=True)

    def post(self, path: str, **fields: Any) -> str:
        """Send a form of the License page; return the page it leads to."""
        answer = self.client.post(f"{PAGE}{path}", fields, follow=False)
        assert answer.status_code == 302, answer.content.decode()
        return str(answer["Location"])

    def add(self, content: bytes) -> None:
        """Add a license by the form."""
        self.post("/add", file=SimpleUploadedFile("nginx.jwt", content))

    def licensed(self, days: int = 365, *, at: datetime | None = None, **claims: Any):
        """Add a license that ends in so many days, with its entitlements."""
        make.license(at or self.now, days, **claims)
        self.work()

    def disconnected(self) -> None:
        """Take the way to F5 away, as the wizard's answer does."""
        row = setup.current()
        row.operation_mode = "disconnected"
        row.save()

    def carried(self) -> bytes:
        """Prepare the report of a disconnected server and download it."""
        self.disconnected()
        make.license(self.now)
        self.post("/report")
        number = Report.objects.open().get().pk
        return bytes(self.client.get(f"{PAGE}/reports/{number}/download").content)

    def sent(self) -> None:
        """Send usage, and let a worker deliver it."""
        self.post("/send-usage")
        self.work()


@dataclass(frozen=True)
class Upload:
    """A file that is chosen in the form of a page, and what it holds."""

    name: str
    content: Callable[[Scene], bytes]
    field: str = "file"
    form: str = ADD


@dataclass(frozen=True)
class Row:
    """One message: what it says, its next step, and how it comes about.

    ``steps`` are the links and buttons of an administrator, ``shared`` those of
    everybody. ``others`` is whether a Viewer reads it. ``picture`` selects what its
    picture shows when that is no note.
    """

    group: str
    name: str
    when: str
    reach: Callable[[Scene], object]
    title: str
    words: tuple[str, ...]
    steps: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    others: bool = True
    path: str = PAGE
    upload: Upload | None = None
    picture: str = ""


def nothing(scene: Scene) -> None:
    """Leave the installation as it is."""


def licensed(days: int = 365, before: int = 0, **claims: Any):
    """Return what adds a license ``before`` days ago for so many days."""

    def reach(scene: Scene) -> None:
        scene.licensed(days, at=scene.now - before * DAY, **claims)

    return reach


def without_keys(scene: Scene) -> None:
    scene.add(make.token(scene.now).encode())


def provisional(scene: Scene) -> None:
    scene.disconnected()
    without_keys(scene)


def not_verified(scene: Scene) -> None:
    without_keys(scene)
    make.keys_file(make.jwks(make.private_key("another")))
    scene.work()


def not_yet_valid(scene: Scene) -> None:
    make.license(scene.now, iat=int((scene.now + 8 * DAY).timestamp()))


def smime_license(subscription: str = ""):
    def reach(scene: Scene) -> None:
        content = SimpleUploadedFile("nginx.lic", smime(serialization.Encoding.PEM))
        scene.post("/add", file=content, subscription_id=subscription)

    return reach


def clock_ran_back(scene: Scene) -> None:
    scene.licensed()
    scene.traveller.shift(-3 * DAY)


def key_ends_soon(scene: Scene) -> None:
    scene.licensed()
    make.keys_file(make.jwks(x5c=[der(scene.now + 40 * DAY)]))


def der(ends: datetime) -> str:
    """Return a certificate that ends then, as a key set holds it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vendor")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(make.private_key().public_key())
        .serial_number(1)
        .not_valid_before(ends - 365 * DAY)
        .not_valid_after(ends)
        .sign(make.private_key(), hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()


def activation(mode: str, **args: Any):
    """Return what adds a license while the sandbox fails to name entitlements."""

    def reach(scene: Scene) -> None:
        scene.fails(ENTITLEMENTS, mode, **args)
        make.keys_file()
        scene.add(make.token(scene.now).encode())
        scene.client.get(PAGE)  # reads the message of the form
        scene.work()

    return reach


def asking(scene: Scene) -> None:
    make.keys_file()
    scene.add(make.token(scene.now).encode())
    scene.client.get(PAGE)


def terminated(mode: str = "", **args: Any):
    """Return what terminates a license and tells the sandbox, which fails so."""

    def reach(scene: Scene) -> None:
        scene.licensed()
        if mode:
            scene.fails(TERMINATE, mode, **args)
        scene.post("/terminate", confirm=make.SUBSCRIPTION, tell="1")
        scene.client.get(PAGE)
        scene.work()

    return reach


def just_terminated(scene: Scene) -> None:
    scene.licensed()
    scene.post("/terminate", confirm=make.SUBSCRIPTION)


def report(mode: str = "", **args: Any):
    """Return what sends usage while the sandbox fails so."""

    def reach(scene: Scene) -> None:
        scene.licensed()
        used(scene.now.date() - DAY, 48)
        if mode:
            scene.fails(BULK, mode, **args)
        scene.sent()

    return reach


def nothing_new(scene: Scene) -> None:
    report()(scene)
    scene.traveller.shift(timedelta(minutes=11))


def due(days: int):
    """Return what lets so many days pass since a report was accepted."""

    def reach(scene: Scene) -> None:
        scene.licensed(720)
        scene.sent()
        scene.traveller.shift(days * DAY)
        sign_in_again(scene)

    return reach


def due_by_hand(scene: Scene) -> None:
    scene.disconnected()
    scene.licensed(720)
    scene.traveller.shift(70 * DAY)
    sign_in_again(scene)


def sign_in_again(scene: Scene) -> None:
    """Begin another session; the one of before has ended."""
    backend = "django.contrib.auth.backends.ModelBackend"
    scene.client.force_login(User.objects.get(username="ada"), backend=backend)


def downloaded(scene: Scene) -> None:
    used(scene.now.date() - DAY, 48)
    scene.carried()


def connection_off(scene: Scene) -> None:
    scene.licensed()
    scene.post("/continuous-connection", enabled="0", confirmed="1")
    scene.client.get(PAGE)


def locked(scene: Scene) -> None:
    scene.licensed()
    scene.patch.chdir(scene.settings.NMS_DATA_DIR)  # a picture shows no folder of ours
    Path("policy").write_text("# rule 7\ntelemetry = off\n")
    scene.settings.NMS_POLICY_FILE = "policy"
    policy_file.obey(scene.now)


def restored(scene: Scene) -> None:
    """The file beside the database holds a later decision than the database."""
    scene.licensed()
    later = {choices.CONNECTION: {"number": 7, "value": True}}
    (Path(scene.settings.NMS_DATA_DIR) / "choices.json").write_text(json.dumps(later))
    assert connection.check_restore(scene.now)


def keys(scene: Scene) -> None:
    make.keys_file()


def encryption_key(scene: Scene) -> None:
    make.keys_file(make.jwks(use="enc"))


def in_live_mode(scene: Scene) -> None:
    make.keys_file()
    scene.settings.SANDBOX = False


def edited(scene: Scene) -> bytes:
    head, body, signature = make.token(scene.now).split(".")
    return f"{head}.{body}.{signature[:-8]}AAAAAAAA".encode()


def token(days: int = 365, **changes: Any) -> Callable[[Scene], bytes]:
    return lambda scene: make.token(scene.now, days, **changes).encode()


def pem(scene: Scene) -> bytes:
    return certificate().public_bytes(serialization.Encoding.PEM)


def three_files(scene: Scene) -> None:
    """Let three days be in use, each a file of its own in the report."""
    scene.settings.NMS_USAGE_DETAIL = "instances"
    scene.patch.setattr("usage.document.MOST_RECORDS", 4)
    for days in (3, 2, 1):
        used(scene.now.date() - days * DAY, 2)


def accepted_in_part(scene: Scene) -> None:
    scene.licensed()
    three_files(scene)
    scene.fails(BULK, "partial", files=2)
    scene.sent()


def downloaded_in_three_files(scene: Scene) -> None:
    three_files(scene)
    scene.carried()


def waiting() -> bytes:
    """Return the report that waits for its acknowledgement."""
    report = Report.objects.open().get()
    return b"".join(bytes(part.content) for part in report.parts.all())


def of_two_files(scene: Scene) -> bytes:
    taken = json.loads(usage_document.read(waiting()).manifest)["files"][:2]
    return acknowledged(waiting(), scene.box.data, accepted=2, files=taken)


def of_no_file(scene: Scene) -> bytes:
    return acknowledged(waiting(), scene.box.data, accepted=0, files=[])


def of_another(scene: Scene) -> bytes:
    other = "91c07f3a-1d0c-4a56-9d0e-2f6f7a1b8c11"
    return acknowledged(waiting(), scene.box.data, reportId=other)


def the_right_one(scene: Scene) -> bytes:
    return acknowledged(waiting(), scene.box.data)


REPLACE, RENEW, HIDE = "Replace license", "How to renew", "Hide for 7 days"
ANOTHER, STORED = "Choose another file", "Nothing was stored."
VERIFYING = "section:has(#verifying-title)"
LICENSE, ADDED, REFUSED = "The license", "After Add", "When a file is refused"
SENDING, CARRYING = "Usage reports", "Reports carried by hand"
CHOICE = "Continuous Connection"


def refused(
    name: str,
    when: str,
    title: str,
    words: tuple[str, ...],
    file: tuple[str, Callable[[Scene], bytes]],
    reach: Callable[[Scene], object] = keys,
    *more: str,
) -> Row:
    """Return the row of a file the form does not take."""
    return Row(
        REFUSED,
        name,
        when,
        reach,
        title,
        (*words, STORED),
        (ANOTHER, *more),
        others=False,
        path=ADD,
        upload=Upload(*file),
        picture="#refusal",
    )


def text_of(content: bytes) -> Callable[[Scene], bytes]:
    return lambda scene: content


MYF5 = "Choose the .jwt file from MyF5."
PARTS = "one .jwt file with three parts separated by dots"
ROWS = (
    Row(
        LICENSE,
        "none",
        "Nobody added a license.",
        nothing,
        "No license yet",
        ("It is checked on this server first. Nothing is sent until you select Add.",),
        ("Get Started", "How to get the file from MyF5"),
        picture="section[aria-label=License]",
    ),
    Row(
        LICENSE,
        "expires-60",
        "60 days before the end, as information.",
        licensed(45),
        "License expires in 45 days",
        ("It is valid through 7 Jan 2027.", "90 days’ grace"),
        (REPLACE, RENEW, HIDE),
        others=False,
    ),
    Row(
        LICENSE,
        "expires-30",
        "30 days before the end, as a warning.",
        licensed(21),
        "License expires in 21 days",
        ("After 14 Dec 2026 you have 90 days’ grace.", "takes effect by itself while"),
        (REPLACE, RENEW, HIDE),
        others=False,
    ),
    Row(
        LICENSE,
        "expires-today",
        "On the last day.",
        licensed(0),
        "License expires today",
        ("It is valid through 23 Nov 2026.", "download the new .jwt from MyF5"),
        (REPLACE, RENEW, HIDE),
        others=False,
    ),
    Row(
        LICENSE,
        "trial",
        "A trial, from the day it was added: it has no grace.",
        licensed(f5_order_type="eval"),
        "License expires in 30 days",
        ("It is valid through 23 Dec 2026. A renewal that comes with",),
        (REPLACE, RENEW, HIDE),
        others=False,
    ),
    Row(
        LICENSE,
        "grace",
        "A paid license that ended in the last 90 days.",
        licensed(30, 62),
        "License expired, grace ends in 58 days",
        ("Everything goes on until 20 Jan 2027", "NGINX Plus stops processing"),
        (REPLACE, RENEW, HIDE),
    ),
    Row(
        LICENSE,
        "grace-ended",
        "A paid license whose grace has ended.",
        licensed(50, 200),
        "License expired and grace has ended",
        ("no longer process traffic", "reports are held here until you add a new"),
        (REPLACE, RENEW, HIDE),
    ),
    Row(
        LICENSE,
        "trial-ended",
        "A trial that ended.",
        licensed(365, 40, f5_order_type="eval"),
        "License expired",
        ("It ended on 13 Nov 2026.", "Nothing else stops"),
        (REPLACE, RENEW, HIDE),
    ),
    Row(
        LICENSE,
        "not-valid-yet",
        "Its `iat` or `nbf` is more than 300 s ahead.",
        not_yet_valid,
        "The license is not valid yet",
        (
            "It starts on 1 Dec 2026.",
            "The clock of this server says 23 Nov 2026, 12:0",
            "Events are held until then. Check the clock if that is wrong.",
        ),
        (REPLACE,),
    ),
    Row(
        LICENSE,
        "waiting-for-keys",
        "Added while no key set was here.",
        without_keys,
        "Waiting for F5’s keys",
        ("stored and inactive until a key set is here", "within a minute"),
        (REPLACE,),
    ),
    Row(
        LICENSE,
        "not-verified",
        "Keys came, and the signature did not hold.",
        not_verified,
        "The license cannot be verified",
        ("The signature is not valid", "stays stored and inactive"),
        (REPLACE,),
    ),
    Row(
        LICENSE,
        "provisional",
        "Disconnected, without a key set.",
        provisional,
        "Signature not checked",
        ("provisional for 90 days", "Features work.", "Events stay held."),
        (REPLACE,),
    ),
    Row(
        LICENSE,
        "smime",
        "The older form, with its Subscription ID.",
        smime_license("A-S00198432"),
        "This server cannot check an S/MIME license",
        ("Events go out under the Subscription ID that was typed",),
        (REPLACE,),
    ),
    Row(
        LICENSE,
        "smime-without-id",
        "The older form, without its Subscription ID.",
        smime_license(),
        "This server cannot check an S/MIME license",
        ("events are held because its Subscription ID was not typed",),
        (REPLACE,),
    ),
    Row(
        LICENSE,
        "clock-ran-back",
        "The clock shows less than what was noted.",
        clock_ran_back,
        "The clock of this server ran back",
        ("Nothing is locked", "Set it, by NTP for example."),
    ),
    Row(
        LICENSE,
        "key-ends",
        "90 days before a key's certificate ends.",
        key_ends_soon,
        "The certificate of F5’s key v1 ends on 2 Jan 2027",
        ("Licenses in force stay in force.", "set NMS_JWKS_FILE to a newer key file"),
    ),
    Row(
        LICENSE,
        "terminated",
        "Right after Terminate.",
        just_terminated,
        f"License {make.SUBSCRIPTION} was terminated at 12:0",
        ("Usage history is kept.", "No license yet"),
        ("Get Started",),
        others=False,
        picture=".n-messages .n-note",
    ),
    Row(
        LICENSE,
        "terminated-told",
        "Terminate with *Tell F5 too*, answered.",
        terminated(),
        "The test receiver was told 23 Nov 2026",
        ("Terminated", "by ada"),
        path=HISTORY,
        picture="section:has(#history-title)",
    ),
    Row(
        LICENSE,
        "terminated-not-told",
        "The same while the receiver answers 503.",
        terminated("status", status=503),
        "The test receiver is not told yet.",
        ("It answered 503.", "It is tried again by itself."),
        path=HISTORY,
        picture="section:has(#history-title)",
    ),
    Row(
        LICENSE,
        "terminated-refused",
        "The same when it says no for good.",
        terminated("status", status=403),
        "The test receiver was not told.",
        ("It refused the license (403).",),
        path=HISTORY,
        picture="section:has(#history-title)",
    ),
    Row(
        ADDED,
        "verifying",
        "A new license, before the receiver has answered.",
        asking,
        "Entitlements from F5",
        ("Signed by F5, meant for urn:f5:teem.", "You can leave this page."),
        picture=VERIFYING,
    ),
    Row(
        ADDED,
        "unreachable",
        "The connection breaks (fault `refuse_after_accept`).",
        activation("refuse_after_accept"),
        "Signature is good, but the test receiver could not be reached",
        (
            "The license is stored and works.",
            "Entitlements appear when localhost:",
            "Next try at 23 Nov 2026, 12:0",
            "The connection ended before the whole answer was there.",
        ),
        ("Try now", "Check connectivity"),
        picture=VERIFYING,
    ),
    Row(
        ADDED,
        "had-a-problem",
        "The receiver answers 503 (fault `status`).",
        activation("status", status=503),
        "Signature is good, but the test receiver had a problem",
        ("It answered 503.", "The license is stored and works."),
        ("Try now", "Check connectivity"),
        picture=VERIFYING,
    ),
    Row(
        ADDED,
        "portal",
        "A captive portal answers instead (fault `html`).",
        activation("html"),
        "Signature is good, but the test receiver had a problem",
        ("captive portal?", "The license is stored and works."),
        ("Try now", "Check connectivity"),
        picture=VERIFYING,
    ),
    Row(
        ADDED,
        "already-in-use",
        "The receiver answers 409 (fault `in_use`; our inference).",
        activation("in_use"),
        "This license is already in use",
        (
            f"answered that {make.SUBSCRIPTION} is registered to another installation",
            "events and reports go on under it",
            "Terminate it there first, or ask F5 support to release it.",
        ),
        ("Try again", REPLACE),
        picture=VERIFYING,
    ),
    Row(
        ADDED,
        "license-refused",
        "The receiver answers 401 (fault `status`).",
        activation("status", status=401),
        "Signature is good, but the test receiver refused the license (401)",
        ("The license is stored and works.", "replace the license, or try again"),
        ("Try again", REPLACE),
        picture=VERIFYING,
    ),
    refused(
        "signature",
        "`signature`: the file was edited.",
        "The signature is not valid",
        ("The file was changed, or it was not signed by F5.", "another signature"),
        ("nginx.jwt", edited),
    ),
    refused(
        "audience",
        "`audience`: a token for another service.",
        "This token is for another service",
        ("Use the JSON Web Token from your NGINX subscription.", "urn:f5:other"),
        ("other.jwt", token(aud="urn:f5:other")),
    ),
    refused(
        "certificate",
        "`not_a_token`: a certificate.",
        "This is not a license file",
        (PARTS, "a certificate", "nginx-repo.crt"),
        ("nginx-repo.crt", pem),
    ),
    refused(
        "zip",
        "`not_a_token`: a ZIP archive.",
        "This is not a license file",
        (PARTS, "a .zip archive", "license.zip"),
        ("license.zip", text_of(zipped())),
    ),
    refused(
        "html",
        "`not_a_token`: a page that was saved instead.",
        "This is not a license file",
        (PARTS, "an HTML page"),
        ("nginx.jwt", text_of(b"<!doctype html><title>Sign in</title>")),
    ),
    refused(
        "empty",
        "`empty`: white space only.",
        "The file is empty",
        (MYF5, "no text"),
        ("nginx.jwt", text_of(b" \r\n\t ")),
    ),
    refused(
        "too-large",
        "`too_large`: over 64 KB.",
        "The file is too large for a license",
        (MYF5, "more than 64 KB"),
        ("backup.jwt", text_of(b"a" * 70_000)),
    ),
    refused(
        "utf-16",
        "`not_text`: saved by an editor.",
        "The file was saved as UTF-16",
        ("do not open it in a text editor", "UTF-16 or binary data"),
        ("nginx.jwt", lambda scene: make.token(scene.now).encode("utf-16")),
    ),
    refused(
        "two-licenses",
        "`two_licenses`: two tokens in one file.",
        "The file holds more than one license",
        ("Add one license at a time.", "2 licenses"),
        (
            "both.jwt",
            lambda scene: b"\n".join([make.token(scene.now).encode()] * 2),
        ),
    ),
    refused(
        "header",
        "`header`: not the header of a license.",
        "This is not a license of F5",
        ("Its header has another form.", "alg, typ JWT, kid and jku only"),
        ("nginx.jwt", token(header={"crit": ["b64"]})),
    ),
    refused(
        "algorithm",
        "`algorithm`: signed in another way.",
        "The license is signed in a way this server does not take",
        ("RS512", "RS256"),
        ("nginx.jwt", token(header={"alg": "RS256"})),
    ),
    refused(
        "other-environment",
        "`wrong_jku`: its keys come from elsewhere.",
        "This license was issued for another environment",
        ("Use the one from MyF5", "https://elsewhere.example.net/keys"),
        ("nginx.jwt", token(header={"jku": "https://elsewhere.example.net/keys"})),
    ),
    refused(
        "unknown-key",
        "`unknown_key`: newer keys are asked for.",
        "Key v9 is not known here",
        ("Set NMS_JWKS_FILE to a newer key file", "v9"),
        ("nginx.jwt", token(header={"kid": "v9"})),
    ),
    refused(
        "weak-key",
        "`weak_key`: that key is for encryption.",
        "Key v1 must not be used for RS512",
        ("a public signing key of 2048 bits or more",),
        ("nginx.jwt", token()),
        encryption_key,
    ),
    refused(
        "issuer",
        "`issuer`: issued by somebody else.",
        "This token was not issued by F5",
        ("Use the JSON Web Token from MyF5.", "Somebody"),
        ("nginx.jwt", token(iss="Somebody")),
    ),
    refused(
        "claims",
        "`claims`: a date that cannot be used.",
        "The license states no usable time in “iat”",
        ("Ask F5 for a new one.", "seconds since 1970, a whole number"),
        ("nginx.jwt", token(iat=-1)),
    ),
    refused(
        "expired",
        "`expired`: its grace is over.",
        "This license ended and its grace period is over",
        ("Download a newer one from MyF5.", "grace until"),
        ("old.jwt", lambda scene: make.token(scene.now - 400 * DAY, 100).encode()),
    ),
    refused(
        "worse",
        "`worse`: it would replace a valid license by one in grace.",
        f"This license, {make.SUBSCRIPTION}, has ended; the one in force is valid",
        ("a license that ends after 23 Nov 2027", "24 Oct 2026"),
        ("old.jwt", lambda scene: make.token(scene.now - 60 * DAY, 30).encode()),
        licensed(),
        "Replace it anyway",
    ),
    refused(
        "older",
        "`older`: it was issued before the one in force, of the same subscription.",
        f"This license of {make.SUBSCRIPTION} is older than the one in force",
        ("one issued at or after", "UTC"),
        ("old.jwt", lambda scene: make.token(scene.now - 30 * DAY, 380).encode()),
        licensed(),
        "Replace it anyway",
    ),
    refused(
        "sandbox-in-live",
        "`sandbox_in_live`: a license of the sandbox in live mode.",
        "This is a license for the sandbox, and this server runs in live mode",
        ("Use the one from MyF5.", "a subscription of F5", make.SUBSCRIPTION),
        ("sandbox.jwt", token()),
        in_live_mode,
    ),
    Row(
        SENDING,
        "report-accepted",
        "*Send Usage to F5*, followed to the receipt.",
        report(),
        "The test receiver accepted the usage report",
        ("Receipt", "Period 22 Nov 2026, 48 instances.", "Report again by 22 May 2027"),
        shared=("View report",),
    ),
    Row(
        SENDING,
        "report-accepted-in-part",
        "The receiver takes some of its files (fault `partial`).",
        accepted_in_part,
        "The test receiver accepted a part of the report",
        (
            "1 of 3 files were left out.",
            "Nothing is lost: their days go into the next report.",
        ),
        shared=("See the file left out",),
    ),
    Row(
        SENDING,
        "report-not-accepted",
        "The receiver answers 401 (fault `status`).",
        report("status", status=401),
        "The test receiver did not accept the report",
        ("401: the license was not recognised.", "kept and nothing is lost"),
        (REPLACE,),
        ("Show response",),
    ),
    Row(
        SENDING,
        "report-refused",
        "It answers 400: that report is never sent again.",
        report("status", status=400),
        "The test receiver did not accept the report",
        ("It was refused (400).", "its usage goes into the next report"),
        shared=("Show response",),
    ),
    Row(
        SENDING,
        "report-waits",
        "It answers 503: tried again by itself.",
        report("status", status=503),
        "The report waits",
        ("It answered 503.", "kept and tried again at 23 Nov 2026"),
        shared=("View report",),
    ),
    Row(
        SENDING,
        "nothing-new",
        "*Send Usage to F5* again, with nothing counted since.",
        nothing_new,
        "No usage since the last report at 23 Nov 2026",
        ("Nothing was sent.",),
        ("Send anyway",),
        path=f"{PAGE}?nothing-new",
    ),
    Row(
        SENDING,
        "report-due",
        "30 and 7 days before the next report is due.",
        due(160),
        "A usage report is due in 20 days",
        ("Usage is counted meanwhile.", "Send it on the License page"),
        ("Usage reporting", HIDE),
        others=False,
    ),
    Row(
        SENDING,
        "report-overdue",
        "181 days after the last accepted report.",
        due(185),
        "A usage report was due on 22 May 2027",
        ("nothing stops here", "Send it now"),
        ("Usage reporting", HIDE),
        others=False,
    ),
    Row(
        CARRYING,
        "report-due-by-hand",
        "Disconnected: 90 days after the license was added.",
        due_by_hand,
        "A usage report is due in 20 days",
        ("Carry it to F5 and bring back its acknowledgement.",),
        ("Carry a usage report", HIDE),
        others=False,
    ),
    Row(
        CARRYING,
        "waiting-for-acknowledgement",
        "The report was downloaded.",
        downloaded,
        "Upload Usage Acknowledgement",
        ("Downloaded by ada, 23 Nov 2026", "Run this where the test receiver"),
        ("Prepare again with what is new",),
        picture="#carrying",
    ),
    Row(
        CARRYING,
        "acknowledged",
        "The acknowledgement was added.",
        downloaded,
        " is accepted.",
        ("Report again by 22 May 2027",),
        others=False,
        upload=Upload("acknowledgement.zip", the_right_one, "file", PAGE),
        picture=".n-messages .n-note",
    ),
    Row(
        CARRYING,
        "partial-acknowledgement",
        "It accepts some of the files and names them.",
        downloaded_in_three_files,
        " is accepted in part: 2 of 3 files.",
        ("The rest goes into the next report.", "Partly accepted"),
        others=False,
        upload=Upload("acknowledgement.zip", of_two_files, "file", PAGE),
        picture=".n-messages .n-note",
    ),
    Row(
        CARRYING,
        "nothing-accepted",
        "It accepts none of the files.",
        downloaded,
        "The acknowledgement says that none of 1 files was accepted.",
        ("Downloaded by ada",),
        ("Download License Report",),
        others=False,
        upload=Upload("acknowledgement.zip", of_no_file, "file", PAGE),
        picture=".n-messages .n-note",
    ),
    Row(
        CARRYING,
        "other-acknowledgement",
        "It belongs to another report.",
        downloaded,
        "This acknowledgement belongs to report 91c07f3a",
        ("You need the one for ",),
        others=False,
        upload=Upload("acknowledgement.zip", of_another, "file", PAGE),
        picture=".n-messages .n-note",
    ),
    Row(
        CHOICE,
        "connection-off",
        "An administrator switched it off.",
        connection_off,
        "Continuous Connection is off",
        (
            "Nothing is recorded or sent on its own. Usage is still counted here.",
            "Send it yourself at least every 180 days.",
        ),
        ("Send Usage to F5",),
        picture="section:has(#connection-title)",
    ),
    Row(
        CHOICE,
        "connection-locked",
        "A policy file keeps it off.",
        locked,
        "Locked by policy, line 2",
        ("so nothing is recorded or sent",),
        picture="section:has(#connection-title)",
    ),
    Row(
        CHOICE,
        "restored",
        "The database is older than `choices.json`.",
        restored,
        "Continuous Connection is off because the database was restored",
        ("Nothing is recorded or sent until", "Usage is still counted here."),
        ("Keep it off", "Turn it on"),
    ),
)


def document() -> str:
    """Return docs/license-states.md."""
    parts = [HEAD]
    for group in dict.fromkeys(row.group for row in ROWS):
        parts.append(f"## {group}")
        parts += [
            f"**{row.name}.** {row.when}\n\n"
            f"![{_plain(row.title)}](screenshots/states/{row.name}.png)"
            for row in ROWS
            if row.group == group
        ]
    return "\n\n".join(parts) + "\n"


def _plain(text: str) -> str:
    return re.sub(r"[\[\]]", "", text.strip())


HEAD = """# What the License page says

Every message of Settings > License: what happened, what still works, what to do. Each
is reached by a test, through the pages, the real tasks and the sandbox with its
[faults](sandbox.md#faults), and photographed by `make screenshots`. Written from
`tests/licensing/catalogue.py`; the [License](license.md) page explains the states and
codes. In sandbox mode messages say "the test receiver" where live mode says F5.

Others than administrators read the same without the buttons they may not use, and not
that a license will expire or a report is due."""
