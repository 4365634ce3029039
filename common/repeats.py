"""Log what goes on failing: at once, then when it happened twice as often.

So that a day without a host, a broker or a database is a few lines, not thousands.
"""

from __future__ import annotations

from collections import Counter

_MOST = 1000  # causes that are counted; they are few, unless one names its moment
_counted: Counter[str] = Counter()


def worth_a_line(number: int) -> bool:
    """Return whether the failure of this number in a row is one to log: 1, 2, 4, 8, ...

    Args:
        number: At least 1.
    """
    return number & (number - 1) == 0


def again(cause: str) -> int:
    """Count a failure of this process; return its number when it is one to log, else 0.

    Args:
        cause: What fails and why, in few words that do not change; no secret.
    """
    if len(_counted) >= _MOST:
        _counted.clear()
    _counted[cause] += 1
    number = _counted[cause]
    return number if worth_a_line(number) else 0


def over(cause: str) -> int:
    """Forget a cause that is over; return how often it failed, 0 when it did not."""
    return _counted.pop(cause, 0)
