"""Run the sandbox: ``python -m sandbox serve | keys | license``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.server import CannotStart, Sandbox
from sandbox.tokens import issue_license, make_keys

if TYPE_CHECKING:
    import ssl


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.command == "keys":
        print(make_keys(options.data).resolve())
        return 0
    if options.command == "license":
        print(
            issue_license(
                options.data,
                order_type=options.type,
                days=options.days,
                subscription=options.subscription,
                port=options.port,
                issued_days_ago=options.issued_days_ago,
            )
        )
        return 0
    return serve(options)


def serve(options: argparse.Namespace) -> int:
    """Serve in the foreground until SIGTERM or SIGINT."""
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    try:
        box = Sandbox(
            options.data,
            host=options.host,
            port=options.port,
            collector_port=options.collector_port,
            tls=_tls_context(options.tls_cert, options.tls_key),
        )
    except CannotStart as error:
        print(error, file=sys.stderr)
        return 1
    ready = {
        "vendor": box.vendor.port,
        "collector": box.collector.port,
        "jwks_file": str(box.jwks_file),
    }
    print(json.dumps(ready), flush=True)
    done.wait()
    box.close()
    return 0


def _tls_context(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None and key is None:
        return None
    import ssl

    if cert is None or key is None:
        raise CannotStart("TLS needs both --tls-cert and --tls-key.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except OSError as error:
        raise CannotStart(f"The TLS files cannot be read: {error}.") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sandbox", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="run vendor and collector")
    serving.add_argument("--port", type=int, default=8001)
    serving.add_argument("--collector-port", type=int, default=8002)
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument("--tls-cert", type=Path)
    serving.add_argument("--tls-key", type=Path)
    keys = commands.add_parser("keys", help="make the keys unless they exist")
    issuing = commands.add_parser("license", help="print one license token")
    issuing.add_argument("--type", choices=("paid", "eval"), default="paid")
    issuing.add_argument("--days", type=int, default=365)
    issuing.add_argument("--subscription", type=_subscription)
    issuing.add_argument("--port", type=int, default=8001)
    issuing.add_argument("--issued-days-ago", type=int, default=0)
    for command in (serving, keys, issuing):
        command.add_argument("--data", type=Path, required=True, metavar="DIR")
    return parser


def _subscription(text: str) -> str:
    if not text.startswith("SBX-"):
        raise argparse.ArgumentTypeError("sandbox subscriptions begin with SBX-")
    return text


if __name__ == "__main__":
    sys.exit(main())
