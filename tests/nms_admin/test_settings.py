from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from nms_admin.checks import settings_fit
from nms_admin.env import Reader

ROOT = Path(__file__).parent.parent.parent


def codes() -> list[str]:
    return [message.id for message in settings_fit()]


def test_the_defaults_fit() -> None:
    assert codes() == []


def test_a_proxy_list_that_is_no_address_is_named(settings) -> None:
    settings.NMS_TRUSTED_PROXIES = ["10.0.0.0/24", "loadbalancer"]
    (message,) = settings_fit()
    assert message.id == "nms.E001"
    assert "'loadbalancer'" in message.msg


def test_plain_http_is_for_this_host_only(settings) -> None:
    settings.NMS_BIND = "0.0.0.0"
    assert codes() == ["nms.E002"]
    settings.HTTPS = True
    assert codes() == []


@pytest.mark.parametrize("proxy", ["proxy.example:3128", "socks5://proxy", "http://"])
def test_a_proxy_without_scheme_or_host_is_refused_unnamed(settings, proxy) -> None:
    settings.NMS_PROXY_URL = proxy
    (message,) = settings_fit()
    assert message.id == "nms.E003"
    assert proxy not in message.msg  # it may hold a password


def test_certificate_and_key_must_belong_together(settings, tmp_path: Path) -> None:
    authority = trustme.CA()
    one, other = authority.issue_cert("a.example"), authority.issue_cert("b.example")
    one.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    one.private_key_pem.write_to_path(tmp_path / "key.pem")
    settings.NMS_TLS_CERT = str(tmp_path / "cert.pem")
    settings.NMS_TLS_KEY = str(tmp_path / "key.pem")
    assert codes() == []
    other.private_key_pem.write_to_path(tmp_path / "key.pem")
    assert codes() == ["nms.E004"]


def test_an_own_authority_that_is_not_there_is_named(settings) -> None:
    settings.NMS_CA_BUNDLE = "/nowhere/ca.pem"
    assert codes() == ["nms.E005"]


def test_a_data_folder_others_can_read_is_a_warning(settings, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    settings.NMS_DATA_DIR = tmp_path
    assert codes() == ["nms.W006"]


@pytest.mark.parametrize("bind", ["8443", "127.0.0.1", "127.0.0.1:none", ":8443"])
def test_where_agents_register_is_an_address_and_a_port(settings, bind: str) -> None:
    settings.NMS_DPM_BIND = bind
    (message,) = settings_fit()
    assert message.id == "nms.E008"
    assert bind in message.msg


def test_agents_register_in_plain_text_on_this_host_only(settings) -> None:
    for bind in ("localhost:1", "127.0.0.2:8443", "[::1]:8443"):
        settings.NMS_DPM_BIND = bind
        assert codes() == []
    for bind in ("0.0.0.0:8443", "[::]:8443", "nms.example:8443"):
        settings.NMS_DPM_BIND = bind
        assert codes() == ["nms.E009"]


def start(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NMS_")}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    environment |= {"NMS_DATA_DIR": str(tmp_path / "data"), **variables}
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("NMS_PORT", "eighty", "a whole number from 1 to 65535"),
        ("NMS_F5_MODE", "production", "write one of: sandbox, live"),
        ("NMS_HOLD_WINDOW", "40d", "up to 30d"),
        ("NMS_F5_API_URL", "http://f5.example", "write an https:// address"),
        ("NMS_USAGE_CHANNEL", "grpc", "write one of: bulk, batch"),
        ("NMS_USAGE_BATCH_URL", "http://f5.example", "write an https:// address"),
        ("NMS_PUBLIC_URL", "http://console.example", "only for this host"),
        ("NMS_DATABASE_URL", "nonsense", "postgresql://"),
        ("NMS_JWT_ALGORITHMS", "HS256", "RS512, RS256 and ES256"),
        ("NMS_TLS_CERT", "cert.pem", "together"),
    ],
)
def test_a_wrong_value_stops_the_start_in_one_sentence(
    tmp_path: Path, name: str, value: str, says: str
) -> None:
    done = start(tmp_path, **{name: value})
    assert done.returncode == 1
    assert name in done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("address", ["http://f5.example/jwks", "http://localhost:8001"])
def test_in_live_mode_keys_come_by_https_alone(tmp_path: Path, address: str) -> None:
    done = start(tmp_path, NMS_F5_MODE="live", NMS_JWKS_URL=address)
    assert done.returncode == 1
    assert "NMS_JWKS_URL is " in done.stderr
    assert "write an https:// address" in done.stderr


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "proxy").write_text("socks://ada:hunter2@proxy.example\n")
    done = start(tmp_path, NMS_PROXY_URL_FILE=str(tmp_path / "proxy"))
    assert "nms.E003" in done.stderr
    assert "hunter2" not in done.stderr


def test_the_key_files_are_made_for_this_user_alone(tmp_path: Path) -> None:
    assert start(tmp_path).returncode == 0
    for name in ("secret.key", "seal.keys"):
        assert (tmp_path / "data" / name).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_database_that_is_cut_off_is_given_up_within_seconds(monkeypatch) -> None:
    monkeypatch.setenv("NMS_DATABASE_URL", "postgresql://u:p@db/n?sslmode=verify-full")
    options = Reader().database("DATABASE_URL")["OPTIONS"]
    assert (options["connect_timeout"], options["tcp_user_timeout"]) == (5, 5_000)
    assert "idle_in_transaction_session_timeout=15s" in options["options"]
    assert options["sslmode"] == "verify-full"


def test_the_address_of_the_database_wins(monkeypatch) -> None:
    address = "postgresql://u:p@db/n?connect_timeout=9&options=-c%20lock_timeout%3D1s"
    monkeypatch.setenv("NMS_DATABASE_URL", address)
    options = Reader().database("DATABASE_URL")["OPTIONS"]
    assert int(options["connect_timeout"]) == 9
    assert options["options"] == "-c lock_timeout=1s"


def test_sqlite_by_its_address_gets_no_options(monkeypatch) -> None:
    monkeypatch.setenv("NMS_DATABASE_URL", "sqlite:////tmp/x.sqlite3")
    assert not Reader().database("DATABASE_URL").get("OPTIONS")


def test_the_first_line_signs_and_the_others_are_still_believed(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("the new one\nthe old one\n")
    script = (
        "from django.conf import settings\n"
        "print(settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS, sep='|')"
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith("NMS_")}
    told = {
        "NMS_DATA_DIR": str(tmp_path / "data"),
        "NMS_SECRET_KEY_FILE": str(tmp_path / "key"),
        "DJANGO_SETTINGS_MODULE": "nms_admin.settings",
    }
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=kept | told,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "the new one|['the old one']\n", done.stderr
