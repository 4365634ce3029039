"""Facts of certificates, clocks and resolvers, in the words of a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path

from cryptography import x509

RESOLVERS = Path("/etc/resolv.conf")
_IPV4 = {
    "0.0.0.0/8": "an address of this host",
    "127.0.0.0/8": "an address of this host",
    "10.0.0.0/8": "a private address",
    "172.16.0.0/12": "a private address",
    "192.168.0.0/16": "a private address",
    "100.64.0.0/10": "an address behind a provider’s NAT",
    "169.254.0.0/16": "a link-local address",
    "168.63.129.16/32": "an address of the cloud’s own services",
    "192.0.0.0/24": "a reserved address",
    "192.0.2.0/24": "a reserved address",
    "192.88.99.0/24": "a reserved address",
    "198.18.0.0/15": "a reserved address",
    "198.51.100.0/24": "a reserved address",
    "203.0.113.0/24": "a reserved address",
    "224.0.0.0/4": "a multicast address",
    "240.0.0.0/4": "a reserved address",
}
_IPV6 = {
    "::/127": "an address of this host",
    "::/96": "an IPv4 address in IPv6 form",
    "::ffff:0:0/96": "an IPv4 address in IPv6 form",
    "fc00::/7": "a private address",
    "fec0::/10": "a private address",
    "fe80::/10": "a link-local address",
    "ff00::/8": "a multicast address",
    "2001::/23": "a reserved address",
    "2001:db8::/32": "a reserved address",
    "2002::/16": "an IPv4 address in IPv6 form",
    "3fff::/20": "a reserved address",
}
_NAT64, _UNICAST = ip_network("64:ff9b::/96"), ip_network("2000::/3")
_NOT_PUBLIC = [(ip_network(net), kind) for net, kind in (_IPV4 | _IPV6).items()]
UNKNOWN = (18, 19, 20, 21)  # of OpenSSL: no issuer this host trusts


def dns_servers() -> str:
    """Return the DNS servers of this host for a sentence: ``: 10.0.0.2, 10.0.0.3``."""
    with suppress(OSError):
        found = re.findall(r"^nameserver\s+(\S+)", RESOLVERS.read_text(), re.M)
        if found:
            return f": {', '.join(found[:3])}"
    return ""


def within(address: str, networks: Iterable[str]) -> bool:
    """Return whether an address lies in one of some networks.

    Example:
        >>> within("159.60.126.21", ["159.60.126.0/25"]), within("::1", ["10.0.0.0/8"])
        (True, False)
    """
    found = ip_address(address.partition("%")[0])
    return any(found in ip_network(one) for one in networks)


def not_public(address: str) -> str:
    """Return what an address is when it is not a public one; empty when it is.

    An address of NAT64 is what the IPv4 address in it is; of IPv6 only 2000::/3 is in
    public use. Metadata services of clouds stand at link-local and private addresses,
    at ``168.63.129.16`` and behind a provider's NAT.

    Source:
        security.md, S8; the registries of special-purpose addresses (RFC 6890)

    Example:
        >>> not_public("169.254.169.254"), not_public("159.60.126.21")
        ('a link-local address', '')
    """
    found = ip_address(address.partition("%")[0])
    if found in _NAT64:
        return not_public(str(IPv4Address(int(found) & 0xFFFFFFFF)))
    for network, kind in _NOT_PUBLIC:
        if found in network:
            return kind
    return "" if found.version == 4 or found in _UNICAST else "a reserved address"


def names_of(certificate: x509.Certificate) -> str:
    """Return the names a certificate is for, the first three of them."""
    try:
        found = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        return short(certificate.subject)
    names = [str(one.value) for one in found.value]
    return ", ".join(names[:3])[:120] or "no name"


def short(name: x509.Name) -> str:
    """Return a name inside a certificate as people know it, at most 120 characters."""
    common = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    text = str(common[0].value) if common else name.rfc4514_string()
    return text[:120] or "an authority without a name"


def day(moment: datetime) -> str:
    """Return a day as ``4 Mar 2027``."""
    return f"{moment.day} {moment:%b %Y}"


def dated(text: str) -> datetime | None:
    """Return the moment of a ``Date`` header; None when there is none to be read."""
    try:
        return parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def skew(theirs: datetime, begun: datetime, ended: datetime) -> timedelta:
    """Return how far our clock is ahead of the one that dated an answer.

    It was dated while the call ran, so a date in between is no difference.

    Example:
        >>> noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
        >>> minute = timedelta(minutes=1)
        >>> [skew(noon, noon + n * minute, noon + (n + 1) * minute) // minute
        ...  for n in (-3, 0, 2)]
        [-2, 0, 2]
    """
    return max(begun - theirs, timedelta()) + min(ended - theirs, timedelta())


def length(span: timedelta) -> str:
    """Return a span in its largest whole unit.

    Example:
        >>> [length(timedelta(minutes=n)) for n in (2, 180, 4320)]
        ['2 min', '3 h', '3 days']
    """
    minutes = round(span.total_seconds() / 60)
    if minutes < 120:
        return f"{minutes} min"
    hours = round(minutes / 60)
    return f"{hours} h" if hours < 48 else f"{round(hours / 24)} days"
