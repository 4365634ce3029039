"""``python -m fuzz [--seconds N] [TARGET ...]``: try hostile inputs, N seconds each.

Each target has two halves, in processes of their own side by side: one whose inputs
coverage guides (atheris) and one whose inputs Hypothesis generates.
``--again TARGET`` reads one written input from standard input and tries it again.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile

TARGETS = ("verify", "acknowledgement")
HALVES = ("guided", "generated")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--half", choices=HALVES, help=argparse.SUPPRESS)
    parser.add_argument("--again", choices=TARGETS)
    found = parser.parse_args()
    if unknown := set(found.targets) - set(TARGETS):
        parser.error(f"{', '.join(unknown)}: choose from {', '.join(TARGETS)}")
    return found


def _half(target: str, half: str, seconds: float) -> int:
    from fuzz import running

    if half == "generated":
        return running.generated(target, seconds)
    with tempfile.TemporaryDirectory(prefix="nms-fuzz-") as folder:
        return running.guided(target, seconds, folder)


def _halves() -> list[str]:
    if importlib.util.find_spec("atheris"):
        return list(HALVES)
    print(
        "NOT RUN: the half guided by coverage. atheris has no wheel for Python"
        f" {platform.python_version()} on {platform.system()} {platform.machine()}."
    )
    return ["generated"]


def main() -> int:
    """Run what was asked for; 0 when everything held."""
    asked = _options()
    if asked.again:
        from fuzz import running

        return running.again(asked.again, sys.stdin.buffer.read())
    if asked.half:
        return _half(asked.targets[0], asked.half, asked.seconds)
    halves = _halves()
    failed = "guided" not in halves and os.environ.get("CI") == "true"
    for target in asked.targets or TARGETS:
        command = [
            sys.executable,
            "-m",
            "fuzz",
            target,
            "--seconds",
            str(asked.seconds),
        ]
        started = [
            subprocess.Popen(
                [*command, "--half", half],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for half in halves
        ]
        for one in started:
            said, noise = one.communicate()
            print(said, end="", flush=True)
            if one.returncode != 0:
                failed = True
                print("" if said else noise[-4000:], file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
