"""https by the console itself, and behind NGINX when there is one on this machine."""

from __future__ import annotations

import http.client
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
import trustme

from tests.conftest import PASSWORD
from tests.dataplanes.agent import FakeAgent
from tests.e2e.console import ROOT, Console, free_ports, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
WAYS = ["itself", *(["nginx"] if shutil.which("nginx") else [])]
VERSIONS = "/api/platform/v1/modules/versions"
AGENT = "0d4f3b52-6f0e-3b0e-9b44-0d9a4c8a5c11"


class Site:
    """One address over https, asked as curl and browsers ask."""

    def __init__(self, port: int, ca: Path, console: Console) -> None:
        self.port, self.ca, self.console = port, ca, console

    def curl(self, path: str, *words: str) -> subprocess.CompletedProcess[str]:
        address = f"https://localhost:{self.port}{path}"
        command = ["curl", "-sS", "--max-time", "10", *words, address]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def ask(self, method: str, path: str, body: str = "", **headers: str):
        context = ssl.create_default_context(cafile=self.ca)
        connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=10, context=context
        )
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer, text


@contextmanager
def nginx(folder: Path, console: Console, port: int, plain: int) -> Iterator[None]:
    """Run NGINX with the site of deploy/nginx.conf, in the foreground, as this user."""
    site = (ROOT / "deploy/nginx.conf").read_text()
    for old, new in (
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("nms.example.com", "localhost"),
        ("/etc/ssl/nms/server.crt", str(console.certificate)),
        ("/etc/ssl/nms/server.key", str(console.key)),
        ("127.0.0.1:8000", f"127.0.0.1:{console.port}"),
        ("127.0.0.1:8443", console.agents),
    ):
        assert old in site
        site = site.replace(old, new)
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"pid {folder}/nginx.pid;\nerror_log stderr;\ndaemon off;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{site}}}\n"
    )
    words = [
        "nginx",
        "-e",
        "stderr",
        "-p",
        str(folder),
        "-c",
        str(folder / "nginx.conf"),
    ]
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(words, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module", params=WAYS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "itself":
        console = Console(folder / "data", tls=True)
        with started(console, folder):
            yield Site(console.port, console.ca, console)
        return
    port, plain = free_ports(2)
    console = Console(
        folder / "data",
        tls=True,
        NMS_TLS_CERT="",
        NMS_TLS_KEY="",
        NMS_PUBLIC_URL=f"https://localhost:{port}",
        NMS_TRUSTED_PROXIES="127.0.0.1",
    )
    console.base = f"http://127.0.0.1:{console.port}"
    with started(console, folder), nginx(folder, console, port, plain):
        found = Site(port, console.ca, console)
        wait_for(
            lambda: found.curl("/login", "--cacert", str(console.ca)).returncode == 0,
            10,
            "NGINX answers",
        )
        yield found


@contextmanager
def started(console: Console, folder: Path) -> Iterator[None]:
    console.start()
    try:
        (folder / "password").write_text(PASSWORD)
        words = ["--username", "ada", "--password-file", str(folder / "password")]
        console.manage("provision", *words)
        yield
    finally:
        console.stop()


def test_curl_with_the_ca_is_answered(site: Site) -> None:
    words = ["--cacert", str(site.ca), "-u", f"ada:{PASSWORD}"]
    done = site.curl(VERSIONS, *words, "-w", " %{http_code}")
    assert done.stdout.endswith(" 200"), done
    assert '"2.20.0"' in done.stdout


def test_curl_without_the_ca_is_refused(site: Site) -> None:
    assert site.curl(VERSIONS).returncode == 60


def test_plain_http_gets_no_page(site: Site) -> None:
    connection = http.client.HTTPConnection("localhost", site.port, timeout=10)
    try:
        connection.request("GET", "/login")
        status = connection.getresponse().status
    except (http.client.HTTPException, OSError):
        status = 0
    finally:
        connection.close()
    assert status in (0, 400)  # NGINX says what is wrong


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_tls_older_than_1_2_is_refused(site: Site, version: str) -> None:
    words = ["--cacert", str(site.ca), f"--tlsv{version}", "--tls-max", version]
    done = site.curl("/login", *words, "--ciphers", "DEFAULT:@SECLEVEL=0")
    assert done.returncode == 35, done


def test_the_console_leads_to_sign_in_without_a_loop(site: Site) -> None:
    words = ["--cacert", str(site.ca), "-L", "--max-redirs", "3", "-o", "/dev/null"]
    done = site.curl("/", *words, "-w", "%{http_code} %{url_effective}")
    assert done.stdout == f"200 https://localhost:{site.port}/login?next=/ui/"


def test_cookies_are_bound_to_this_host_and_https(site: Site) -> None:
    answer, page = site.ask("GET", "/login")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    csrf = SimpleCookie(answer.headers["Set-Cookie"])["__Host-nms-csrf"]
    field = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    answer, _ = site.ask(
        "POST",
        "/login",
        f"username=ada&password={PASSWORD.replace(' ', '+')}"
        f"&csrfmiddlewaretoken={field}",
        **{
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": f"__Host-nms-csrf={csrf.value}",
            "Origin": f"https://localhost:{site.port}",
        },
    )
    assert (answer.status, answer.headers["Location"]) == (302, "/ui/")
    cookies = SimpleCookie()
    for line in answer.headers.get_all("Set-Cookie"):
        cookies.load(line)
    for name in ("__Host-nms-session", "__Host-nms-csrf"):
        assert cookies[name]["secure"]
        assert cookies[name]["path"] == "/"
        assert not cookies[name]["domain"]
    assert cookies["__Host-nms-session"]["httponly"]


def test_an_agent_registers_over_tls(site: Site) -> None:
    token = site.console.manage(
        "shell", "--no-imports", "--verbosity", "0", "-c", ISSUE
    ).strip()
    # An agent asks once in its life: what NGINX answers for a dpm that is not there yet
    # is an answer.
    wait_for(site.console.takes_agents, 20, "dpm listens")
    target = site.console.agents
    if site.port != site.console.port:
        target = f"localhost:{site.port}"  # the same port as the console
    agent = FakeAgent(
        target, AGENT, token, site.ca.read_bytes(), server_name="localhost"
    ).start()
    try:
        assert agent.registered(20), agent.refusals
    finally:
        agent.stop()


ISSUE = """
from django.utils import timezone
from dataplanes import services
by = services.By("ada", timezone.now())
print(services.issue_token("agents", by)[1])
"""


@pytest.mark.parametrize("case", ["another pair", "missing", "half"])
def test_a_certificate_that_cannot_be_used_stops_the_start(
    tmp_path: Path, case: str
) -> None:
    console = Console(tmp_path / "data", tls=True)
    if case == "another pair":
        other = tmp_path / "other.key"
        trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(other)
        console.environment["NMS_TLS_KEY"] = str(other)
    if case == "missing":
        console.environment["NMS_TLS_CERT"] = str(tmp_path / "missing.crt")
    if case == "half":
        del console.environment["NMS_TLS_KEY"]
    said = console.manage("serve", check=False)
    if case == "half":
        assert "Set NMS_TLS_CERT and NMS_TLS_KEY together." in said
    else:
        assert "NMS_TLS_CERT and NMS_TLS_KEY cannot be used together" in said
        assert "Both are PEM files this user can read, and belong together." in said
