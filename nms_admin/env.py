"""Typed readers for the NMS_* environment; a bad value stops the start by name."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from environs import EnvError, FileAwareEnv

# PostgreSQL behind a cable that was cut: both ends give up within seconds. Else a page
# hangs for a quarter of an hour, and others wait two hours for what a lost host holds.
PATIENCE = {
    "connect_timeout": 5,
    "tcp_user_timeout": 5_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "options": (
        "-c idle_in_transaction_session_timeout=15s -c tcp_user_timeout=15s"
        " -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5"
        " -c tcp_keepalives_count=2"
    ),
}
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Reader:
    """Read ``NMS_<name>``; secrets may stand in a file named by ``NMS_<name>_FILE``.

    Every method takes the name without its prefix and a default, and raises
    ``ImproperlyConfigured`` with the full name and what to write.
    """

    def __init__(self) -> None:
        self._env = FileAwareEnv(prefix="NMS_")
        self._running: Mapping[str, str] = {}

    def follow(self, running: Mapping[str, str]) -> None:
        """Take these values, by name without prefix, where the environment has none."""
        self._running = running

    def text(self, name: str, default: str = "") -> str:
        """Return the value without surrounding white space."""
        try:
            value = self._env.str(name, self._running.get(name, default))
            return str(value).strip()
        except (EnvError, OSError, ValueError) as error:
            raise ImproperlyConfigured(f"NMS_{name}: {error}") from error

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        """Return one of ``allowed`` (or ``default``)."""
        value = self.text(name, default)
        if value not in (*allowed, default):
            raise ImproperlyConfigured(
                f"NMS_{name} is {value!r}; write one of: {', '.join(allowed)}."
            )
        return value

    def number(self, name: str, default: int, *, low: int, high: int) -> int:
        """Return a whole number within ``[low, high]``."""
        value = self.text(name, str(default))
        if not re.fullmatch(r"-?\d{1,9}", value) or not low <= int(value) <= high:
            raise ImproperlyConfigured(
                f"NMS_{name} is {value!r}; write a whole number from {low} to {high}."
            )
        return int(value)

    def duration(self, name: str, default: str, *, most: timedelta) -> timedelta:
        """Return a time written as a number and s, m, h or d, up to ``most``."""
        value = self.text(name, default)
        match = re.fullmatch(r"(\d{1,6})([smhd])", value)
        length = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
        if length is None or length > most:
            raise ImproperlyConfigured(
                f"NMS_{name} is {value!r}; write a number and s, m, h or d, for "
                f"example 24h, up to {most.days}d."
            )
        return length

    def names(self, name: str, default: str = "") -> list[str]:
        """Return a list written with commas; empty when nothing is set."""
        parts = self.text(name, default).split(",")
        return [part.strip() for part in parts if part.strip()]

    def networks(self, name: str, default: str = "") -> list[str]:
        """Return addresses and ranges (CIDR) written with commas."""
        found = self.names(name, default)
        for one in found:
            try:
                ip_network(one, strict=False)
            except ValueError as error:
                raise ImproperlyConfigured(
                    f"NMS_{name} holds {one!r}; write addresses or ranges such as "
                    "10.0.0.0/8, with commas."
                ) from error
        return found

    def database(self, name: str) -> dict[str, Any]:
        """Return Django's settings for a database written as an address.

        What follows a ``?`` goes to libpq and wins over ``PATIENCE``.
        """
        try:
            found = dict(self._env.dj_db_url(name))
        except (EnvError, ValueError) as error:
            raise ImproperlyConfigured(
                f"NMS_{name} cannot be read; write postgresql://user:password@host/name."
            ) from error
        if str(found["ENGINE"]).endswith("postgresql"):
            found["OPTIONS"] = PATIENCE | found.get("OPTIONS", {})
        return found

    def url(self, name: str, default: str = "", *, plain_ok: bool = False) -> str:
        """Return an address without its last slash, or the empty string.

        Only https is taken; with ``plain_ok`` also http, for a loopback host.
        """
        value = self.text(name, default).rstrip("/")
        if not value:
            return ""
        parts = urlsplit(value)
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        plain = parts.scheme == "http" and plain_ok and local
        if not parts.hostname or not (parts.scheme == "https" or plain):
            raise ImproperlyConfigured(
                f"NMS_{name} is {value!r}; write an https:// address"
                + (" (http:// only for this host)." if plain_ok else ".")
            )
        if parts.username or parts.password or parts.fragment:
            raise ImproperlyConfigured(
                f"NMS_{name} holds a user name, password or fragment; leave it out."
            )
        return value


def documented_proxy(environ: Mapping[str, str]) -> str:
    """Return the address of the proxy that the documented ``PROXY_*`` variables name.

    Empty unless ``PROXY_ENABLE`` is true and ``PROXY_HOST`` is set. Certificates are
    verified whatever ``PROXY_SSL_VERIFY`` says.
    """

    def value(*names: str) -> str:
        return next((environ[name] for name in names if environ.get(name)), "")

    host = value("PROXY_HOST")
    if value("PROXY_ENABLE").lower() not in ("true", "1", "yes", "on") or not host:
        return ""
    scheme, port = value("PROXY_PROTOCOL") or "http", value("PROXY_PORT")
    user = quote(value("PROXY_USERNAME", "PROXY_AUTH_USERNAME"), safe="")
    password = quote(value("PROXY_PASSWORD", "PROXY_AUTH_PASSWORD"), safe="")
    login = f"{user}:{password}@" if user else ""
    return f"{scheme.lower()}://{login}{host}{f':{port}' if port else ''}"


def kept_secret(path: Path, make: str = "") -> str:
    """Return the text of a secret file; create it (0600) when it is not there.

    Safe when several processes start at once: the first one's secret stays.

    Args:
        path: The file; its folder is created (0700).
        make: The text to write when the file is new; default 64 random characters.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write((make or secrets.token_urlsafe(48)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
