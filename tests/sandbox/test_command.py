from __future__ import annotations

import errno
import http.client
import json
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = Path(__file__).resolve().parents[2]
FREE = ("--port", "0", "--collector-port", "0")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)


@contextmanager
def serving(data: Path, *arguments: str) -> Iterator[dict[str, object]]:
    command = [sys.executable, "-m", "sandbox", "serve", "--data", str(data)]
    with subprocess.Popen(
        [*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline()) | {"process": process}
        finally:
            process.kill()


def fetch(port: object, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", int(str(port)), timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_two_starts_keep_the_key_and_a_signal_ends_in_time(tmp_path: Path) -> None:
    served = []
    for number in (signal.SIGTERM, signal.SIGINT):
        with serving(tmp_path, *FREE) as ready:
            assert ready["jwks_file"] == str(tmp_path / "jwks.json")
            served.append(fetch(ready["vendor"], "/ee/v1/keys/jwks"))
            assert fetch(ready["collector"], "/").startswith(b'{"code":404')
            process = ready["process"]
            assert isinstance(process, subprocess.Popen)
            began = time.monotonic()
            process.send_signal(number)
            assert process.wait(5) == 0
            assert time.monotonic() - began < 2
    assert served[0] == served[1] == (tmp_path / "jwks.json").read_bytes()


def test_the_serving_process_stays_small(data: Path) -> None:
    with serving(data, *FREE) as ready:
        process = ready["process"]
        assert isinstance(process, subprocess.Popen)
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        [resident] = [line for line in lines if line.startswith("VmRSS")]
        assert int(resident.split()[1]) <= 30 * 1024


def test_a_taken_port_is_one_clear_sentence(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("serve", "--data", str(data), *FREE[:2], "--collector-port", port)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"The collector cannot listen on 127.0.0.1 port {port}: "
        "Address already in use.\n"
    )


def test_a_port_out_of_range_is_one_clear_sentence(data: Path) -> None:
    ended = run("serve", "--data", str(data), "--port", "70000")
    assert ended.returncode == 1
    assert ended.stderr.endswith("port 70000: Ports go from 0 to 65535.\n")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.net"])
def test_only_loopback_addresses_are_bound(data: Path, host: str) -> None:
    ended = run("serve", "--data", str(data), "--host", host, *FREE)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"The sandbox listens on loopback addresses only, not on {host}.\n"
    )


def test_the_license_command_prints_one_token(data: Path) -> None:
    ended = run("license", "--data", str(data), "--days=-1", "--type", "eval")
    assert ended.returncode == 0
    assert ended.stdout.count(".") == 2
    assert ended.stdout.count("\n") == 1


def test_a_subscription_outside_the_sandbox_is_refused(data: Path) -> None:
    ended = run("license", "--data", str(data), "--subscription", "A-1")
    assert ended.returncode == 2
    assert "begin with SBX-" in ended.stderr


def make_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "cert.pem", folder / "tls.pem"


def test_tls_negotiates_http_1_1_and_still_plays_faults(
    data: Path, tmp_path: Path
) -> None:
    cert, key = make_certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(cert))
    context.set_alpn_protocols(["h2", "http/1.1"])
    tls = ("--tls-cert", str(cert), "--tls-key", str(key))
    with serving(data, *FREE, *tls) as ready:
        address = ("127.0.0.1", int(str(ready["vendor"])))
        rules = b'[{"path": "/", "mode": "reset"}]'
        with (
            socket.create_connection(address, 5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as sock,
        ):
            assert sock.selected_alpn_protocol() == "http/1.1"
            sock.sendall(
                b"POST /__sandbox/faults HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(rules), rules)
            )
            assert sock.recv(4_096).startswith(b"HTTP/1.1 200 OK\r\n")
            sock.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            select.select([sock], [], [], 5)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            assert error == errno.ECONNRESET


def test_tls_without_its_key_is_one_clear_sentence(data: Path, tmp_path: Path) -> None:
    ended = run("serve", "--data", str(data), *FREE, "--tls-cert", str(tmp_path))
    assert ended.returncode == 1
    assert ended.stderr == "TLS needs both --tls-cert and --tls-key.\n"
