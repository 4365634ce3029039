"""Run the cases: ``python -m bench [--write]``, or some: ``python -m bench pages``.

One process for each case and database.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

CASES = ("capture", "drain", "intake", "pages", "data_planes", "users", "verify")
ON_BOTH = ("capture", "intake", "data_planes")
CHILD = "--child"
PAGE = Path(__file__).parent.parent / "docs" / "benchmark.md"
TEXT = """# Benchmark

`make bench` measures both sides of each ratio in one run on one machine, in turn,
forwards and backwards; the figure is the median of the ratios of the rounds. Absolute
times depend on the machine; compare ratios only.

{table}

Machine: {cores} cores, Python {python}, {system}. PostgreSQL with fsync and
synchronous_commit on; SQLite in WAL mode with synchronous=FULL. Load before and after:
{load}.

- *capture*: 7 rounds of 500 transactions. `record()` includes the question whether
  Continuous Connection is on, which the hand-written INSERT does not ask.
- *License page*: 7 rounds of 150 requests over one keep-alive connection to gunicorn
  with one gthread worker, no license applied and interaction data off; the peers run
  in the same server. The admin form shows six fields of a user.
- *usage intake*: 7 rounds of 300 messages over one keep-alive connection to the same
  server, a fleet of 50 instances, from an allowed address. The bare view parses the
  same JSON and writes one row; it passes the same middlewares, checks nothing and
  keeps no list of instances.
- *Data planes page*: as the License page, 50 rows of 1 000 and of 100 000.
- *licenses and acknowledgements*: 7 rounds of 500 times an honest one and of 1 000
  different ones of the makers of `python -m fuzz`, 1 KiB or more each; the processor's
  time, percentiles over the inputs of a round, the ratio that of the medians.
  `jwt.decode` has its key ready and is less strict; `zipfile and json` reads without
  bounds and checks no signature.
- *first load*: everything the page names, as sent (gzip); the fonts apart.
"""


def child(case: str) -> None:
    """Prepare a database and print the rows of one case."""
    import django

    django.setup()
    from importlib import import_module

    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False, run_syncdb=True)
    if case in ("pages", "data_planes", "users"):
        call_command("collectstatic", verbosity=0, interactive=False)
    for row in import_module(f"bench.{case}").run():
        print(row, flush=True)


def measure(case: str, database: str = "") -> list[str]:
    """Run one case in a process and a data folder of its own; return its lines.

    Args:
        database: The URL of a PostgreSQL server, of which the case gets a database of
            its own; SQLite without it.
    """
    with tempfile.TemporaryDirectory(prefix="nms-bench-") as folder:
        environment = {
            **{k: v for k, v in os.environ.items() if k != "DO_NOT_TRACK"},
            "DJANGO_SETTINGS_MODULE": "bench.settings",
            "NMS_DATA_DIR": folder,
            "NMS_LOG_LEVEL": "WARNING",
        }
        if database:
            environment["NMS_DATABASE_URL"] = _fresh(database, case)
            environment["NMS_BROKER_URL"] = os.environ["NMS_TEST_REDIS_URL"]
        done = subprocess.run(
            [sys.executable, "-m", "bench", CHILD, case],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    print(done.stdout, end="", flush=True)
    return done.stdout.splitlines()


def _fresh(server: str, case: str) -> str:
    """Return the URL of an empty database of that name on the server."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as control:
        control.execute(f"DROP DATABASE IF EXISTS bench_{case} WITH (FORCE)")
        control.execute(f"CREATE DATABASE bench_{case}")
    return f"{server.rsplit('/', 1)[0]}/bench_{case}"


def main() -> None:
    """Measure all cases, or those that are named; ``--write`` writes the page of all."""
    words = sys.argv[1:]
    if words[:1] == [CHILD]:
        child(words[1])
        return
    named = [word for word in words if word != "--write"]
    if unknown := set(named) - set(CASES):
        sys.exit(f"No such case: {', '.join(unknown)}. There are: {', '.join(CASES)}")
    if named and "--write" in words:
        sys.exit("--write takes all cases at once.")
    from bench.report import HEAD

    before = os.getloadavg()[0]
    postgresql = os.environ["NMS_TEST_DATABASE_URL"]
    print(HEAD)
    lines: list[str] = []
    for case in named or CASES:
        lines += measure(case, postgresql)
        if case in ON_BOTH:
            lines += measure(case)
    if "--write" in words:
        PAGE.write_text(
            TEXT.format(
                table="\n".join([HEAD, *lines]),
                cores=os.cpu_count(),
                python=platform.python_version(),
                system=platform.system(),
                load=f"{before:.1f}, {os.getloadavg()[0]:.1f}",
            )
        )


if __name__ == "__main__":
    main()
