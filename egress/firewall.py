"""Rules that let this server reach the vendor, as text for five kinds of firewall."""

from __future__ import annotations

from egress import destinations

PORT = 443

_NFTABLES = (
    """\
# Adds to your existing table "inet filter". Change the names to match yours.
""",
    """\
nft insert rule inet filter output ip daddr {range} \\
    tcp dport {port} ct state new,established accept
nft insert rule inet filter input ip saddr {range} \\
    tcp sport {port} ct state established accept
""",
)
_IPTABLES = (
    """\
iptables -I OUTPUT -p tcp -d {range} --dport {port} \\
    -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT
iptables -I INPUT -p tcp -s {range} --sport {port} \\
    -m conntrack --ctstate ESTABLISHED -j ACCEPT
""",
)
_FIREWALLD = (
    """\
# Replies need no rule: firewalld keeps track of connections.
firewall-cmd --permanent --new-policy nms-to-f5
firewall-cmd --permanent --policy nms-to-f5 --add-ingress-zone HOST
firewall-cmd --permanent --policy nms-to-f5 --add-egress-zone ANY
""",
    """\
firewall-cmd --permanent --policy nms-to-f5 --add-rich-rule \\
    'rule family="ipv4" destination address="{range}" port port="{port}" protocol="tcp" accept'
""",
    """\
firewall-cmd --reload
""",
)
_AWS = (
    """\
# Security groups are stateful: replies need no rule.
""",
    """\
aws ec2 authorize-security-group-egress --group-id YOUR_GROUP \\
    --ip-permissions "IpProtocol=tcp,FromPort={port},ToPort={port},IpRanges=[{{CidrIp={range}}}]"
""",
)
_STATELESS = (
    """\
# For filters that keep no track of connections: replies need a rule of their own.
# Linux: a reply never begins a connection (no bare SYN).
""",
    """\
iptables -I OUTPUT -p tcp -d {range} --dport {port} -j ACCEPT
iptables -I INPUT -p tcp -s {range} --sport {port} ! --syn -j ACCEPT
""",
    """\

# AWS network ACL: out to port 443, replies to the ports they came from.
""",
    """\
aws ec2 create-network-acl-entry --network-acl-id YOUR_ACL --egress --rule-number {number} \\
    --protocol tcp --port-range From={port},To={port} --cidr-block {range} --rule-action allow
aws ec2 create-network-acl-entry --network-acl-id YOUR_ACL --ingress --rule-number {number} \\
    --protocol tcp --port-range From=1024,To=65535 --cidr-block {range} --rule-action allow
""",
)
# Key -> label and blocks of text; one that names a range is there once for each.
KINDS = {
    "nftables": ("nftables", _NFTABLES),
    "iptables": ("iptables", _IPTABLES),
    "firewalld": ("firewalld", _FIREWALLD),
    "aws": ("AWS", _AWS),
    "stateless": ("Stateless", _STATELESS),
}


def rules(kind: str) -> str:
    """Return the commands for one kind of firewall; nothing opens a port to the internet.

    Args:
        kind: A key of ``KINDS``.

    Raises:
        KeyError: There is no such kind.
    """
    ranges = destinations.vendor_ranges()
    return "".join(
        block.format(range=one, port=PORT, number=number)
        for block in KINDS[kind][1]
        for number, one in enumerate(ranges if "{range}" in block else ("",), 100)
    )


def label(kind: str) -> str:
    """Return what people call a kind of firewall."""
    return KINDS[kind][0]
