"""The Help page: what it shows, and that what it shows is the document."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from nms_admin import help as help_module
from nms_admin import prose

pytestmark = pytest.mark.django_db
HELP = "/ui/help"
TOPICS = {
    "what-is-captured": "What is captured",
    "enable-or-disable-telemetry": "Enable or disable telemetry",
    "firewall": "Firewall",
    "web-analytics": "Web analytics",
    "opt-out-of-web-analytics": "Opt out of web analytics",
}


def body(response) -> str:
    return " ".join(response.content.decode().split())


class TestPage:
    @pytest.mark.parametrize("name", [None, "ada", "vera"])
    def test_is_open_to_everybody(self, ada, vera, signed_in, name):
        client = signed_in({"ada": ada, "vera": vera}[name]) if name else Client()
        page = body(client.get(HELP))
        for anchor, title in TOPICS.items():
            assert f'id="{anchor}"' in page
            assert f'<a href="#{anchor}">{title}</a>' in page
        assert "159.60.126.0/25" in page

    def test_every_link_in_the_page_leads_to_a_heading_there(self, finished):
        page = body(Client().get(HELP))
        targets = set(re.findall(r'href="#([^"]+)"', page)) - {"main"}
        assert len(targets) > 10
        assert {t for t in targets if f'id="{t}"' not in page} == set()

    def test_links_of_other_pages_lead_to_a_heading_there(self, finished):
        page = body(Client().get(HELP))
        pattern = r"(?:url 'ui-help' %}|help_url }})#([\w-]+)"
        linked = [
            anchor
            for template in (help_module.PAGE.parent.parent / "templates").rglob("*")
            if template.suffix == ".html"
            for anchor in re.findall(pattern, template.read_text())
        ]
        assert len(linked) >= 6
        assert {a for a in linked if f'id="{a}"' not in page} == set()

    def test_names_of_pages_lead_there(self, ada, signed_in):
        client = signed_in(ada)
        page = body(client.get(HELP))
        for path in ("/ui/settings/license", "/ui/settings/telemetry", "/privacy"):
            assert f'<a href="{path}"><code>{path}</code></a>' in page
            assert client.get(path).status_code == 200
        assert '<a href="/ui/settings/telemetry">data points</a>' in page

    def test_commands_name_the_address_of_this_console(self, finished, settings):
        settings.NMS_PUBLIC_URL = "https://console.example.net"
        page = body(Client().get(HELP))
        assert "https://console.example.net/api/platform/v1/analytics" in page
        assert "127.0.0.1:8000" not in page

    @pytest.mark.parametrize(
        ("anchor", "words"),
        [
            ("prove", "unzip -p usage-report-*.zip manifest.json | sha256sum"),
            ("renew", "Replace license"),
            ("roles", "Runs checks, sends usage"),
            ("audit", "manage.py audit verify"),
        ],
    )
    def test_says_how_to_prove_renew_share_and_check(self, finished, anchor, words):
        page = body(Client().get(HELP))
        assert f'href="#{anchor}"' in page
        assert words in page.partition(f'id="{anchor}"')[2].partition("</section>")[0]


class TestProse:
    def read(self, tmp_path, text: str) -> str:
        page = tmp_path / "page.md"
        page.write_text(text)
        return "".join(section.body for section in prose.read(page))

    def test_markup_in_the_text_is_shown_not_obeyed(self, tmp_path):
        found = self.read(tmp_path, "A <script>x</script> & <b>b</b> `<i>`\n")
        assert "<script" not in found
        assert "&lt;script&gt;x&lt;/script&gt; &amp; &lt;b&gt;" in found
        assert "<code>&lt;i&gt;</code>" in found

    @pytest.mark.parametrize(
        "link",
        ["[word](unknown.md)", "[word](javascript:alert(1))", "![word](picture.png)"],
    )
    def test_a_link_that_would_lead_nowhere_is_plain_text(self, tmp_path, link):
        found = self.read(tmp_path, f"A {link}.\n")
        assert "href" not in found
        assert "src" not in found

    def test_headings_name_themselves_in_order(self, tmp_path):
        page = tmp_path / "page.md"
        page.write_text("# T\n\nfirst\n\n## A b\n\ntext\n\n### C\n\n## D\n")
        sections = prose.read(page)
        assert [(s.anchor, s.title, s.parts) for s in sections] == [
            ("", "", []),
            ("a-b", "A b", [("a-b-c", "C")]),
            ("d", "D", []),
        ]
        assert '<h3 id="a-b-c">C</h3>' in sections[1].body


def test_the_page_is_the_one_in_docs():
    assert "159.60.126.0/25" in help_module.PAGE.read_text()
