"""Periods and cluster days -> one number per UTC day and entitlement feature. Pure.

The rule, and why, stands in docs/decisions/0003-how-usage-is-counted.md. Moments are
whole seconds since 1970, so an hour and a day are always the UTC ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

HOUR = 3600
GB = 10**9
_EPOCH = date(1970, 1, 1).toordinal()

# What is counted here. How the vendor counts the others is not public.
FEATURES = (
    "NGINX_INSTANCES",
    "NGINX_NAP",
    "NGINX_NAP_DOS",
    "IC_PODS",
    "IC_K8S_NODES",
    "DATA_PER_HOUR_GB",
)


class Period(NamedTuple):
    """What one reporter said of ``[since, until)``."""

    reporter: int
    since: int
    until: int
    waf: bool
    requests: int
    bytes: int


class ClusterDay(NamedTuple):
    """The most one cluster reported on one UTC day."""

    day: date
    pods: int
    waf: int
    dos: int
    nodes: int


@dataclass
class Hour:
    """What was in use in one UTC hour: reporters, those with the WAF, and traffic."""

    reporters: set[int] = field(default_factory=set)
    waf: set[int] = field(default_factory=set)
    requests: int = 0
    bytes: int = 0


def hours(periods: Iterable[Period], first: date, last: date) -> dict[int, Hour]:
    """Return what was in use in each hour of ``[first, last]``.

    A reporter counts in every hour that one of its periods touches, once, however
    often it reported, restarted or repeated itself. Its requests and bytes are spread
    evenly over the seconds of their period; what two of its periods say of the same
    second is taken from one of them.

    Args:
        periods: In any order; what lies outside the days is ignored.
        first: The first UTC day.
        last: The last UTC day, included.

    Returns:
        ``{hours since 1970: Hour}``, only hours in which something was in use.

    Source:
        docs/decisions/0003-how-usage-is-counted.md

    Example:
        >>> hour = 493_000
        >>> said = Period(1, hour * HOUR, hour * HOUR + 2 * HOUR, False, 10, 1000)
        >>> found = hours([said, said], day_of(hour), day_of(hour))
        >>> [(len(one.reporters), one.bytes) for one in found.values()]
        [(1, 500), (1, 500)]
    """
    begin, end = start_of(first), start_of(last) + 24 * HOUR
    found: defaultdict[int, Hour] = defaultdict(Hour)
    counted: defaultdict[int, list[Period]] = defaultdict(list)
    for period in periods:
        since, until = max(period.since, begin), min(period.until, end)
        for number in range(since // HOUR, -(-until // HOUR)):
            hour = found[number]
            hour.reporters.add(period.reporter)
            if period.waf:
                hour.waf.add(period.reporter)
        if period.requests or period.bytes:
            counted[period.reporter].append(period)
    for of_one in counted.values():
        for period, since in _once(of_one):
            _spread(period, max(since, begin), min(period.until, end), found)
    return dict(found)


def daily_totals(
    in_use: Mapping[int, Hour], clusters: Iterable[ClusterDay]
) -> dict[tuple[date, str], int]:
    """Return ``{(day, feature): count}``; what was not in use is left out.

    Instances and bytes are those of the day's highest hour, so that an instance that
    runs all day is one and not twenty-four. Pods and nodes are the sum over the
    clusters of each one's highest report of the day; their WAF pods count with the
    instances that have the WAF.

    Args:
        in_use: As ``hours`` returns it.
        clusters: At most one for each cluster and day.

    Source:
        docs/decisions/0003-how-usage-is-counted.md

    Example:
        >>> hour = Hour(reporters={1, 2}, waf={2}, bytes=1_500_000_000)
        >>> day = day_of(493_000)
        >>> found = daily_totals({493_000: hour}, [ClusterDay(day, 9, 3, 0, 2)])
        >>> {feature: count for (_, feature), count in found.items()}
        ... # doctest: +NORMALIZE_WHITESPACE
        {'NGINX_INSTANCES': 2, 'NGINX_NAP': 4, 'DATA_PER_HOUR_GB': 2, 'IC_PODS': 9,
         'IC_K8S_NODES': 2}
    """
    totals: defaultdict[tuple[date, str], int] = defaultdict(int)
    for number, hour in in_use.items():
        day = day_of(number)
        for feature, count in (
            ("NGINX_INSTANCES", len(hour.reporters)),
            ("NGINX_NAP", len(hour.waf)),
            ("DATA_PER_HOUR_GB", -(-hour.bytes // GB)),
        ):
            totals[day, feature] = max(totals[day, feature], count)
    for one in clusters:
        totals[one.day, "NGINX_NAP"] += one.waf
        totals[one.day, "NGINX_NAP_DOS"] += one.dos
        totals[one.day, "IC_PODS"] += one.pods
        totals[one.day, "IC_K8S_NODES"] += one.nodes
    return {key: count for key, count in totals.items() if count}


def day_of(hour: int) -> date:
    """Return the UTC day of an hour, given in hours since 1970."""
    return date.fromordinal(_EPOCH + hour // 24)


def start_of(day: date) -> int:
    """Return when a UTC day begins, in seconds since 1970."""
    return (day.toordinal() - _EPOCH) * 24 * HOUR


def _once(periods: list[Period]) -> Iterator[tuple[Period, int]]:
    """Return one reporter's periods, each with the second from which it counts.

    Of several with the same start the longest counts: it was sent later and holds the
    others. Of two that overlap otherwise, the second counts from the end of the first.
    """
    covered = 0
    for period in sorted(periods, key=lambda p: (p.since, -p.until, -p.bytes, p)):
        since = max(period.since, covered)
        if since < period.until:
            yield period, since
            covered = period.until


def _spread(period: Period, since: int, until: int, found: Mapping[int, Hour]) -> None:
    """Add to each hour its share of a period, the part within ``[since, until)``."""
    length = period.until - period.since
    while since < until:
        to = min((since // HOUR + 1) * HOUR, until)
        hour = found[since // HOUR]
        before, after = since - period.since, to - period.since
        hour.requests += _share(period.requests, before, after, length)
        hour.bytes += _share(period.bytes, before, after, length)
        since = to


def _share(total: int, before: int, after: int, length: int) -> int:
    """Return the part of ``total`` between two seconds; all parts add up to it."""
    return total * after // length - total * before // length
