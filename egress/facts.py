"""Facts of certificates, clocks and resolvers, in the words of a sentence."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

from cryptography import x509

RESOLVERS = Path("/etc/resolv.conf")


def dns_servers() -> str:
    """Return the DNS servers of this host for a sentence: ``: 10.0.0.2, 10.0.0.3``."""
    with suppress(OSError):
        found = re.findall(r"^nameserver\s+(\S+)", RESOLVERS.read_text(), re.M)
        if found:
            return f": {', '.join(found[:3])}"
    return ""


def within(address: str, network: str) -> bool:
    """Return whether an address lies in a network.

    Example:
        >>> within("159.60.126.21", "159.60.126.0/25"), within("::1", "10.0.0.0/8")
        (True, False)
    """
    return ip_address(address.partition("%")[0]) in ip_network(network)


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
