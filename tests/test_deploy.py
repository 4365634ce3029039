"""What `deploy/` names exists, and what it promises about rights is in it."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_docs import ROOT, settings_read

DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def unit(name: str) -> configparser.RawConfigParser:
    """Return a unit file; of lines with the same name the last one."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((DEPLOY / name).read_text())
    return parser


def values(path: Path) -> dict[str, str]:
    """Return what an environment file sets."""
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and line[0] != "#")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_a_file_names_exists(path: Path) -> None:
    known = settings_read()
    named = set(re.findall(r"NMS_[A-Z0-9_]+", path.read_text()))
    assert {name for name in named if name.removesuffix("_FILE") not in known} <= known


def test_the_service_starts_the_console_without_rights() -> None:
    service = unit("nms-admin.service")
    assert service.sections() == ["Unit", "Service", "Install"]
    said = service["Service"]
    assert said["ExecStart"].endswith("manage.py serve")
    assert said["User"] == "nms-admin"
    assert said["CapabilityBoundingSet"] == ""
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices"):
        assert said[name] == "true"
    assert said["ProtectSystem"] == "strict"
    data = values(DEPLOY / "nms-admin.env")["NMS_DATA_DIR"]
    assert data == f"/var/lib/{said['StateDirectory']}"


def test_the_address_limits_allow_this_host_and_deny_the_rest() -> None:
    limits = unit("nms-admin.service.d/addresses.conf")
    assert limits.sections() == ["Service"]
    assert dict(limits["Service"]) == {
        "IPAddressDeny": "any",
        "IPAddressAllow": "localhost",
    }


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_understands_the_service_and_calls_it_hardened(tmp_path: Path) -> None:
    text = (DEPLOY / "nms-admin.service").read_text()
    here = text.replace("/opt/nms-admin/.venv/bin/python", sys.executable)
    file = tmp_path / "nms-admin.service"
    file.write_text(here.replace("/opt/nms-admin", str(ROOT)))
    command = ["systemd-analyze", "verify", "--man=no", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    ours = [line for line in done.stderr.splitlines() if "nms-admin.service" in line]
    assert ours == []
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert rated.returncode == 0, rated.stdout[-500:]  # 3.0 of 10, lower is tighter


def test_the_settings_file_starts_on_postgresql_and_redis(tmp_path: Path) -> None:
    address = tmp_path / "database-url"
    address.write_text("postgresql://nms-admin:a%2Fb@127.0.0.1/nms-admin\n")
    told = values(DEPLOY / "nms-admin.env")
    assert Path(told["NMS_DATABASE_URL_FILE"]).name == address.name
    told |= {"NMS_DATA_DIR": str(tmp_path), "NMS_DATABASE_URL_FILE": str(address)}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("NMS_")}
    script = (
        "import django; django.setup()\n"
        "from django.conf import settings\n"
        "from django.core.checks import run_checks\n"
        "one = settings.DATABASES['default']\n"
        "print(one['ENGINE'], one['PASSWORD'], settings.CELERY_BROKER_URL)\n"
        "print([x.msg for x in run_checks(tags=['nms']) if x.is_serious()])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=kept | told | {"DJANGO_SETTINGS_MODULE": "nms_admin.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "django.db.backends.postgresql a/b redis://127.0.0.1:6379/0",
        "[]",
    ], done.stderr


def test_the_container_runs_without_rights_on_a_read_only_root() -> None:
    console = COMPOSE["services"]["console"]
    assert console["read_only"] is True
    assert console["cap_drop"] == ["ALL"]
    assert console["security_opt"] == ["no-new-privileges:true"]
    assert f"USER {console['user']}\n" in (DEPLOY / "Containerfile").read_text()
    assert not console["user"].startswith("0")
    assert all(one["read_only"] for one in COMPOSE["services"].values())


def test_compose_names_only_what_it_defines() -> None:
    services, secrets = COMPOSE["services"], COMPOSE["secrets"]
    for one in services.values():
        assert set(one.get("depends_on", [])) <= set(services)
        assert set(one.get("secrets", [])) <= set(secrets)
        assert set(one.get("networks", [])) <= set(COMPOSE["networks"])
        for volume in one.get("volumes", []):
            source = volume.split(":")[0]
            there = source in COMPOSE["volumes"] or (DEPLOY / source).exists()
            assert there or source == "./tls", source
    assert (DEPLOY / services["console"]["build"]["context"]).resolve() == ROOT
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    for name in ("database", "broker"):
        assert services[name]["networks"] == ["inside"]
        assert "ports" not in services[name]


def test_images_name_a_version() -> None:
    images = re.findall(
        r"^FROM (\S+)", (DEPLOY / "Containerfile").read_text(), re.MULTILINE
    )
    images += [one["image"] for one in COMPOSE["services"].values()]
    foreign = [image for image in images if image != "nms-admin"]
    assert len(foreign) == 5
    assert [image for image in foreign if not re.search(r":\d", image)] == []


def test_the_command_hands_its_words_to_the_product() -> None:
    script = (DEPLOY / "nms-admin").read_text()
    assert os.access(DEPLOY / "nms-admin", os.X_OK)
    assert 'manage.py "$@"' in script
    checked = subprocess.run(["sh", "-n", DEPLOY / "nms-admin"], check=False)
    assert checked.returncode == 0


def shell_of(line: str, backups: Path) -> str:
    """Return what the shell is given by a line of a unit, for another folder."""
    (words,) = re.findall(r"^/bin/sh -c '(.*)'$", line)
    unescaped = words.replace("%%", "%").replace("$$", "$")
    return unescaped.replace("/var/backups/nms-admin", str(backups))


def test_the_daily_backup_writes_one_and_keeps_fourteen(tmp_path: Path) -> None:
    said = unit("nms-admin-backup.service")["Service"]
    backups = tmp_path / "backups"
    backups.mkdir()
    for number in range(14):
        (backups / f"daily-2026-11-{number + 1:02}-033000.backup").touch()
    (backups / "before-upgrade.backup").touch()
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nfor last in "$@"; do :; done\ntouch "$last"\n')
    python.chmod(0o755)
    for name in ("ExecStart", "ExecStartPost"):
        script = shell_of(said[name], backups)
        subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True)
    kept = sorted(file.name for file in backups.iterdir())
    assert kept[0] == "before-upgrade.backup"
    assert len(kept) == 15
    assert "daily-2026-11-01-033000.backup" not in kept
    assert kept[1] == "daily-2026-11-02-033000.backup"


def test_the_daily_backup_runs_as_the_service_does() -> None:
    ours, theirs = unit("nms-admin-backup.service"), unit("nms-admin.service")
    for name in ("User", "EnvironmentFile", "WorkingDirectory", "StateDirectory"):
        assert ours["Service"][name] == theirs["Service"][name]
    assert ours["Service"]["CapabilityBoundingSet"] == ""
    assert unit("nms-admin-backup.timer")["Timer"]["Persistent"] == "true"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_understands_the_daily_backup(tmp_path: Path) -> None:
    for name in ("nms-admin-backup.service", "nms-admin-backup.timer"):
        text = (DEPLOY / name).read_text().replace("/opt/nms-admin", str(ROOT))
        (tmp_path / name).write_text(text)
    files = [str(file) for file in tmp_path.iterdir()]
    command = ["systemd-analyze", "verify", "--man=no", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "nms-admin-backup" in line]
    assert said == []
