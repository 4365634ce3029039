"""Start `make run` once on an empty data folder, sign in, stop it with Ctrl-C.

Prints how long serving, the second start and stopping took, what the processes
weigh and what they cost when idle; fails when one is over its limit.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests

PASSWORD = "correct-horse-battery-staple"  # noqa: S105
START_LIMIT, STOP_LIMIT, CPU_LIMIT = 10.0, 10.0, 0.01
PSS_LIMIT_MB = 420  # 350 for core, integrations and scheduler; dpm is one more
IDLE_SECONDS = 20


def free_ports(count: int) -> list[int]:
    """Return ports nothing listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for item in sockets:
        item.bind(("127.0.0.1", 0))
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def start(environment: dict[str, str]) -> tuple[subprocess.Popen[str], float]:
    """Run `make run` until the console answers; return it and the seconds taken."""
    began = time.monotonic()
    process = subprocess.Popen(
        ["make", "run"], env=environment, text=True, start_new_session=True
    )
    url = f"http://127.0.0.1:{environment['NMS_PORT']}/api/liveness/core"
    while time.monotonic() - began < 120:
        try:
            if requests.get(url, timeout=1).status_code == 200:
                return process, time.monotonic() - began
        except requests.RequestException:
            time.sleep(0.1)
        if process.poll() is not None:
            sys.exit(f"make run ended with code {process.returncode}")
    sys.exit("make run did not serve within 120 s")


def stop(process: subprocess.Popen[str]) -> float:
    """Press Ctrl-C; return how long it took until everything was gone."""
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    process.wait(30)
    return time.monotonic() - began


def sign_in(port: int) -> None:
    """Sign in through the form, as a person does, and open the first page."""
    browser = requests.Session()
    base = f"http://127.0.0.1:{port}"
    page = browser.get(f"{base}/login", timeout=10)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    if token is None:
        sys.exit(f"/login has no form: {page.status_code}")
    form = {
        "username": "ada",
        "password": PASSWORD,
        "csrfmiddlewaretoken": token.group(1),
    }
    answer = browser.post(
        f"{base}/login", data=form, headers={"Referer": f"{base}/login"}, timeout=10
    )
    if not answer.url.endswith("/ui/") or answer.status_code != 200:
        sys.exit(f"signing in ended at {answer.url} with {answer.status_code}")


def family(pid: int) -> list[int]:
    """Return the process and all that came from it."""
    found = [pid]
    for number in found:
        for thread in Path(f"/proc/{number}/task").glob("*/children"):
            found += [int(child) for child in thread.read_text().split()]
    return found


def weight_mb(pids: list[int]) -> float:
    """Return their proportional share of memory (PSS) in MB."""
    total = 0
    for pid in pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))  # type: ignore[union-attr]
    return total / 1024


def cpu_seconds(pids: list[int]) -> float:
    """Return the processor time they used so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Run the story and compare it with its limits."""
    with tempfile.TemporaryDirectory(prefix="nms-smoke-") as folder:
        core, vendor, collector, agents = free_ports(4)
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("NMS_")},
            "NMS_DATA_DIR": folder,
            "NMS_PORT": str(core),
            "NMS_SANDBOX_PORT": str(vendor),
            "NMS_SANDBOX_COLLECTOR_PORT": str(collector),
            "NMS_DPM_BIND": f"127.0.0.1:{agents}",
        }
        environment.pop("DO_NOT_TRACK", None)
        process, first = start(environment)
        try:
            password = Path(folder, "password")
            password.write_text(PASSWORD)
            provision = [sys.executable, "manage.py", "provision", "--username", "ada"]
            subprocess.run(
                [*provision, "--password-file", password], env=environment, check=True
            )
            sign_in(core)
            refused = subprocess.run(
                [sys.executable, "manage.py", "serve"],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if refused.returncode == 0 or "already runs" not in refused.stderr:
                sys.exit(f"a second console was not refused: {refused.stderr}")
            time.sleep(5)
            pids = family(process.pid)
            before, began = cpu_seconds(pids), time.monotonic()
            time.sleep(IDLE_SECONDS)
            cpu = (cpu_seconds(pids) - before) / (time.monotonic() - began)
            memory = weight_mb(pids)
        finally:
            stopping = stop(process)
        process, again = start(environment)
        stop(process)
    print(
        f"first start {first:.1f} s, again {again:.1f} s, stop {stopping:.1f} s,"
        f" idle {cpu:.2%} CPU, {memory:.0f} MB PSS in {len(pids)} processes"
    )
    over = [
        name
        for name, value, limit in (
            ("second start (s)", again, START_LIMIT),
            ("stop (s)", stopping, STOP_LIMIT),
            ("memory (MB)", memory, PSS_LIMIT_MB),
        )
        if value > limit
    ]
    if over:
        sys.exit(f"over its limit: {', '.join(over)}")


if __name__ == "__main__":
    main()
