"""A browser without JavaScript: it opens pages, follows links and presses buttons."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

from django.http import HttpResponse
from django.test import Client


@dataclass
class Control:
    """A link or button: where it leads, and what it sends."""

    address: str
    method: str = "get"
    fields: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] | None = None
    name: str = ""
    id: str = ""


class _Page(HTMLParser):
    """Collects the controls of a page under their accessible names."""

    def __init__(self, text: str, address: str) -> None:
        super().__init__()
        self.controls: list[Control] = []
        self.labels: dict[str, str] = {}
        self._here = address
        self._form: Control | None = None
        self._open: Control | None = None
        self._label = ""
        self.feed(text)
        for control in self.controls:
            control.name = control.name or self.labels.get(control.id, "")
            control.fields = {**(control.form or {}), **control.fields}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            address = given.get("action") or self._here
            self._form = Control(address, given.get("method", "get"), form={})
        elif tag == "input" and self._form and given.get("type") in ("hidden", "text"):
            self._form.form[given["name"]] = given.get("value", "")
        elif tag == "label":
            self._label = given.get("for", "")
        elif tag == "a" and "href" in given:
            self._open = Control(given["href"])
        elif tag == "button" and self._form and given.get("type") == "submit":
            form = self._form
            self._open = Control(form.address, form.method, form=form.form)
            self._open.id = given.get("id", "")
            if "name" in given:
                self._open.fields = {given["name"]: given["value"]}

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open.name += data
        if self._label:
            self.labels[self._label] = self.labels.get(self._label, "") + data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("a", "button") and self._open:
            self._open.name = " ".join(self._open.name.split())
            self.controls.append(self._open)
            self._open = None
        elif tag == "label":
            self._label = ""
        elif tag == "form":
            self._form = None


class Browser:
    """Keeps the page that is open.

    ``text`` is all of it with single blanks; ``names`` are its controls, in order.
    """

    def __init__(self) -> None:
        self.client = Client(headers={"user-agent": "pytest"}, enforce_csrf_checks=True)
        self.answer: HttpResponse = HttpResponse()
        self.address = ""

    def open(self, address: str) -> None:
        """Open a page by its address, and follow redirects."""
        self._shown(self.client.get(address, follow=True), address)

    def select(self, name: str) -> None:
        """Follow the first link or press the first button whose name begins so."""
        found = [one for one in self._page.controls if one.name.startswith(name)]
        assert found, f"no {name!r} among {self.names}"
        control = found[0]
        send = self.client.post if control.method == "post" else self.client.get
        address = urljoin(self.address, control.address)
        self._shown(send(address, control.fields or None, follow=True), address)

    def fill(self, **values: str) -> None:
        """Type into the fields of the page's forms."""
        for control in self._page.controls:
            if control.form is not None:
                control.fields |= values

    @property
    def text(self) -> str:
        """The page with single blanks."""
        return " ".join(self.answer.content.decode().split())

    @property
    def names(self) -> list[str]:
        """The names of the page's links and buttons."""
        return [control.name for control in self._page.controls]

    def _shown(self, answer: HttpResponse, address: str) -> None:
        assert answer.status_code == 200, answer.status_code
        chain = getattr(answer, "redirect_chain", [])
        self.answer = answer
        self.address = chain[-1][0] if chain else address
        self._page = _Page(answer.content.decode(), self.address)
