"""Where this product may connect to: a small table over the settings."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SETTINGS = {
    "telemetry": "NMS_TELEMETRY_URL",
    "entitlements": "NMS_ENTITLEMENTS_URL",
    "keys": "NMS_JWKS_URL",
    "usage": "NMS_F5_API_URL",
}
_PATHS = {"usage": "/entitlements/telemetry/bulk"}  # after the address of the setting


@dataclass(frozen=True)
class Destination:
    """One address that may be called, and the host whose gate it stands behind."""

    name: str
    url: str

    @property
    def host(self) -> str:
        """Return ``host:port``, the key of the gate and the name people are shown."""
        parts = urlsplit(self.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return f"{parts.hostname}:{port}"

    @property
    def encrypted(self) -> bool:
        """Return whether it is reached by TLS."""
        return urlsplit(self.url).scheme == "https"

    @property
    def local(self) -> bool:
        """Return whether it stands on this host."""
        return urlsplit(self.url).hostname in LOOPBACK


def find(name: str) -> Destination | None:
    """Return the destination of that name; None while its address is not set.

    Raises:
        KeyError: There is no destination of that name.
    """
    url = getattr(settings, _SETTINGS[name])
    return Destination(name, url + _PATHS.get(name, "")) if url else None
