"""One half of a run: inputs until the time is over, each judged, timed and measured."""

from __future__ import annotations

import importlib
import os
import random
import resource
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from fuzz.choosing import Choices, Drawn, Spelled

SLOWEST = 1.0  # seconds of one input, security.md T4; instrumented code included
MOST_GROWTH = 50 * 2**20  # bytes more at the peak, by one input
MOST_LEAKED = 150 * 2**20  # bytes more at the peak, by all inputs together
BIN = 20e-6  # seconds; percentiles are as exact as this
MODULES = {"verify": "fuzz.licenses", "acknowledgement": "fuzz.archives"}
INSTRUMENTED = {
    "verify": ["licensing", "json", "jwt", "base64"],
    "acknowledgement": ["usage", "licensing", "zipfile", "json", "jwt", "base64"],
}


class Found(Exception):
    """An input that breaks what must hold."""


class Run:
    """Inputs tried so far and what they cost."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.makers: Any = importlib.import_module(MODULES[target])
        self.outcomes: Counter[str] = Counter()
        self._times: Counter[int] = Counter()
        self._slowest = 0.0
        self._leaked = 0
        self._loaded = self._watched = False
        self._opened: list[str] = []
        sys.addaudithook(self._watch)

    def warm_up(self) -> None:
        """Try the honest input and the seeds; what is loaded once is loaded now."""
        self.attempt(self.makers.honest())
        for content in self.makers.seeds():
            self.try_one(Spelled(content))
        self._leaked = 0
        self._loaded = True

    def _watch(self, event: str, args: tuple[object, ...]) -> None:
        """Note whatever touches a file, a process or the network during a call."""
        if self._watched and event.startswith(
            ("open", "os.", "socket.", "subprocess.", "shutil.", "tempfile.")
        ):
            self._opened.append(f"{event} {args!r}"[:200])

    def try_one(self, choices: Choices) -> None:
        """Build one input from decisions and try it."""
        self.attempt(self.makers.build(choices))

    def attempt(self, attempt: Any) -> None:
        """Try one input.

        Raises:
            Found: It raised another error than the one class, took what must be
                refused, touched a file or the network, took too long or too much memory.
        """
        prepared = self.makers.prepare(attempt)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._opened.clear()
        self._watched = self._loaded
        began = time.thread_time()
        try:
            found = self.makers.call(prepared)
            taken = time.thread_time() - began
            self._watched = False
            self._measure(taken, peak)
            self.outcomes[self.makers.judge(attempt, found)] += 1
        except Exception as error:
            raise Found(self._story(attempt)) from error
        finally:
            self._watched = False

    def _measure(self, taken: float, peak: int) -> None:
        unit = 1 if sys.platform == "darwin" else 1024
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) * unit
        self._times[int(taken / BIN)] += 1
        self._slowest = max(self._slowest, taken)
        self._leaked += grown
        assert taken <= SLOWEST, f"it took {taken:.2f} s"
        assert grown <= MOST_GROWTH, f"it took {grown / 2**20:.0f} MB"
        assert self._leaked <= MOST_LEAKED, "memory grows from input to input"
        assert not self._opened, f"it touched {self._opened}"

    def _story(self, attempt: Any) -> str:
        written = attempt.written().decode()
        return (
            f"{self.target}: an input breaks what must hold. Try it again with\n"
            f"  echo '{written}' | python -m fuzz --again {self.target}"
        )

    def percentile(self, share: float) -> float:
        """Return the time that so many of the inputs did not exceed, in seconds."""
        left = share * self._times.total()
        for at, count in sorted(self._times.items()):
            left -= count
            if left <= 0:
                return (at + 1) * BIN
        return 0.0

    def report(self, half: str) -> str:
        """Return the figures of this run in one line."""
        p50, p99 = (1000 * self.percentile(share) for share in (0.5, 0.99))
        outcomes = ", ".join(f"{name} {n}" for name, n in self.outcomes.most_common())
        return (
            f"{self.target}, {half}: {self._times.total()} inputs,"
            f" p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {1000 * self._slowest:.1f} ms,"
            f" peak memory +{self._leaked / 2**20:.1f} MB ({outcomes})"
        )

    def is_hollow(self) -> bool:
        """Return whether it never came behind the checks: then it showed nothing."""
        return self.outcomes["taken"] < 2 or self.outcomes["signature"] < 1


def _finish(run: Run, half: str) -> int:
    print(run.report(half), flush=True)
    if run.is_hollow():
        print(f"{run.target}, {half}: it never came behind the signature.", flush=True)
        return 1
    return 0


def _failed(error: Found) -> int:
    traceback.print_exception(error.__cause__, file=sys.stdout)
    print(error, flush=True)
    return 1


def again(target: str, content: bytes) -> int:
    """Try one written input again; return the exit code."""
    run = Run(target)
    try:
        run.warm_up()
        run.attempt(run.makers.again(content.rstrip(b"\r\n")))
    except Found as error:
        return _failed(error)
    print(run.report("again"))
    return 0


def generated(target: str, length: float) -> int:
    """Try what Hypothesis makes until the seconds are over; return the exit code."""
    run, ends = Run(target), time.monotonic() + length
    options = settings(
        max_examples=200,
        deadline=None,
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )

    @st.composite
    def attempts(draw: st.DrawFn) -> Any:
        return run.makers.build(Drawn(draw))

    def holds(attempt: Any) -> None:
        if time.monotonic() < ends:
            run.attempt(attempt)

    try:
        run.warm_up()
        while time.monotonic() < ends:
            number = random.SystemRandom().getrandbits(32)
            seed(number)(options(given(attempts())(holds)))()
    except Found as error:
        return _failed(error)
    return _finish(run, "generated")


def guided(target: str, length: float, folder: str) -> int:
    """Let coverage guide the inputs until the seconds are over, and exit."""
    import atheris

    for name in list(sys.modules):
        if name.partition(".")[0] in ("json", "jwt", "zipfile", "base64"):
            del sys.modules[name]
    with atheris.instrument_imports(
        include=INSTRUMENTED[target], enable_loader_override=False
    ):
        run = Run(target)
    source = random.Random(length)
    decisions = [source.randbytes(120) for _ in range(100)]
    for at, content in enumerate([b"", *run.makers.seeds(), *decisions]):
        (Path(folder) / str(at)).write_bytes(content)
    ends = time.monotonic() + length
    try:
        run.warm_up()
    except Found as error:
        return _failed(error)

    def one(content: bytes) -> None:
        try:
            run.try_one(Spelled(content))
        except Found as error:
            os._exit(_failed(error))
        if time.monotonic() >= ends:
            os._exit(_finish(run, "guided by coverage"))

    options = ["-max_len=20000", "-timeout=20", "-rss_limit_mb=2048", "-verbosity=0"]
    atheris.Setup(["fuzz", *options, f"-artifact_prefix={folder}/", folder], one)
    atheris.Fuzz()
    return 1
