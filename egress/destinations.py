"""Where this product may connect to: a small table over the settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from django.conf import settings

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SETTINGS = {
    "telemetry": "NMS_TELEMETRY_URL",
    "entitlements": "NMS_ENTITLEMENTS_URL",
    "keys": "NMS_JWKS_URL",
    "usage": "NMS_F5_API_URL",
    "usage-batch": "NMS_USAGE_BATCH_URL",
    "terminate": "NMS_TERMINATE_URL",
}
LABELS = {
    "telemetry": "Telemetry events",
    "entitlements": "Entitlements",
    "keys": "License keys",
    "usage": "Usage reports",
    "terminate": "Notices of termination",
}
KEYS, SECURE = "keys", "secure-api"
CHECKED_ONLY = "Checked only: named by F5, no delivery uses it"
BULK, BATCH = "usage", "usage-batch"
LIVE_HOSTS = ("product.apis.f5.com", "product-s.apis.f5.com")
BATCH_HOST = "product.connect.nginx.com"
RANGE = "159.60.126.0/25"
BATCH_RANGES = ("3.133.232.50/32", "3.135.72.139/32", "52.14.85.249/32")
_PUBLISHED = dict.fromkeys(LIVE_HOSTS, (RANGE,)) | {BATCH_HOST: BATCH_RANGES}
_OVERRIDES = ("telemetry", "entitlements", "keys", "terminate")
_PATHS = {BULK: "/entitlements/telemetry/bulk"}  # after the address of the setting


@dataclass(frozen=True)
class Destination:
    """One address that may be called, and the host whose gate it stands behind."""

    name: str
    url: str

    @property
    def host(self) -> str:
        """Return ``host:port``, the key of the gate and the name people are shown."""
        return f"{self.hostname}:{self.port}"

    @property
    def hostname(self) -> str:
        """Return the name or address without its port."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Return the port, that of the scheme when none is written."""
        return urlsplit(self.url).port or (443 if self.encrypted else 80)

    @property
    def label(self) -> str:
        """Return what people call it."""
        return label_of(self.name)

    @property
    def encrypted(self) -> bool:
        """Return whether it is reached by TLS."""
        return urlsplit(self.url).scheme == "https"

    @property
    def local(self) -> bool:
        """Return whether it stands on this host."""
        return urlsplit(self.url).hostname in LOOPBACK

    @property
    def public(self) -> bool:
        """Return whether only public addresses are connected to when it is called.

        So it is with the keys, because what answers decides which licenses are right;
        the sandbox on this host is the exception.
        """
        return self.name == KEYS and not (settings.SANDBOX and self.local)


@dataclass(frozen=True)
class Target(Destination):
    """One address that is checked when somebody asks, and what it is for."""

    purpose: str

    @property
    def label(self) -> str:
        """Return the host, with the path where the vendor names one."""
        return f"{self.host}{self.path if self.name == SECURE else ''}"

    @property
    def path(self) -> str:
        """Return the path that is asked for; it never leads to a call of ours."""
        return urlsplit(self.url).path or "/"

    @property
    def authority(self) -> str:
        """Return the host as it stands in the ``Host`` header."""
        return urlsplit(self.url).netloc

    @property
    def ranges(self) -> tuple[str, ...]:
        """Return where the vendor says its addresses lie; empty when it does not."""
        return _PUBLISHED.get(self.hostname, ())


def configured() -> list[Destination]:
    """Return every destination in use whose address is set."""
    unused = {BULK, BATCH} - {usage()}
    found = [find(name) for name in _SETTINGS if name not in unused]
    return [one for one in found if one]


def usage() -> str:
    """Return the name of the destination that usage reports go to."""
    return BATCH if settings.NMS_USAGE_CHANNEL == "batch" else BULK


def vendor_hosts() -> tuple[str, ...]:
    """Return the names of the vendor that live mode calls or checks."""
    batch = find(BATCH) if usage() == BATCH else None
    ours = batch and (settings.SANDBOX or batch.hostname == BATCH_HOST)
    return LIVE_HOSTS + ((BATCH_HOST,) if ours else ())


def vendor_ranges() -> tuple[str, ...]:
    """Return the addresses the vendor has published for those names."""
    return tuple(dict.fromkeys(r for one in vendor_hosts() for r in _PUBLISHED[one]))


def targets() -> list[Target]:
    """Return what a check connects to: the vendor's two addresses, and overrides.

    An override whose host is one of the others is not listed again.
    """
    found = [
        Target("api", settings.NMS_F5_API_URL, "License, usage reports, telemetry"),
        Target(SECURE, settings.NMS_F5_SECURE_API_URL, CHECKED_ONLY),
    ]
    batch = find(BATCH) if usage() == BATCH else None
    if batch and batch.host != found[0].host:
        found[0] = replace(found[0], purpose="License, telemetry")
    for name in (*_OVERRIDES, *((BATCH,) if batch else ())):
        destination = find(name)
        if destination and destination.host not in {one.host for one in found}:
            base = urlsplit(destination.url)._replace(path="/", query="").geturl()
            found.append(Target(name, base, label_of(name)))
    return found


def label_of(name: str) -> str:
    """Return what people call a destination; its calls after the first are part of it.

    Example:
        >>> label_of("usage-status")
        'Usage reports'
    """
    return LABELS[name.partition("-")[0]]


def masked(address: str) -> str:
    """Return a proxy's address without the user name and password in it.

    Example:
        >>> masked("http://ada:secret@proxy.example:3128")
        'http://•••@proxy.example:3128'
    """
    parts = urlsplit(address)
    if "@" not in parts.netloc:
        return address
    return f"{parts.scheme}://•••@{parts.netloc.rpartition('@')[2]}"


def find(name: str) -> Destination | None:
    """Return the destination of that name; None while its address is not set.

    Raises:
        KeyError: There is no destination of that name.
    """
    url = getattr(settings, _SETTINGS[name])
    return Destination(name, url + _PATHS.get(name, "")) if url else None
