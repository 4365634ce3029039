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

CASES = (
    "capture",
    "drain",
    "loss",
    "intake",
    "pages",
    "data_planes",
    "users",
    "verify",
)
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

- *capture*: 7 rounds of 500 transactions. `record()` asks in the same statement whether
  Continuous Connection is on; the hand-written INSERT never does. The libraries run in
  a project of their own with exact pins (`bench/peers/requirements`), against its own
  bare transaction. Broker down: nothing listens at its address. The clients of posthog
  and segment keep events in memory, outside any transaction.
- *drain*: 6 rounds of 50,000 logins to one receiver on this host, from the first batch
  that arrives to the last event; fsync on, batches of 500 on both sides. A worker is
  the process `integrations` as it is shipped; two workers stand against one process of
  the lease. That one claims by UPDATE, sends and deletes in two statements of SQL. Ours
  also asks for choice, license, mode and gate before each batch, keeps the bytes,
  writes the attempt and the audit chain before the first byte, and the receipt and
  daily counts after it: some 25 statements, by the ORM, which are what is left between
  the two. The libraries send one POST per event, so their rows show what batches
  bring; 3 rounds of 2,000 events, worker with two children.
- *drain of 1,000,000 events*: once, between three and three drains of 10,000.
- *loss*: everybody at the same time, each with a receiver of its own that honours
  `Idempotency-Key`. *Missing* did not arrive before 20 s passed without any event (50 s
  for this product, whose lease is 40 s); *twice* is what the receiver did twice after
  the key check, *sent again* what came twice over the wire. The outage is 60 s of
  captures (1,000 a second, 33 for libraries with one POST per event), then an end in
  good order; Celery tasks are tried again only where their author says so, and here
  nobody does. With lost answers somebody selects *Try now* every second.
- *16 users*: 15 loads each of one page from the console as `serve` starts it, with a
  session each, a license, 40 batches and 1,000 data planes.
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
