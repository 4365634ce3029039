"""Turn a page of docs/ into what the console shows: sections, each safe markup.

Only what is named here is rendered, every text is escaped, and nothing that came in as
markup goes out as markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.template.loader import render_to_string
from django.urls import Resolver404, resolve, reverse
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

PAGES = {"data-points.md": "ui-telemetry"}  # other pages of docs/ -> where it is here
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")
_PLAIN = {"p", "ul", "ol", "li", "strong", "em", "thead", "tbody", "tr"}


@dataclass(frozen=True)
class Section:
    """A second-level heading and what stands below it.

    ``anchor`` names it in addresses; ``parts`` are the headings inside it, as
    ``(anchor, title)``. The one before the first such heading has no title.
    """

    anchor: str
    title: str
    body: SafeString
    parts: list[tuple[str, str]]


def read(page: Path, instead: Mapping[str, str] | None = None) -> list[Section]:
    """Return the sections of a page, in order; its title is left out.

    Args:
        instead: What stands in the page, and what is shown for it.
    """
    text = page.read_text()
    for written, shown in (instead or {}).items():
        text = text.replace(written, shown)
    tree = SyntaxTreeNode(_MARKDOWN.parse(text))
    fences = (node for node in tree.walk() if node.type == "fence")
    for number, fence in enumerate(fences, 1):
        fence.meta["number"] = number
    groups: list[list[SyntaxTreeNode]] = [[]]
    for node in tree.children:
        if node.tag == "h2":
            groups.append([])
        if node.tag != "h1":
            groups[-1].append(node)
    return [_section(group) for group in groups]


def _section(nodes: list[SyntaxTreeNode]) -> Section:
    title = _text(nodes.pop(0)) if nodes[0].tag == "h2" else ""
    anchor, parts, shown = slugify(title), [], []
    for node in nodes:
        if node.tag == "h3":
            part = (f"{anchor}-{slugify(_text(node))}", _text(node))
            parts.append(part)
            shown.append(format_html('<h3 id="{}">{}</h3>', *part))
        else:
            shown.append(_markup(node))
    return Section(anchor, title, _join(shown), parts)


def _markup(node: SyntaxTreeNode) -> SafeString:
    if node.type == "text":
        return escape(node.content)
    if node.type == "softbreak":
        return escape("\n")
    if node.type == "code_inline":
        return _code(node.content)
    if node.type == "fence":
        return _block(node.content.strip(), node.meta["number"])
    if node.type == "link":
        return _link(node)
    if node.type == "table":
        return _table(node)
    inner = _join(map(_markup, node.children))
    if node.tag in _PLAIN:
        return format_html("<{0}>{1}</{0}>", node.tag, inner)
    return inner


def _code(text: str) -> SafeString:
    """Return a literal; the address of a page of the console leads there."""
    if re.fullmatch(r"/(ui/[\w/-]+|privacy)", text):
        try:
            resolve(text)
        except Resolver404:
            pass
        else:
            return format_html('<a href="{0}"><code>{0}</code></a>', text)
    return format_html("<code>{}</code>", text)


def _block(text: str, number: int) -> SafeString:
    """Return lines to copy, under a name that no other block of the page has."""
    names = {"id": f"command-{number}", "label": f"Command {number}"}
    return render_to_string("components/_code.html", {**names, "body": text})


def _link(node: SyntaxTreeNode) -> SafeString:
    """Return a link to the web, to a heading here, or to a page that shows the same."""
    text, target = _join(map(_markup, node.children)), str(node.attrs["href"])
    if target.startswith("https://"):
        return format_html(
            '<a href="{}" target="_blank" rel="noopener noreferrer">{}'
            '<span class="n-sr"> (opens in a new tab)</span></a>',
            target,
            text,
        )
    if target.startswith("#"):
        return format_html('<a href="{}">{}</a>', target, text)
    if target in PAGES:
        return format_html('<a href="{}">{}</a>', reverse(PAGES[target]), text)
    return text


def _table(node: SyntaxTreeNode) -> SafeString:
    """Return a table that becomes cards on a small screen."""
    head, body = node.children
    names = [_text(cell) for cell in head.children[0].children]
    top = _join(format_html('<th scope="col">{}</th>', name) for name in names)
    rows = _join(
        format_html(
            "<tr>{}</tr>",
            format_html_join(
                "",
                '<td data-th="{}"><span>{}</span></td>',
                zip(names, map(_markup, row.children), strict=True),
            ),
        )
        for row in body.children
    )
    return format_html(
        '<div class="n-table-wrap"><table class="n-table n-cards">'
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>",
        top,
        rows,
    )


def _text(node: SyntaxTreeNode) -> str:
    return "".join(
        leaf.content for leaf in node.walk() if leaf.type in ("text", "code_inline")
    )


def _join(parts: Iterable[SafeString]) -> SafeString:
    return format_html_join("", "{}", ((part,) for part in parts))
