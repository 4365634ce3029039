"""A receiver that has a bad day: every answer that is none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

from faults.listeners import Tap
from faults.rows import Row
from faults.scene import PATH, Scene
from telemetry import services as telemetry
from telemetry.models import Batch

PLAIN: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("accepts and closes", "refuse_after_accept", {}),
    ("reset before processing", "reset", {}),
    ("reset after processing", "reset_after", {}),
    ("answer cut off after processing", "truncated", {}),
    ("receipt of another batch", "wrong_id", {}),
    ("garbage instead of HTTP", "garbage", {}),
    ("captive portal", "html", {}),
    ("200 with []", "array", {}),
    ("200 with nothing", "empty", {"args": {"after": True}}),
    ("64 MB answer", "huge", {}),
    ("gzip bomb, 100 MB", "gzip_bomb", {}),
    ("20,000 headers", "headers", {}),
    ("unreadable chunk", "bad_chunk", {}),
    ("100 Continue, 200,000 times", "continue_flood", {"args": {"n": 200_000}}),
    ("408", "status", {"args": {"status": 408}}),
    ("502 after processing", "status", {"args": {"status": 502, "after": True}}),
    ("half of the answers reset after processing", "reset_after", {"p": 0.5}),
)
SHORT = {"reset_after", "truncated", "wrong_id", "huge", "gzip_bomb", "empty"}
FORMS = (
    ("5", 5),
    (" 60 ", 60),
    ("3600", 3600),
    ("86400", 86_400),
    ("315360000", 86_400),
    ("99999999999999999999", 86_400),
    ("{date}", 120),
    ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
    ("Sunday, 06-Nov-94 08:49:37 GMT", 0),
    ("-5", 0),
    ("0", 0),
    ("1.5", 0),
    ("soon", 0),
    ("", 0),
)


def run(scene: Scene) -> Iterator[Row]:
    """Meet each fault with events waiting, then let everything go out."""
    scene.start_core()
    yield _without(scene, "nothing listens (refused)", _closed_port())
    yield _without(scene, "its name is not known (DNS)", "no-such-host.invalid:443")
    for case, mode, rule in PLAIN:
        if not scene.short or mode in SHORT:
            yield _meet(scene, case, mode, rule)
    yield _storm(scene, 500, 3 if scene.short else 24)
    yield _retry_after(scene)
    yield _redirects(scene)
    yield _refused(scene, 401)
    yield _refused(scene, 403)
    yield _set_aside(scene, 400)
    yield _set_aside(scene, 422)
    yield _too_large(scene)


def _meet(scene: Scene, case: str, mode: str, rule: dict[str, Any]) -> Row:
    scene.capture()
    scene.fails(mode, **rule)
    for _ in range(2):
        scene.deliver()
        scene.forward(hours=2)
    scene.fails("")
    scene.drain()
    return scene.row(case)


def _without(scene: Scene, case: str, host: str) -> Row:
    scene.capture()
    url = f"https://{host}{PATH}"
    for _ in range(2):
        scene.deliver(NMS_TELEMETRY_URL=url)
        scene.forward(hours=2)
    scene.drain()
    return scene.row(case)


def _closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"localhost:{probe.getsockname()[1]}"


def _arrived(scene: Scene) -> int:
    return len(scene.arrivals())


def _storm(scene: Scene, status: int, hours: int) -> Row:
    """A long failure, asked about every few minutes: few tries, then all at once."""
    scene.capture(40)
    scene.fails("status", args={"status": status})
    before = _arrived(scene)
    for _ in range(hours * 12):
        scene.deliver()
        scene.capture(1)
        scene.forward(minutes=5)
    tries = _arrived(scene) - before
    scene.fails("")
    scene.forward(hours=2)  # longer than any gate stays closed
    scene.drain()
    row = scene.row(f"{status} for {hours} h", f"{tries} tries")
    if tries > 40 * max(hours, 12) / 24:
        row.wrong.append(f"{tries} tries in {hours} h")
    return row


def _retry_after(scene: Scene) -> Row:
    """Each form of Retry-After: nothing comes before it is over."""
    early = 0
    for text, seconds in FORMS:
        date = format_datetime(scene.clock() + timedelta(seconds=seconds), usegmt=True)
        scene.capture(1)
        asked = {"status": 429, "retry_after": text.format(date=date)}
        scene.fails("status", args=asked, times=1)
        scene.deliver()
        before = _arrived(scene)
        if seconds > 4:
            scene.forward(seconds=seconds - 3)
            scene.deliver()
            early += _arrived(scene) - before
            scene.forward(seconds=4)
        else:
            scene.forward(seconds=10)
        scene.deliver()
        if _arrived(scene) == before and seconds > 40:
            early -= 1000  # it was not asked again when it might have been
        scene.drain()
        scene.forward(hours=1)
    row = scene.row("429 with Retry-After", f"{len(FORMS)} forms")
    if early:
        row.wrong.append(f"Retry-After was not kept: {early}")
    return row


def _redirects(scene: Scene) -> Row:
    """Sent elsewhere: nobody is there to be told anything."""
    with Tap() as elsewhere:
        for status in (301, 302, 303, 307, 308):
            scene.capture(1)
            where = f"http://localhost:{elsewhere.port}/"
            scene.fails("redirect", args={"status": status, "location": where})
            scene.deliver()
            scene.forward(hours=2)
        scene.fails("")
        scene.drain()
        row = scene.row("redirect 301, 302, 303, 307, 308")
        row.secrets = len(elsewhere.got)
    return row


def _refused(scene: Scene, status: int) -> Row:
    """The license is refused: nothing goes until somebody says so."""
    scene.capture()
    scene.fails("status", args={"status": status})
    scene.deliver()
    before = _arrived(scene)
    for _ in range(4):
        scene.forward(hours=6)
        scene.deliver()
    more = _arrived(scene) - before
    scene.fails("")
    telemetry.try_now(scene.clock())
    scene.drain()
    row = scene.row(f"{status}, then Try now")
    if more:
        row.wrong.append(f"{more} more tries with a refused license")
    return row


def _set_aside(scene: Scene, status: int) -> Row:
    """One batch is refused: it alone waits for a person, the rest goes on."""
    scene.capture(2)
    scene.fails("status", args={"status": status}, times=1)
    scene.deliver()
    scene.capture(2)
    scene.drain()
    dead = Batch.objects.exclude(dead_at=None).filter(discarded_at=None)
    found = list(dead.values_list("pk", flat=True))
    for number in found:
        telemetry.retry_batch(number, by="ada", address="", now=scene.clock())
    scene.drain()
    row = scene.row(f"{status} for one batch, then Retry")
    if len(found) != 1:
        row.wrong.append(f"{len(found)} batches were set aside")
    return row


def _too_large(scene: Scene) -> Row:
    """413 until it is small enough."""
    scene.capture(8)
    scene.fails("status", args={"status": 413}, times=3)
    scene.deliver()
    scene.drain()
    return scene.row("413, split in halves")
