"""The control calls under ``/__sandbox/``: look, reset, and set faults."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from sandbox.faults import Faults, parse_rules
from sandbox.page import CSP, arrivals_page
from sandbox.store import Store, as_dict
from sandbox.wire import Answer, Request, as_json, refusal

PREFIX = "/__sandbox"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Control:
    """The control calls over one store and its faults."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self.store = store
        self.faults = faults
        self.routes: dict[tuple[str, str], Callable[[Request], Answer]] = {
            ("GET", "/"): self.page,
            ("GET", "/requests"): self.requests,
            ("GET", "/stats"): self.stats,
            ("POST", "/reset"): self.reset,
            ("GET", "/faults"): self.list_faults,
            ("POST", "/faults"): self.set_faults,
            ("DELETE", "/faults"): self.clear_faults,
        }

    def answer(self, request: Request) -> Answer:
        """Process a control call; calls by foreign pages are refused."""
        if is_foreign(request):
            return refusal(403, "Control calls come from this machine's own tools.")
        endpoint = self.routes.get((request.method, request.path[len(PREFIX) :]))
        if endpoint is None:
            return refusal(404, "There is no such control call.")
        try:
            return endpoint(request)
        except (ValueError, RecursionError) as error:
            return refusal(400, str(error))

    def page(self, _: Request) -> Answer:
        """Show the newest arrivals to a person."""
        html = arrivals_page(self.store.arrivals(), self.store.stats())
        headers = (("Content-Security-Policy", CSP), ("Referrer-Policy", "no-referrer"))
        return Answer(200, html.encode(), "text/html; charset=utf-8", headers)

    def requests(self, request: Request) -> Answer:
        """List arrivals; query: host, path (a prefix), since (a number)."""
        query = parse_qs(urlsplit(request.target).query)
        arrivals = self.store.arrivals(
            host=query.get("host", [None])[0],
            prefix=query.get("path", [""])[0],
            since=int(query.get("since", ["0"])[0]),
        )
        return as_json({"requests": [as_dict(arrival) for arrival in arrivals]})

    def stats(self, _: Request) -> Answer:
        """Give the counters."""
        return as_json(self.store.stats())

    def reset(self, _: Request) -> Answer:
        """Forget arrivals, counters and faults."""
        self.store.reset()
        self.faults.set([])
        return Answer(204)

    def list_faults(self, _: Request) -> Answer:
        """List the rules in force."""
        return as_json(self.faults.as_list())

    def set_faults(self, request: Request) -> Answer:
        """Put a list of rules in force instead of the others."""
        self.faults.set(parse_rules(json.loads(request.body)))
        return self.list_faults(request)

    def clear_faults(self, _: Request) -> Answer:
        """End every fault."""
        self.faults.set([])
        return Answer(204)


def is_control(request: Request) -> bool:
    """Whether a request is a control call rather than an arrival."""
    return request.host == "vendor" and request.path.startswith(f"{PREFIX}/")


def is_foreign(request: Request) -> bool:
    """Whether a web page from elsewhere is behind a control call.

    The host name must be this machine's, against DNS rebinding; and a page of
    another origin may link here, but not change anything.
    """
    name = urlsplit(f"//{request.fields.get('host', '')}").hostname or ""
    if name not in LOOPBACK and not name.startswith("127."):
        return True
    site = request.fields.get("sec-fetch-site", "none")
    return request.method != "GET" and site not in ("none", "same-origin")
