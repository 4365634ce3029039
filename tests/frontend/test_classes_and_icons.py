"""No class without a rule, no icon without a picture, nothing heavier than promised."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import django_htmx

from tests.frontend.conftest import ROOT, markup, modules, scripts, templates

UNSTYLED: set[str] = set()
DYNAMIC = "\0"


def classes_of_rules(css: str) -> set[str]:
    css = re.sub(r'"[^"]*"|url\([^)]*\)|/\*.*?\*/', "", css, flags=re.DOTALL)
    return set(re.findall(r"\.(-?[A-Za-z_][\w-]*)", css))


def classes_of_template(text: str) -> set[str]:
    tags = re.findall(r"\{%.*?%\}", text, flags=re.DOTALL)
    in_tags = " ".join(re.findall(r'\bclass="([^"]*)"', " ".join(tags)))
    text = re.sub(r"\{%.*?%\}", " ", text, flags=re.DOTALL)
    text = re.sub(r"\{\{.*?\}\}", DYNAMIC, text, flags=re.DOTALL)
    in_markup = " ".join(re.findall(r'\bclass="([^"]*)"', text))
    return set(f"{in_tags} {in_markup}".split())


def classes_of_script(text: str) -> set[str]:
    lists = re.findall(r"classList\.\w+\(\s*['\"]([\w-]+)", text)
    return {*lists, *re.findall(r"className = ['\"]([\w-]+)", text)}


def classes_of_tags(text: str) -> set[str]:
    return set(re.findall(r"""["' ](n-[a-z0-9-]+[a-z0-9])(?=["' ])""", text))


def used() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in templates():
        found |= dict.fromkeys(classes_of_template(markup(path)), str(path))
    for path in scripts():
        found |= dict.fromkeys(classes_of_script(path.read_text()), str(path))
    for path in modules():
        if path.parent.name == "templatetags":
            found |= dict.fromkeys(classes_of_tags(path.read_text()), str(path))
    return found


def test_every_class_in_use_has_a_rule(built: Path) -> None:
    rules = classes_of_rules((built / "app.css").read_text())
    missing = {}
    for name, where in used().items():
        pattern = re.compile(re.escape(name).replace(DYNAMIC, ".+"))
        if name not in UNSTYLED and not any(map(pattern.fullmatch, rules)):
            missing[name.replace(DYNAMIC, "…")] = where
    assert missing == {}


def test_a_class_without_a_rule_would_be_found(built: Path) -> None:
    rules = classes_of_rules((built / "app.css").read_text())
    assert {"n-card", "n-note", "btn-primary", "form-control"} <= rules
    text = '<p class="n-nowhere{% if a %} n-pill n-{{ kind }}{% endif %}">'
    assert classes_of_template(text) == {"n-nowhere", "n-pill", f"n-{DYNAMIC}"}
    assert "n-nowhere" not in rules


def test_own_classes_nobody_uses_are_listed() -> None:
    own = classes_of_rules((ROOT / "static/css/nms.css").read_text())
    names = used()
    unused = sorted(n for n in own if n.startswith("n-") and n not in names)
    print("rules without a use:", ", ".join(unused))


def test_every_icon_that_is_named_is_in_the_sprite(built: Path) -> None:
    sprite = set(re.findall(r'<symbol id="([^"]+)"', (built / "icons.svg").read_text()))
    pattern = (
        r"""(?:\{%\s*icon\s+|\bicon(?:_name)?["']?\s*[=:]\s*)["']([a-z0-9-]+)["']"""
    )
    named = {
        name: str(path)
        for path in [*templates(), *modules()]
        for name in re.findall(pattern, markup(path))
    }
    assert {n: w for n, w in named.items() if n not in sprite} == {}


def test_a_first_visit_loads_at_most_60_kb_of_styles_and_scripts(built: Path) -> None:
    htmx = Path(django_htmx.__file__).parent / "static/django_htmx/htmx-2.min.js"
    files = [built / "app.css", htmx, *scripts()]
    total = sum(len(gzip.compress(path.read_bytes())) for path in files)
    assert total <= 60 * 1024


def test_own_scripts_stay_below_6_kb() -> None:
    app = (ROOT / "static/js/app.js").read_bytes()
    assert len(app) <= 6 * 1024
    assert sum(len(gzip.compress(path.read_bytes())) for path in scripts()) <= 6 * 1024


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()


def test_the_styles_load_nothing_from_elsewhere(built: Path) -> None:
    css = (built / "app.css").read_text()
    addresses = re.findall(r"url\(\s*[\"']?([^\"')]+)", css)
    assert {a for a in addresses if not a.startswith("data:")} == {
        "inter.woff2",
        "jetbrains-mono.woff2",
    }
    assert "@import" not in css
