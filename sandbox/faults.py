"""Switchable failures: what a vendor, a proxy or a network does on a bad day.

A rule names a path prefix and a mode. Modes that *replace* the answer leave the
request without effect, unless the rule's args say ``"after": true``; modes that
*spoil* the answer let it take effect first.
"""

from __future__ import annotations

import json
import random
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.wire import Answer, Exchange, Request, encode, refusal

Args = dict[str, Any]
MEBIBYTE = bytes(1024 * 1024)
PORTAL = b"""<!doctype html><html lang="en"><title>Guest network</title>
<h1>Welcome to the guest network</h1><p>Sign in to continue.</p></html>
"""


FIXED = {
    "html": Answer(200, PORTAL, "text/html; charset=utf-8"),
    "empty": Answer(200),
    "array": Answer(200, b"[]"),
    "in_use": refusal(409, "The subscription is registered to another installation."),
}


def status(args: Args) -> Answer:
    """Answer with any status; args: status, retry_after, body, content_type."""
    answer = refusal(int(args.get("status", 503)), "The sandbox was told to say so.")
    if "body" in args:
        answer = answer._replace(body=str(args["body"]).encode())
    if "content_type" in args:
        answer = answer._replace(content_type=str(args["content_type"]))
    if "retry_after" in args:
        answer = answer._replace(headers=(("Retry-After", str(args["retry_after"])),))
    return answer


def redirect(args: Args) -> Answer:
    """Send the client elsewhere; args: status, location."""
    location = str(args.get("location", "http://localhost:9/elsewhere"))
    code = int(args.get("status", 302))
    return Answer(code, b"{}", headers=(("Location", location),))


def headers(args: Args) -> Answer:
    """Answer 200 with a flood of args n (20,000) headers."""
    count = int(args.get("n", 20_000))
    flood = tuple((f"X-Flood-{number}", "x") for number in range(count))
    return Answer(200, b"{}", headers=flood)


def gzip_bomb(args: Args) -> Answer:
    """Answer 200 with a small gzip body that unpacks to args mb (100)."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = [squeeze.compress(MEBIBYTE) for _ in range(int(args.get("mb", 100)))]
    body = b"".join([*packed, squeeze.flush()])
    return Answer(200, body, headers=(("Content-Encoding", "gzip"),))


def raw(mode: str, args: Args) -> Iterator[bytes]:
    """Give the bytes of an answer that is not, or not quite, HTTP.

    garbage; huge: args mb (64) of blanks, which JSON allows; bad_chunk: a chunk
    without a readable size; continue_flood: args n (1,000,000) times "100
    Continue" and nothing else.
    """
    head = encode(Answer(200), close=True)
    if mode == "garbage":
        yield b"\x00\xff\x16\x03 this is not HTTP \r\n" * 8
    elif mode == "bad_chunk":
        chunked = head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        yield chunked + b"2\r\n{}\r\nzz-not-a-size\r\n\r\n"
    elif mode == "huge":
        megabytes = int(args.get("mb", 64))
        length = f"Content-Length: {megabytes * len(MEBIBYTE)}".encode()
        yield head.replace(b"Content-Length: 0", length)
        for _ in range(megabytes):
            yield MEBIBYTE.replace(b"\0", b" ")
    else:
        for _ in range(int(args.get("n", 1_000_000)) // 1_000):
            yield b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000


REPLACE = {
    "status": status,
    "redirect": redirect,
    "headers": headers,
    "gzip_bomb": gzip_bomb,
}
RAW = ("garbage", "bad_chunk", "huge", "continue_flood")
SPOIL = ("hang_after", "reset_after", "drip", "truncated", "wrong_id")
BREAK_OFF = ("refuse_after_accept", "hang", "reset")
PARTIAL = "partial"  # the endpoint of the upload does it
MODES = sorted((*FIXED, *REPLACE, *RAW, *SPOIL, *BREAK_OFF, PARTIAL))


@dataclass
class Rule:
    """One fault: where, what, how often and how likely.

    ``times`` is how often it still applies, None for ever. ``host`` limits it
    to one listener, "vendor" or "collector".
    """

    path: str
    mode: str
    times: int | None = None
    p: float = 1.0
    args: Args = field(default_factory=dict)
    host: str | None = None


def parse_rules(document: object) -> list[Rule]:
    """Return the rules of a control call.

    Raises:
        ValueError: Not a list of rules; says which one and what is wrong.
    """
    if not isinstance(document, list):
        raise ValueError("Faults are a JSON list of rules.")  # noqa: TRY004
    return [_parse_rule(number, rule) for number, rule in enumerate(document)]


def _parse_rule(number: int, rule: object) -> Rule:
    if not isinstance(rule, dict) or not rule.keys() >= {"path", "mode"}:
        raise ValueError(f"Rule {number} must be an object with path and mode.")
    if not rule.keys() <= Rule.__dataclass_fields__.keys():
        raise ValueError(f"Rule {number} has an unknown key.")
    if rule["mode"] not in MODES:
        raise ValueError(f"Rule {number}: the modes are {', '.join(MODES)}.")
    if rule.get("host") not in (None, "vendor", "collector"):
        raise ValueError(f"Rule {number}: host is vendor or collector.")
    right = (
        isinstance(rule["path"], str)
        and isinstance(rule.get("times"), int | None)
        and isinstance(rule.get("p", 1), int | float)
        and isinstance(rule.get("args", {}), dict)
    )
    if not right:
        raise ValueError(f"Rule {number}: a value has the wrong type.")
    return Rule(**rule)


class Faults:
    """The rules in force; the first that matches a request applies to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def set(self, rules: list[Rule]) -> None:
        """Put these rules in force instead of all others."""
        with self._lock:
            self._rules = rules

    def as_list(self) -> list[dict[str, Any]]:
        """Return the rules in force with the times they have left."""
        with self._lock:
            return [asdict(rule) for rule in self._rules]

    def take(self, request: Request) -> Rule | None:
        """Return the rule for a request and use it up by one; None without."""
        if not self._rules:
            return None
        with self._lock:
            for rule in self._rules:
                if rule.host not in (None, request.host) or rule.times == 0:
                    continue
                if not request.path.startswith(rule.path):
                    continue
                if rule.p < 1 and random.random() >= rule.p:  # noqa: S311 - no secret
                    continue
                if rule.times is not None:
                    rule.times -= 1
                return rule
        return None


def play(rule: Rule, exchange: Exchange, process: Callable[[], Answer]) -> bool:
    """Let a fault happen to a request; return whether its connection goes on."""
    mode, args = rule.mode, rule.args
    if mode == "reset":
        exchange.reset()
        return False
    if mode == "hang":
        exchange.stop.wait(float(args.get("seconds", 60)))
        return not exchange.client_left() and exchange.send(process())
    if mode == PARTIAL:
        return exchange.send(process())
    if mode in SPOIL:
        return _spoil(mode, args, exchange, process())
    if args.get("after"):
        process()
    if mode in RAW:
        exchange.send_raw(raw(mode, args))
        return False
    return exchange.send(FIXED.get(mode) or REPLACE[mode](args))


def _spoil(mode: str, args: Args, exchange: Exchange, answer: Answer) -> bool:
    whole = encode(answer, close=True)
    if mode == "wrong_id":
        return exchange.send(_with_wrong_id(answer))
    if mode == "hang_after":
        exchange.stop.wait(float(args.get("seconds", 60)))
        return exchange.send(answer)
    if mode == "reset_after":
        exchange.reset()
    elif mode == "truncated":
        cut = len(whole) - len(answer.body) // 2
        exchange.send_raw([whole[:cut]], status=answer.status)
    else:  # drip, ten times a second or one byte at a time
        rate = float(args.get("bytes_per_second", 10))
        size = max(1, int(rate / 10))
        pieces = (whole[at : at + size] for at in range(0, len(whole), size))
        exchange.send_raw(pieces, status=answer.status, pause=size / rate)
    return False


def _with_wrong_id(answer: Answer) -> Answer:
    try:
        document = json.loads(answer.body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        return answer
    document["telemetryId"] = "00000000-0000-4000-8000-000000000000"
    document["sha256"] = "0" * 64
    return answer._replace(body=json.dumps(document, separators=(",", ":")).encode())
