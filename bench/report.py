"""Rounds, medians and the table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure, its reference, and their ratio."""

    case: str
    subject: str
    reference: str
    ratio: float | None
    spread: str
    goal: str

    def __str__(self) -> str:
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}×"
        return (
            f"| {self.case} | {self.subject} | {self.reference} |"
            f" {ratio} | {self.spread} | {self.goal} |"
        )


HEAD = (
    "| case | measured | reference | ratio (median) | min to max | goal |\n"
    "|---|---|---|---|---|---|"
)


def looped(work: Callable[[], object]) -> Callable[[int], float]:
    """Return what runs ``work`` so many times and returns the seconds it took."""

    def run(times: int) -> float:
        began = time.perf_counter()
        for _ in range(times):
            work()
        return time.perf_counter() - began

    return run


def interleaved(
    variants: dict[str, Callable[[int], float]], *, rounds: int, times: int
) -> dict[str, list[float]]:
    """Run every variant in turn, forwards and backwards; microseconds a run, a round."""
    names = list(variants)
    for name in names:
        variants[name](max(5, times // 10))
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            taken[name].append(variants[name](times) / times * 1e6)
    return taken


def ratios(subject: list[float], reference: list[float]) -> tuple[float, str]:
    """Return the median of the per-round ratios and their spread in words."""
    each = sorted(a / b for a, b in zip(subject, reference, strict=True))
    return statistics.median(each), f"{each[0]:.2f} to {each[-1]:.2f}"


def median(values: list[float]) -> float:
    """Return the median."""
    return statistics.median(values)
