#!/usr/bin/env python3
"""Carry a usage report to F5 from a machine that can reach it, and fetch the answer.

For the connected machine beside a disconnected server. One file, standard library only,
Python 3.9 or newer:

    python3 courier.py --report usage-report-ID.zip --license license.jwt

Exit codes: 0 the acknowledgement is written, 2 wrong use, 3 refused, 4 the network,
5 not ready yet. After 4 and 5 run it again: it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import email.utils
import hashlib
import http.client
import io
import json
import random
import re
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

OK, USAGE, REFUSED, NETWORK, NOT_READY = 0, 2, 3, 4, 5
URL = "https://product.apis.f5.com/ee/v1"
BULK = "/entitlements/telemetry/bulk"
LARGEST = 2 * 1024 * 1024  # of an answer
TIMEOUT = 80.0
TRIES = 6
LAST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class Stop(Exception):
    """The run ends with a sentence and an exit code."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class Stay(urllib.request.HTTPRedirectHandler):
    """No redirect is followed: the license would go along."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Answer no request to any redirect."""


class Vendor:
    """The calls to F5: each is tried again after what may pass by itself.

    Args:
        url: The base, as ``https://product.apis.f5.com/ee/v1``.
        token: The license; a secret.
        proxy: Of the form ``http://host:port``, with ``user:password@`` when it wants
            one; empty asks the environment.
        ca: A file with more authorities to trust; empty for none.
        pause: Seconds of the first wait; each one after is twice as long.
    """

    def __init__(self, url: str, token: str, proxy: str, ca: str, pause: float) -> None:
        trust = ssl.create_default_context()
        if ca:
            try:
                trust.load_verify_locations(cafile=ca)
            except (OSError, ValueError):
                raise Stop(USAGE, f"{ca} holds no certificates.") from None
        chosen = {"http": proxy, "https": proxy} if proxy else None
        self.open = urllib.request.build_opener(
            Stay,
            urllib.request.ProxyHandler(chosen),
            urllib.request.HTTPSHandler(context=trust),
        ).open
        where = urllib.parse.urlsplit(url)
        near = where.scheme == "http" and where.hostname in ("localhost", "127.0.0.1")
        if not near and (where.scheme != "https" or not where.hostname):
            raise Stop(USAGE, f"{url} must begin with https://.")
        self.url, self.token, self.pause = url.rstrip("/") + BULK, token, pause

    def call(
        self, path: str, body: bytes | None = None, kind: str = ""
    ) -> tuple[int, bytes]:
        """Return the status and the body of an answer that is not an error."""
        said, least = "", 0.0
        for number in range(TRIES):
            if number:
                self.wait(number - 1, said, least)
            least = 0.0
            try:
                return self._once(path, body, kind)
            except urllib.error.HTTPError as error:
                said = f"It answered {error.code}."
                if error.code == 404 or not _passes(error.code):
                    raise Stop(REFUSED, _refusal(error.code)) from None
                least = _asked(error.headers.get("Retry-After", ""))
            except (OSError, ValueError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", error)
                if isinstance(reason, ssl.SSLCertVerificationError):
                    raise Stop(
                        NETWORK,
                        "Its certificate is not trusted here. A proxy may"
                        " inspect TLS: add its authority with --ca.",
                    ) from None
                if "407" in str(reason):
                    raise Stop(
                        NETWORK,
                        "The proxy wants a user and a password (407): put them into"
                        " a file as user:password and name it with --proxy-login.",
                    ) from None
                said = _why(reason)
        raise Stop(
            NETWORK,
            f"{self.url} cannot be reached. {said} Run it again later; it goes on where"
            " it stopped.",
        )

    def wait(self, number: int, why: str, least: float = 0) -> None:
        """Sleep twice as long each time, up to five minutes, and not in step.

        Args:
            least: What the receiver asked for, in seconds; never less than that.
        """
        share = random.SystemRandom().uniform(0.75, 1)
        seconds = max(least, min(300.0, self.pause * 2**number) * share)
        if why:
            say(f"{why} Trying again in {seconds:.0f} s.")
        time.sleep(seconds)

    def _once(self, path: str, body: bytes | None, kind: str) -> tuple[int, bytes]:
        request = urllib.request.Request(self.url + path, data=body)  # noqa: S310
        request.add_unredirected_header("Authorization", "Bearer " + self.token)
        if kind:
            request.add_header("Content-Type", kind)
        with self.open(request, timeout=TIMEOUT) as answer:
            content = answer.read(LARGEST + 1)
            if len(content) > LARGEST:
                raise Stop(REFUSED, "The answer is longer than 2 MiB.")
            if answer.length:  # of what was promised is still missing
                raise http.client.IncompleteRead(content)
            return answer.status, content


def main() -> int:
    """Carry one report; return the exit code."""
    given = _arguments().parse_args()
    try:
        carry(given)
    except Stop as stop:
        print(f"courier: {stop}", file=sys.stderr)
        return stop.code
    except KeyboardInterrupt:
        print("courier: Stopped. Run it again; it goes on.", file=sys.stderr)
        return NETWORK
    return OK


def carry(given: argparse.Namespace) -> None:
    """Check, upload, ask and fetch; each step that was done is not done again."""
    report = Path(given.report)
    archive, number = checked(report)
    say(f"Report {number}: every digest holds.")
    vendor = Vendor(
        given.url, _license(given.license), _proxy(given), given.ca, given.pause
    )
    state = report.with_name(report.name + ".courier.json")
    digest = hashlib.sha256(archive).hexdigest()
    status = _saved(state, digest)
    if given.resume and not status:
        raise Stop(USAGE, "There is nothing to resume: it was not uploaded yet.")
    if status:
        say(f"It was uploaded before; going on with status {status}.")
    else:
        status = upload(vendor, archive, number)
        _write(state, json.dumps({"sha256": digest, "status": status}).encode())
        say(f"Uploaded, status {status}.")
    download = ready(vendor, status, given.wait)
    _, acknowledgement = vendor.call("/download/" + download)
    if not zipfile.is_zipfile(io.BytesIO(acknowledgement)):
        raise Stop(REFUSED, "What came back is no .zip file (a captive portal?).")
    out = Path(given.out or report.parent) / (f"acknowledgement-{number}.zip")
    _write(out, acknowledgement)
    say(f"Acknowledgement written to {out}. Upload it to the disconnected server.")


def checked(report: Path) -> tuple[bytes, str]:
    """Return a report and its ID, after comparing every digest in its manifest."""
    try:
        with zipfile.ZipFile(report) as opened:
            manifest = json.loads(opened.read("manifest.json"))
            listed = {one["name"]: one["sha256"] for one in manifest["files"]}
            names = set(opened.namelist())
            other = names - set(listed) - {"manifest.json"}
            if any(not name.endswith("/jwt.txt") for name in other):
                raise Stop(REFUSED, "The report holds files its manifest misses.")
            for name, digest in listed.items():
                if hashlib.sha256(opened.read(name)).hexdigest() != digest:
                    raise Stop(REFUSED, f"{name} is not what was built.")
            number = str(manifest["reportId"])
    except FileNotFoundError:
        raise Stop(USAGE, f"There is no file {report}.") from None
    except (
        zipfile.BadZipFile,
        KeyError,
        TypeError,
        ValueError,
        OSError,
        RuntimeError,
        EOFError,
    ) as error:
        raise Stop(REFUSED, f"{report} is no intact usage report ({error}).") from None
    if not LAST.fullmatch(number):
        raise Stop(REFUSED, "The report names no ID.")
    return report.read_bytes(), number


def upload(vendor: Vendor, archive: bytes, number: str) -> str:
    """Upload the report; return the id to ask with. The same file has one effect."""
    head = (
        f'--{number}\r\nContent-Disposition: form-data; name="file"; '
        f'filename="usage-report-{number}.zip"\r\nContent-Type: application/zip\r\n\r\n'
    )
    body = head.encode() + archive + (f"\r\n--{number}--\r\n").encode()
    kind = f"multipart/form-data; boundary={number}"
    status, content = vendor.call("", body, kind)
    found = _last(_object(content).get("statusLink"))
    if status != 202 or not found:
        raise Stop(REFUSED, "The answer is no receipt (a captive portal?).")
    return found


def ready(vendor: Vendor, status: str, patience: float) -> str:
    """Ask until the check is over; return the id of the acknowledgement."""
    began, number = time.monotonic(), 0
    while True:
        said = _object(vendor.call("/status/" + status)[1])
        if said.get("readyForDownload") is True:
            if found := _last(said.get("downloadLink")):
                return found
            raise Stop(REFUSED, "The answer names no acknowledgement.")
        if time.monotonic() - began > patience:
            raise Stop(
                NOT_READY,
                "F5 has checked {}%. Run it again later; nothing is"
                " uploaded twice.".format(said.get("percentageComplete", 0)),
            )
        vendor.wait(min(number, 6), "")
        number += 1


def say(sentence: str) -> None:
    """Tell how far it is; never with the license."""
    print(sentence, flush=True)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Carry a usage report to F5 and fetch its acknowledgement.",
        epilog="Exit codes: 0 done, 2 wrong use, 3 refused, 4 network, 5 not ready.",
    )
    parser.add_argument("--report", required=True, help="the ZIP of the server")
    parser.add_argument("--license", required=True, help="the file license.jwt")
    parser.add_argument("--url", default=URL, help="default: %(default)s")
    parser.add_argument("--proxy", default="", help="http://host:port")
    parser.add_argument(
        "--proxy-login", default="", help="a file with user:password for the proxy"
    )
    parser.add_argument("--ca", default="", help="a file of authorities to add")
    parser.add_argument("--out", default="", help="default: beside the report")
    parser.add_argument("--resume", action="store_true", help="never upload again")
    parser.add_argument("--wait", type=float, default=900, help="for the check, in s")
    parser.add_argument("--pause", type=float, default=5, help="of a first retry, in s")
    return parser


def _license(path: str) -> str:
    try:
        token = Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        raise Stop(USAGE, f"The license {path} cannot be read.") from None
    if token.count(".") != 2 or not token.startswith("eyJ"):
        raise Stop(USAGE, f"{path} is no JSON Web Token.")
    return token


def _proxy(given: argparse.Namespace) -> str:
    """Return the proxy's address, with the user and password of a file.

    Others on this machine can read a command line, so they are not taken from there.
    """
    where = urllib.parse.urlsplit(given.proxy)
    if "@" in given.proxy:
        raise Stop(
            USAGE,
            "Other users can read a command line: put user:password of the proxy into"
            " a file and name it with --proxy-login.",
        )
    if given.proxy and (where.scheme != "http" or not where.hostname):
        raise Stop(USAGE, "The proxy must be of the form http://host:port.")
    if not given.proxy_login:
        return str(given.proxy)
    if not given.proxy:
        raise Stop(USAGE, "--proxy-login needs --proxy.")
    try:
        login = Path(given.proxy_login).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        raise Stop(USAGE, f"{given.proxy_login} cannot be read.") from None
    user, colon, password = login.partition(":")
    if not colon or "\n" in login:
        raise Stop(USAGE, f"{given.proxy_login} must hold user:password in one line.")
    both = ":".join(urllib.parse.quote(one, safe="") for one in (user, password))
    return f"http://{both}@{where.netloc}"


def _saved(state: Path, digest: str) -> str:
    """Return the status id of an upload of the very same file; else empty."""
    try:
        found = json.loads(state.read_bytes())
    except (OSError, ValueError):
        return ""
    same = isinstance(found, dict) and found.get("sha256") == digest
    return _last(found.get("status")) if same else ""


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    half = path.with_name(path.name + ".half")
    try:
        half.write_bytes(content)
        half.replace(path)
    except OSError as error:
        raise Stop(USAGE, f"{path} cannot be written: {error}.") from None


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Stop(REFUSED, "The answer is not the vendor's (a captive portal?).")
    return found


def _last(link: object) -> str:
    """Return the id at the end of a link in its long, short or doubled form."""
    end = link.rstrip("/").rpartition("/")[2] if isinstance(link, str) else ""
    return end if LAST.fullmatch(end) else ""


def _asked(header: str) -> float:
    """Return how long ``Retry-After`` asks to wait, in seconds, up to an hour."""
    if header.isdigit():
        return float(min(int(header), 3600))
    try:
        until = email.utils.parsedate_to_datetime(header).timestamp()
    except (TypeError, ValueError, IndexError):
        return 0.0
    return min(max(until - time.time(), 0.0), 3600.0)


def _why(reason: object) -> str:
    """Say what failed; never with an address, which may hold a password."""
    text = getattr(reason, "strerror", None) or ""
    return f"{type(reason).__name__}: {text}" if text else f"{type(reason).__name__}."


def _passes(status: int) -> bool:
    return status in (408, 425, 429) or status >= 500


def _refusal(status: int) -> str:
    why = {
        401: "The license is not accepted (401).",
        403: "The license is not accepted (403).",
        404: "There is no such upload (404). Delete the .courier.json file beside the"
        " report and run it again.",
        413: "The report is too large (413).",
    }
    return why.get(status, f"It was refused ({status}).")


if __name__ == "__main__":
    sys.exit(main())
