"""The courier, run as a process of its own against the sandbox."""

from __future__ import annotations

import ast
import base64
import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

from sandbox.faults import parse_rules
from sandbox.server import Sandbox
from tests import make
from tests.usage.conftest import sandbox_data, vendor  # noqa: F401  (fixtures)
from usage import acknowledgement, document
from usage.document import Count, Heading

ROOT = Path(__file__).parent.parent
COURIER = ROOT / "courier.py"
NUMBER = "2214e480-0000-4000-8000-000000000001"
BULK = "/ee/v1/entitlements/telemetry/bulk"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def report(tmp_path) -> Path:
    heading = Heading(
        report_id=NUMBER,
        sequence=1,
        subscription_id="SBX-00198432",
        detail="totals",
        previous_digest="",
        audit_head="0" * 64,
        token="folder",
    )
    made = document.build(heading, [Count(date(2026, 11, 22), "NGINX_INSTANCES", 48)])
    path = tmp_path / f"usage-report-{NUMBER}.zip"
    path.write_bytes(made.archive)
    (tmp_path / "license.jwt").write_text(make.token(datetime.now(UTC)) + "\n")
    return path


@pytest.fixture
def words(report, vendor) -> list[str]:  # noqa: F811
    return [
        *(sys.executable, "-I", str(COURIER), "--report", str(report)),
        *("--license", str(report.parent / "license.jwt"), "--pause", "0.01"),
        *("--url", f"http://localhost:{vendor.box.vendor.port}/ee/v1"),
    ]


@pytest.fixture
def run(words, report) -> Run:
    token = (report.parent / "license.jwt").read_text().strip()

    def go(*more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*words, *more], capture_output=True, text=True, timeout=60, check=False
        )
        said = done.stdout + done.stderr
        assert token not in said
        assert "Traceback" not in said
        return done

    return go


def answer_of(report: Path) -> Path:
    return report.parent / f"acknowledgement-{NUMBER}.zip"


def is_accepted(report: Path) -> bool:
    with zipfile.ZipFile(report) as opened:
        digest = hashlib.sha256(opened.read("manifest.json")).hexdigest()
    return acknowledgement.read(
        answer_of(report).read_bytes(),
        report_id=NUMBER,
        digest=digest,
        jwks=make.jwks(),
        algorithms=["RS512"],
    ).checked


def test_it_brings_the_acknowledgement_of_the_report(run, report, vendor) -> None:  # noqa: F811
    done = run()
    assert (done.returncode, done.stderr) == (0, "")
    assert is_accepted(report)
    assert vendor.archives == [report.read_bytes()]


def test_a_second_run_uploads_nothing_again(run, vendor) -> None:  # noqa: F811
    assert run().returncode == 0
    again = run("--resume")
    assert again.returncode == 0
    assert "uploaded before" in again.stdout
    assert len(vendor.uploads) == 1


@pytest.mark.parametrize(
    ("mode", "args"),
    [
        ("status", {"status": 500}),
        ("status", {"status": 429, "retry_after": 0}),
        ("reset", {}),
        ("reset_after", {}),
        ("truncated", {}),
        ("garbage", {}),
    ],
)
@pytest.mark.parametrize("path", [BULK, f"{BULK}/status", f"{BULK}/download"])
def test_what_passes_by_itself_is_tried_again(run, report, vendor, mode, args, path):  # noqa: F811
    vendor.fails(mode, path, times=2, **args)
    done = run()
    assert done.returncode == 0, done.stderr
    assert is_accepted(report)


def test_a_slow_answer_is_waited_for(run, report, vendor) -> None:  # noqa: F811
    vendor.fails("drip", f"{BULK}/download", times=1, bytes_per_second=1000)
    assert run().returncode == 0
    assert is_accepted(report)


def test_a_vendor_that_stays_away_ends_with_4(run, report, vendor) -> None:  # noqa: F811
    vendor.fails("status", BULK, status=503)
    done = run()
    assert done.returncode == 4
    assert "goes on where it stopped" in done.stderr
    vendor.recovers()
    assert run().returncode == 0


def test_a_check_that_is_not_over_ends_with_5_and_goes_on_later(run, vendor) -> None:  # noqa: F811
    body = json.dumps({"percentageComplete": 65, "readyForDownload": False})
    vendor.fails("status", f"{BULK}/status", status=200, body=body)
    done = run("--wait", "0.1")
    assert done.returncode == 5
    assert "has checked 65%" in done.stderr
    vendor.recovers()
    assert run("--resume").returncode == 0
    assert len(vendor.uploads) == 1


def test_killed_while_it_waits_it_goes_on_where_it_stopped(
    words,
    run,
    report,
    vendor,  # noqa: F811
) -> None:
    vendor.fails("hang", f"{BULK}/status", times=1)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    state = report.with_name(f"{report.name}.courier.json")
    end = time.monotonic() + 20
    while not state.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    shown = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
    assert "eyJ" not in shown
    process.kill()
    process.communicate()
    vendor.recovers()
    assert run("--resume").returncode == 0
    assert is_accepted(report)
    assert len(vendor.uploads) == 1


@pytest.mark.parametrize("status", [401, 403, 400, 413, 302])
def test_a_refusal_ends_with_3_at_once(run, report, vendor, status) -> None:  # noqa: F811
    vendor.fails("status", BULK, status=status)
    done = run()
    assert done.returncode == 3
    assert str(status) in done.stderr
    assert len(vendor.uploads) == 1
    assert not answer_of(report).exists()


def test_another_page_is_no_acknowledgement(run, report, vendor) -> None:  # noqa: F811
    vendor.fails("html", f"{BULK}/download")
    done = run()
    assert (done.returncode, "captive portal" in done.stderr) == (3, True)
    assert not answer_of(report).exists()


def test_a_changed_report_is_not_uploaded(run, report, vendor) -> None:  # noqa: F811
    packed = io.BytesIO()
    with zipfile.ZipFile(report) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b" " if "usage-" in name else b""))
    report.write_bytes(packed.getvalue())
    done = run()
    assert (done.returncode, "is not what was built" in done.stderr) == (3, True)
    report.write_bytes(report.read_bytes()[:100])
    assert run().returncode == 3
    assert vendor.calls == []


def test_wrong_use_ends_with_2(run, report, vendor) -> None:  # noqa: F811
    assert "nothing to resume" in run("--resume").stderr
    assert run("--resume").returncode == 2
    assert run("--url", "http://f5.example.net").returncode == 2
    assert run("--report", str(report.parent / "none.zip")).returncode == 2
    (report.parent / "license.jwt").write_text("no token")
    done = run()
    assert (done.returncode, "no JSON Web Token" in done.stderr) == (2, True)
    assert vendor.calls == []


def interpreters() -> list[str]:
    """Return this Python, and the 3.9 and newer ones that are installed here."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = {Path(sys.executable)}
    for minor in range(9, 20):
        here = [*sorted(root.glob(f"3.{minor}.*/bin/python")), *on_path(f"3.{minor}")]
        found |= set(here[:1])
    return sorted(str(one) for one in found)


def on_path(version: str) -> list[Path]:
    found = shutil.which(f"python{version}")
    return [Path(found)] if found and "shims" not in found else []


@pytest.fixture(params=interpreters(), ids=lambda path: path.split("/")[-3])
def python(request) -> str:
    return str(request.param)


@pytest.fixture
def tls(sandbox_data, report) -> Iterator[Sandbox]:  # noqa: F811
    """A sandbox over TLS, whose authority stands in ``ca.pem`` beside the report."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(report.parent / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with Sandbox(sandbox_data, tls=context) as box:
        yield box


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as running:
        yield running


class Proxy:
    """A forward proxy that passes CONNECT on to this host, for ada with a password."""

    PASSWORD = "pr0xy:s3cret/@"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        pair = base64.b64encode(f"ada:{self.PASSWORD}".encode()).decode()
        self.wanted = f"Proxy-Authorization: Basic {pair}"

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=[client], daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        head = b""
        with client, contextlib.suppress(OSError):
            while b"\r\n\r\n" not in head:
                head += client.recv(65536)
            self.asked.append(head.decode())
            if self.wanted.lower() not in head.decode().lower():
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
            port = int(head.split(b" ")[1].rpartition(b":")[2])
            with socket.create_connection(("127.0.0.1", port)) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=pump, args=[server, client], daemon=True)
                back.start()
                pump(client, server)
                back.join(5)


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)


def words_for(python: str, report: Path, port: int) -> list[str]:
    return [
        *(python, "-I", str(COURIER), "--report", str(report), "--pause", "0.01"),
        *("--license", str(report.parent / "license.jwt")),
        *("--url", f"https://localhost:{port}/ee/v1"),
    ]


def end(words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    return subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=kept | environment,
    )


def files_hold(folder: Path, secret: str) -> list[str]:
    """Return the files beside the report, but not the one it was given, with a secret."""
    given = ("license.jwt", "login")
    return [
        one.name
        for one in folder.iterdir()
        if one.name not in given and secret in one.read_bytes().decode("latin-1")
    ]


def test_each_python_carries_through_a_proxy_with_an_own_authority(
    python, report, tls, proxy
) -> None:
    login = report.parent / "login"
    login.write_text(f"ada:{Proxy.PASSWORD}\n")
    words = words_for(python, report, tls.vendor.port)
    words += ["--ca", str(report.parent / "ca.pem"), "--proxy", proxy.address]
    refused = end(words)
    assert (refused.returncode, "--proxy-login" in refused.stderr) == (4, True)
    assert len(proxy.asked) == 1, "asking again would not help"
    done = end([*words, "--proxy-login", str(login)])
    assert (done.returncode, done.stderr) == (0, "")
    assert is_accepted(report)
    assert len(proxy.asked) == 4
    token = (report.parent / "license.jwt").read_text().strip()
    for head in proxy.asked:
        assert head.startswith(f"CONNECT localhost:{tls.vendor.port} HTTP/1.")
        assert token not in head
    for one in tls.store.arrivals(host="vendor"):
        assert "proxy-authorization" not in one.fields
    for secret in (token, Proxy.PASSWORD):
        assert secret not in done.stdout + refused.stdout + refused.stderr
        assert files_hold(report.parent, secret) == []


def test_the_proxy_of_the_environment_is_used_and_its_password_never_shown(
    report, tls, proxy
) -> None:
    words = words_for(sys.executable, report, tls.vendor.port)
    words += ["--ca", str(report.parent / "ca.pem")]
    quoted = quote(Proxy.PASSWORD, safe="")
    address = proxy.address.replace("//", f"//ada:{quoted}@")
    done = end(words, HTTPS_PROXY=address)
    assert done.returncode == 0, done.stderr
    assert len(proxy.asked) == 3
    report.with_name(f"{report.name}.courier.json").unlink()
    closed = address.rpartition(":")[0] + ":9"
    away = end(words, HTTPS_PROXY=closed)
    assert away.returncode == 4
    odd = end(words, HTTPS_PROXY=f"http://ada:{Proxy.PASSWORD}x@127.0.0.1:no")
    assert odd.returncode == 4
    for said in (done, away, odd):
        for secret in (quoted, Proxy.PASSWORD, "s3cret"):
            assert secret not in said.stdout + said.stderr


def test_a_password_on_the_command_line_is_refused_and_not_repeated(run) -> None:
    done = run("--proxy", "http://ada:hunter2@127.0.0.1:9")
    assert (done.returncode, "hunter2" in done.stderr) == (2, False)
    assert "--proxy-login" in done.stderr
    assert run("--proxy", "socks5://127.0.0.1:9").returncode == 2
    assert run("--proxy-login", "login").returncode == 2


def test_an_unknown_authority_ends_with_4_at_once_and_names_the_option(
    python, report, tls
) -> None:
    began = time.monotonic()
    done = end(words_for(python, report, tls.vendor.port))
    assert (done.returncode, "--ca" in done.stderr) == (4, True)
    assert time.monotonic() - began < 10
    assert tls.store.arrivals(host="vendor") == []
    wrong = end([*words_for(python, report, 9), "--ca", str(report)])
    assert wrong.returncode == 2


def test_each_python_is_interrupted_while_it_waits_and_goes_on(
    python, report, tls
) -> None:
    """Nobody who lists the processes meanwhile sees the license."""
    path = f"{BULK}/status"
    body = json.dumps({"percentageComplete": 20, "readyForDownload": False})
    going = {"path": path, "mode": "status", "args": {"status": 200, "body": body}}
    tls.faults.set(parse_rules([going]))
    words = words_for(python, report, tls.vendor.port)
    words += ["--ca", str(report.parent / "ca.pem"), "--pause", "2"]
    token = (report.parent / "license.jwt").read_text().strip()
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_interrupts,  # noqa: PLW1509 - it is short and takes no lock
    )
    until(lambda: tls.store.arrivals(host="vendor", prefix=path))
    listed = [
        (one / "cmdline").read_bytes()
        for one in Path("/proc").iterdir()
        if one.name == str(process.pid) or one.name == "self"
    ]
    assert any(b"courier.py" in one for one in listed)
    assert not any(token.encode() in one for one in listed)
    process.send_signal(signal.SIGINT)
    said, error = process.communicate(timeout=10)
    assert (process.returncode, "it goes on" in error) == (4, True)
    assert token not in said + error
    assert files_hold(report.parent, token) == []
    late = end([*words, "--wait", "0"])
    assert (late.returncode, "checked 20%" in late.stderr) == (5, True)
    tls.faults.set([])
    assert end([*words, "--resume"]).returncode == 0
    assert is_accepted(report)
    uploads = [one for one in tls.store.arrivals(host="vendor") if one.method == "POST"]
    assert len(uploads) == 1


def hears_interrupts() -> None:
    """Undo what a shell does to its jobs in the background: ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_it_waits_as_long_as_the_receiver_asks(run, vendor, form) -> None:  # noqa: F811
    asked = "2" if form == "seconds" else formatdate(time.time() + 3, usegmt=True)
    vendor.fails("status", BULK, times=1, status=429, retry_after=asked)
    assert run().returncode == 0
    first, again = vendor.uploads
    assert again.at - first.at >= 1.5


def test_it_is_one_file_of_the_standard_library_for_python_3_9() -> None:
    tree = ast.parse(COURIER.read_text(), feature_version=(3, 9))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add(node.module)
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
    checked = [*(sys.executable, "-m", "ruff", "check", "--target-version", "py39")]
    checked += ["--no-cache", "--select", "F,E9,UP036", str(COURIER)]
    assert subprocess.run(checked, check=False, cwd=ROOT).returncode == 0
    assert COURIER.stat().st_mode & 0o111
