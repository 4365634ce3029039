"""What no template, script or module may contain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.frontend.conftest import ROOT, markup, modules, scripts, templates

FORBIDDEN = {
    "an inline style": r"\sstyle\s*=\s*[\"']|<style\b",
    "an inline event handler": r"\son[a-z]+\s*=\s*[\"']",
    "an inline script": r"<script\b(?![^>]*\bsrc=)",
    "a javascript: address": r"javascript:",
    "hx-on": r"\bhx-on\b",
    "hx-vals that is evaluated": r"hx-vals\s*=\s*['\"]\s*js:",
    "an htmx trigger filter": r"hx-trigger\s*=\s*\"[^\"]*\[",
    "headers in an attribute": r"hx-headers",
    "output that is not escaped": r"\|\s*safe\b|autoescape\s+off|safeseq",
    "a script or style from elsewhere": r"<(script|link)\b[^>]*(src|href)=\"(https?:)?//",
}


@pytest.mark.parametrize("path", templates(), ids=lambda p: str(p.relative_to(ROOT)))
def test_template_holds_nothing_the_policy_forbids(path: Path) -> None:
    text = markup(path)
    found = [what for what, pattern in FORBIDDEN.items() if re.search(pattern, text)]
    assert found == []


def test_every_post_form_carries_the_token() -> None:
    without = [
        str(path)
        for path in templates()
        for form in re.findall(r"<form\b.*?</form>", markup(path), flags=re.DOTALL)
        if 'method="post"' in form.split(">")[0] and "{% csrf_token %}" not in form
    ]
    assert without == []


def test_no_module_marks_text_as_safe() -> None:
    pattern = re.compile(r"\bmark_safe\b|\bSafeString\(|\bSafeText\b")
    assert [str(p) for p in modules() if pattern.search(p.read_text())] == []


def test_no_script_evaluates_text_or_writes_markup() -> None:
    pattern = re.compile(r"\beval\(|new Function|innerHTML|outerHTML|document\.write")
    assert [str(p) for p in scripts() if pattern.search(p.read_text())] == []


def test_new_tabs_are_announced() -> None:
    links = [
        link
        for path in templates()
        for link in re.findall(r"<a\b[^>]*_blank.*?</a>", markup(path), flags=re.DOTALL)
    ]
    assert [link for link in links if "opens in a new tab" not in link] == []
    assert [link for link in links if "noopener" not in link] == []
