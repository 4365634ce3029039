"""JSON from strangers, taken only when every reader would read the same. Pure."""

from __future__ import annotations

import json
from typing import Any, NoReturn


def json_object(content: bytes, encoding: str = "utf-8") -> dict[str, Any] | None:
    """Return the object that ``content`` is; None when it is none or can be misread.

    Not taken are repeated members, NaN and infinities (also as 1e400), lone surrogates,
    numbers of more than 4300 digits, deep nesting, and any other encoding or a mark of it.
    """
    try:
        value = json.loads(
            content.decode(encoding), object_pairs_hook=_unique, parse_constant=_refuse
        )
        # no lone surrogates, and no 1e400, which is read as infinity
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
