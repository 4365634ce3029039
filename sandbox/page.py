"""One page for people: the newest arrivals, with digest and body."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Sequence
from html import escape

from sandbox.wire import Request

SHOWN = 50
MAX_SHOWN_BODY = 65_536
STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
details { border: 1px solid #8888; border-radius: 6px; padding: .5rem .75rem;
  margin: .5rem 0 }
summary { cursor: pointer; overflow-wrap: anywhere }
code, pre { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere;
  white-space: pre-wrap }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CSP = (
    f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


def arrivals_page(arrivals: Sequence[Request], stats: dict[str, object]) -> str:
    """Return the page: counts, then the newest 50 arrivals, newest first."""
    newest = [_arrival(arrival) for arrival in reversed(arrivals[-SHOWN:])]
    counts = ", ".join(
        f"{escape(name.replace('_', ' '))} {count}"
        for name, count in stats.items()
        if isinstance(count, int)
    )
    nothing = "<p>Nothing has arrived yet.</p>"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sandbox: what arrived</title><style>{STYLE}</style></head>
<body><main><h1>What arrived at the sandbox</h1>
<p>This is the built-in test receiver and collector. Nothing here left this
machine. Reload the page to see what came since.</p>
<p>{counts}</p>
<h2>Newest {len(newest)} requests</h2>
{"".join(newest) or nothing}
</main></body></html>
"""


def _arrival(arrival: Request) -> str:
    moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(arrival.at))
    headers = "\n".join(
        f"{name}: {_without_secret(name, value)}" for name, value in arrival.headers
    )
    answered = f"answered {arrival.status}" if arrival.status else "not answered"
    fault = f", fault {arrival.fault}" if arrival.fault else ""
    return f"""<details><summary>{arrival.n}. {moment} · {arrival.host} ·
<code>{escape(arrival.method)} {escape(arrival.target)}</code> · {answered}{fault}
· {len(arrival.body)} bytes</summary>
<p>SHA-256 of the body: <code>{arrival.sha256}</code></p>
<h3>Headers</h3><pre>{escape(headers)}</pre>
<h3>Body</h3><pre>{escape(_readable(arrival.body))}</pre></details>
"""


def _without_secret(name: str, value: str) -> str:
    if name.lower() in ("authorization", "cookie", "f5-apikey"):
        return f"({len(value)} characters, not shown)"
    return value


def _readable(body: bytes) -> str:
    if len(body) > MAX_SHOWN_BODY:
        return f"({len(body)} bytes, too long to show here)"
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        pass
    try:
        return body.decode() or "(empty)"
    except UnicodeDecodeError:
        return f"({len(body)} bytes that are not text)"
