from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

ROOT = Path(__file__).parent.parent
SETTINGS = (ROOT / "nms_admin/settings.py").read_text()
CONFIGURATION = (ROOT / "docs/configuration.md").read_text()


def settings_read() -> set[str]:
    pattern = r"read\.(?:\w+)\(\s*\"(\w+)\""
    return {f"NMS_{name}" for name in re.findall(pattern, SETTINGS)}


def test_every_setting_is_documented() -> None:
    documented = set(re.findall(r"`(NMS_\w+)`", CONFIGURATION))
    assert settings_read() - documented == set()


def test_no_documented_setting_is_unknown() -> None:
    in_first_column = re.findall(r"^\| ((?:`NMS_\w+`(?:, )?)+)", CONFIGURATION, re.M)
    documented = {
        name for cell in in_first_column for name in re.findall(r"NMS_\w+", cell)
    }
    assert documented - settings_read() == set()


def test_there_are_at_most_42_settings() -> None:
    assert len(settings_read()) <= 42


def test_every_dependency_has_its_line() -> None:
    named = re.findall(r"^([\w-]+)", (ROOT / "requirements.in").read_text(), re.M)
    explained = (ROOT / "docs/dependencies.md").read_text()
    assert [name for name in named if name not in explained] == []
    assert len(named) <= 20


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if not target.startswith("http") and not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_every_refusal_of_a_license_is_documented() -> None:
    sources = "".join(file.read_text() for file in ROOT.glob("licensing/*.py"))
    pattern = r"(?:LicenseRejected|_reject|_refused)\(\s*\"(\w+)\""
    codes = set(re.findall(pattern, sources)) | {"header", "claims"}
    documented = re.findall(
        r"^\| `(\w+)` ", (ROOT / "docs/license.md").read_text(), re.M
    )
    assert len(codes) >= 15
    assert codes - set(documented) == set()
    assert {code for code in documented if code.islower()} - codes == set()


DEPLOY = (ROOT / "docs/deploy.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", DEPLOY, re.DOTALL)
LINES = [line for block in BLOCKS for line in block.splitlines()]
OURS = [
    found[1]
    for line in LINES
    if (found := re.match(r"(?:nms-admin|.* manage\.py) (.+)", line))
]


@pytest.mark.parametrize("words", OURS)
def test_deploy_calls_commands_as_they_are(words: str) -> None:
    name, *rest = shlex.split(words)
    app = get_commands()[name]
    assert app in ("nms_admin", "audit", "telemetry")
    parser = load_command_class(app, name).create_parser("manage.py", name)
    parser.parse_args(rest)  # raises CommandError for an option that is not there


def test_deploy_names_every_step_of_a_life() -> None:
    used = {words.split()[0] for words in OURS}
    assert used == {
        *("audit", "backup", "doctor", "license", "provision", "restore"),
        *("rotate_keys", "setup_code", "telemetry"),
    }
    options = {word for words in OURS for word in words.split() if word[:2] == "--"}
    assert {"--replace", "--moved", "--output"} <= options


def test_deploy_names_settings_that_exist() -> None:
    named = set(re.findall(r"NMS_[A-Z0-9_]+", DEPLOY))
    known = settings_read()
    assert {one for one in named if one.removesuffix("_FILE") not in known} <= known


def test_deploy_takes_comments_off_lines_that_are_there() -> None:
    told = (ROOT / "deploy/nms-admin.env").read_text()
    lines = re.findall(r"sed -i 's/\^(#NMS_\w+=)/(NMS_\w+=)/'", DEPLOY)
    assert len(lines) >= 5
    for comment, line in lines:
        assert comment == f"#{line}"
        assert re.search(f"^{comment}", told, re.M)


def test_deploy_copies_files_that_exist() -> None:
    named = set(re.findall(r"(?:/opt/nms-admin/|-f )(deploy/[\w./-]*\w)", DEPLOY))
    assert len(named) >= 6
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("block", BLOCKS)
def test_deploy_is_written_in_words_of_the_shell(block: str) -> None:
    read = subprocess.run(["sh", "-n"], input=block, text=True, check=False)
    assert read.returncode == 0


def test_the_policy_page_uses_the_paths_of_the_deployment() -> None:
    page = (ROOT / "docs/policy.md").read_text()
    told = (ROOT / "deploy/nms-admin.env").read_text()
    assert set(re.findall(r"/etc/[\w./-]*\w", page)) == {
        *re.findall(r"^#NMS_POLICY_FILE=(\S+)$", told, re.M),
        "/etc/nms-admin/nms-admin.env",
    }


def test_what_left_names_the_headers_the_door_sets() -> None:
    door = (ROOT / "egress/transport.py").read_text()
    page = (ROOT / "docs/audit.md").read_text().partition("## What left this server")[2]
    named = set(re.findall(r"^\| `([A-Z][\w-]+)` \|", page, re.M))
    in_code = set(re.findall(r"headers\[\"([\w-]+)\"\] = (?!SKIP)", door))
    in_code |= set(re.findall(r"\"([A-Z]\w+-\w+)\": (?:content_type|key)", door))
    assert in_code == {"User-Agent", "F5-ApiKey", "Content-Type", "Idempotency-Key"}
    assert named == in_code | {"Host", "Content-Length", "Authorization"}
