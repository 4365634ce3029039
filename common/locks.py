"""What decides a choice instead of an administrator: the environment or a policy file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from common import policy
from common.policy import Rule

TELEMETRY = policy.TELEMETRY
INTERACTION_DATA = policy.INTERACTION_DATA
MOST_BYTES = 64 * 1024
_known: dict[str, tuple[tuple[int, ...], dict[str, Rule]]] = {}


@dataclass(frozen=True)
class Lock:
    """What keeps a choice as it is, and where that is written.

    ``sentence`` is for people and names file and line; ``source`` is ``DO_NOT_TRACK``
    or ``the policy file``, for pages that anybody may read. ``problem`` is not empty
    when the file cannot be understood, which counts as off.
    """

    on: bool
    source: str
    sentence: str
    line: int = 0
    problem: str = ""

    @property
    def by_file(self) -> bool:
        """Whether the policy file is what locks."""
        return self.line > 0 or bool(self.problem)

    @property
    def says(self) -> str:
        """What is written there: ``on``, ``off``, or why it cannot be understood."""
        return self.problem or ("on" if self.on else "off")


def find(name: str) -> Lock | None:
    """Return what locks a choice now; None when administrators decide.

    Args:
        name: ``TELEMETRY`` or ``INTERACTION_DATA``.
    """
    if settings.DO_NOT_TRACK:
        return Lock(False, "DO_NOT_TRACK", "DO_NOT_TRACK is set on this server")
    return of_file(name)


def of_file(name: str) -> Lock | None:
    """Return what the policy file says, whatever the environment says."""
    rule = _rules().get(name)
    if rule is None:
        return None
    where = settings.NMS_POLICY_FILE + (f", line {rule.line}" if rule.line else "")
    why = f" ({rule.problem})" if rule.problem else ""
    sentence = f"Locked by {where}{why}"
    return Lock(rule.on, "the policy file", sentence, rule.line, rule.problem)


def origin(lock: Lock | None) -> str:
    """Return file and line of what the policy file says, as far as there are any."""
    line = f", line {lock.line}" if lock and lock.line else ""
    return (settings.NMS_POLICY_FILE or "NMS_POLICY_FILE is not set") + line


def against(name: str, on: bool) -> Lock | None:
    """Return the lock that forbids this answer; None when it may be given."""
    lock = find(name)
    return lock if lock and lock.on != on else None


def holding(name: str, on: bool | None) -> Lock | None:
    """Return the lock when what is in force is what it says, so nothing can be chosen.

    A lock that says on does not switch on by itself what a restored backup switched
    off: until an administrator answers, the choice can be made.
    """
    lock = find(name)
    return lock if lock and lock.on == on else None


def _rules() -> dict[str, Rule]:
    """Return what the file says now; it is parsed again only when it has changed."""
    path = settings.NMS_POLICY_FILE
    if not path:
        return {}
    try:
        seen = Path(path).stat()
        mark = (seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        if path not in _known or _known[path][0] != mark:
            _known[path] = mark, policy.parse(_text(path))
        return _known[path][1]
    except OSError as error:
        return policy.unreadable(f"it cannot be read: {error.strerror}")
    except ValueError as error:
        return policy.unreadable(f"it cannot be read: {error}")


def _text(path: str) -> str:
    with Path(path).open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError("it is larger than 64 KB")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not text (UTF-8)") from None
