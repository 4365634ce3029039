"""What decides whether something is sent: an ordered list, of which one decides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True)
class Reason:
    """One thing that has a say, the widest first.

    ``origin`` tells where the value comes from: a setting, a file and line, a person and
    a moment. ``says`` is ``no`` (nothing is sent, whatever comes later), ``yes`` (it
    allows), or empty when it leaves the matter to the others.
    """

    name: str
    value: str
    origin: str = ""
    says: str = ""
    decides: bool = False


def decided(reasons: Iterable[Reason]) -> list[Reason]:
    """Return the reasons with the one that decides marked.

    The first that says no decides. When none does, the first that says yes decides.

    Example:
        >>> [r.decides for r in decided([Reason("a", "1", says="yes"), Reason("b", "0")])]
        [True, False]
    """
    found = list(reasons)
    words = [reason.says for reason in found]
    for word in ("no", "yes"):
        if word in words:
            at = words.index(word)
            found[at] = replace(found[at], decides=True)
            break
    return found


def lines(reasons: Iterable[Reason]) -> list[str]:
    """Return the reasons as text, the one that decides marked by an arrow."""
    return [
        f"{'->' if one.decides else '  '} {one.name}: {one.value}"
        + (f" ({one.origin})" if one.origin else "")
        for one in reasons
    ]


def as_json(reasons: Iterable[Reason]) -> list[dict[str, object]]:
    """Return the reasons in JSON values."""
    return [asdict(reason) for reason in reasons]
