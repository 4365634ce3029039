"""The fuzzer itself: that it finds what is wrong, and says how to see it again."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz import archives, licenses
from fuzz.choosing import Spelled

ROOT = Path(__file__).parent.parent
MAKERS = pytest.mark.parametrize("makers", [licenses, archives])


def fuzz(*arguments: str, said: bytes = b"", planted: str = "", **more: str):
    """Run the command; ``planted`` is Python that breaks something before."""
    start = f"import sys; sys.argv = {['fuzz', *arguments]!r}\n{planted}\n"
    run = "import runpy; runpy.run_module('fuzz', run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", start + run],
        cwd=ROOT,
        input=said,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", **more},
    )


@MAKERS
def test_without_decisions_an_honest_input_is_made_and_taken(makers):
    made = makers.honest()
    assert makers.judge(made, makers.call(makers.prepare(made))) == "taken"


@MAKERS
def test_a_written_input_is_the_same_again(makers):
    for seed in [b"", *makers.seeds()]:
        made = makers.build(Spelled(seed))
        assert makers.again(made.written()) == made


def test_an_input_of_nothing_can_be_tried_again():
    written = licenses.Attempt(b"", b"").written()
    assert fuzz("--again", "verify", said=written + b"\n").returncode == 0


@MAKERS
def test_the_same_decisions_make_the_same_input(makers):
    content = bytes(range(200))
    assert makers.build(Spelled(content)) == makers.build(Spelled(content))


@pytest.mark.parametrize("target", ["verify", "acknowledgement"])
def test_a_short_run_holds_and_says_what_it_did(target):
    done = fuzz("--seconds", "2", "--half", "generated", target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(
        rf"{target}, generated: \d+ inputs, p50 .* p99 .* peak memory .*taken".encode(),
        done.stdout,
    )


PLANTED = {
    "a crash": ("licensing.tokens._claims = lambda *_: {}['x']", "KeyError"),
    "another key": ("jwt.PyJWS.decode = lambda *_, **__: {}", "it does not hold"),
    "a file": (
        "licensing.tokens._printable = lambda text: open(__file__).name",
        "open",
    ),
    "a loop": (
        "licensing.tokens._check_header = lambda *_: [None for _ in range(80_000_000)]",
        "it took",
    ),
}


@pytest.mark.parametrize(("planted", "said"), PLANTED.values(), ids=PLANTED)
def test_what_is_wrong_is_found_and_can_be_tried_again(planted, said):
    planted = f"import jwt, licensing.tokens; __file__ = 'Makefile'\n{planted}"
    arguments = ("--half", "generated", "verify", "--seconds", "20")
    found = fuzz(*arguments, planted=planted)
    assert found.returncode == 1, found.stdout + found.stderr
    assert said.encode() in found.stdout
    command = re.search(
        rb"echo '([^']+)' \| python -m fuzz --again verify", found.stdout
    )
    again = fuzz("--again", "verify", said=command[1], planted=planted)
    assert (again.returncode, said.encode() in again.stdout) == (1, True)
    assert fuzz("--again", "verify", said=command[1]).returncode == 0


def test_without_atheris_it_says_what_did_not_run_and_fails_in_ci():
    planted = "import importlib.util as i; f = i.find_spec\n"
    planted += "i.find_spec = lambda n, *a: None if n == 'atheris' else f(n, *a)"
    arguments = ("verify", "--seconds", "1")
    alone = fuzz(*arguments, planted=planted)
    assert (alone.returncode, b"NOT RUN" in alone.stdout) == (0, True)
    assert fuzz(*arguments, planted=planted, CI="true").returncode == 1
