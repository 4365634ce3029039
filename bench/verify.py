"""The two readers of strangers' bytes against bare PyJWT and bare zipfile."""

from __future__ import annotations

import io
import json
import random
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import jwt

from bench.report import Row, median, ratios
from fuzz import archives, keys, licenses
from fuzz.choosing import Spelled

ROUNDS, TIMES, HOSTILE = 7, 500, 1000
LONG = 1024  # bytes; shorter hostile inputs are over at once and would hide the others
GOAL = "p99 ≤ 5 ms"


def _hostile(makers: Any, most: int) -> list[Any]:
    """Return long inputs of the fuzzer's makers, the same in every run."""
    source, found = random.Random(4), []
    while len(found) < HOSTILE:
        made = makers.build(Spelled(source.randbytes(200)))
        if LONG <= len(made.content) <= most:
            found.append(makers.prepare(made))
    return found


def _timed(work: Callable[[Any], object], inputs: list[Any]) -> list[float]:
    """Return the processor's time for each input, in milliseconds."""
    taken = []
    for one in inputs:
        began = time.thread_time()
        work(one)
        taken.append((time.thread_time() - began) * 1000)
    return taken


def _at(taken: list[float], share: float) -> float:
    return sorted(taken)[int(len(taken) * share)]


def _row(
    case: str,
    ours: tuple[str, Callable[[Any], object]],
    bare: tuple[str, Callable[[Any], object]],
    inputs: list[Any],
) -> Row:
    """Measure both in turn, forwards and backwards; the ratio is that of the p50."""
    variants = dict([ours, bare])
    for work in variants.values():
        _timed(work, inputs[:50])
    taken: dict[str, list[list[float]]] = {name: [] for name in variants}
    for number in range(ROUNDS):
        for name in variants if number % 2 == 0 else reversed(variants):
            taken[name].append(_timed(variants[name], inputs))
    texts = []
    for name, rounds in taken.items():
        p50, p99 = (
            median([_at(one, share) for one in rounds]) for share in (0.5, 0.99)
        )
        texts.append(f"{name} p50 {p50:.3f} ms, p99 {p99:.2f} ms")
    middles = [[_at(one, 0.5) for one in rounds] for rounds in taken.values()]
    ratio, spread = ratios(*middles)
    return Row(case, texts[0], texts[1], ratio, spread, GOAL)


def _decode(prepared: tuple[str, dict[str, Any]]) -> None:
    """Do what the few lines around PyJWT do that people write."""
    with suppress(Exception):  # among others TypeError for a key of another kind
        jwt.decode(
            prepared[0],
            KEY,
            algorithms=licenses.ALGORITHMS,
            audience="urn:f5:teem",
            issuer="F5 Inc.",
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )


def _unzip(body: bytes) -> None:
    """Read the content and the signature, without any bound."""
    with (
        suppress(Exception),
        zipfile.ZipFile(io.BytesIO(body)) as opened,
    ):
        json.loads(opened.read(archives.CONTENT))
        opened.read(archives.SIGNATURE)


KEY = keys.ec_key("vendor").public_key()


def run() -> list[Row]:
    """Return the rows: a license, hostile ones, an acknowledgement, hostile ones."""
    verify, decode = ("verify()", licenses.call), ("jwt.decode", _decode)
    read, unzip = ("read()", archives.call), ("zipfile and json", _unzip)
    license_file = [licenses.prepare(licenses.honest())] * TIMES
    archive = [archives.prepare(archives.honest())] * TIMES
    return [
        _row("a license", verify, decode, license_file),
        _row(
            "hostile licenses of 1 to 16 KiB",
            verify,
            decode,
            _hostile(licenses, licenses.tokens.LONGEST),
        ),
        _row("an acknowledgement", read, unzip, archive),
        _row(
            "hostile acknowledgements up to 2 MiB",
            read,
            unzip,
            _hostile(archives, archives.acknowledgement.LARGEST),
        ),
    ]
