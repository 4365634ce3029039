from __future__ import annotations

import re
from pathlib import Path

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
