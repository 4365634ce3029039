"""The rules are what the packet filters of this machine understand."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from egress import destinations, firewall

TABLE = """
nft add table inet filter
nft 'add chain inet filter output { type filter hook output priority 0; }'
nft 'add chain inet filter input { type filter hook input priority 0; }'
"""


@pytest.mark.parametrize("kind", firewall.KINDS)
def test_rules_allow_port_443_of_the_range_and_nothing_else(kind: str) -> None:
    rules = firewall.rules(kind)
    assert set(re.findall(r"\d+\.\d+\.\d+\.\d+\S*?\d(?=\D|$)", rules)) == {
        "159.60.126.0/25"
    }
    ports = re.findall(r"(?:port(?:=\"| )|Port=|From=)(\d+)", rules)
    assert set(ports) <= {"443", "1024"}
    assert "{" not in rules.replace("{CidrIp=159.60.126.0/25}", "")


@pytest.mark.parametrize("kind", firewall.KINDS)
def test_with_the_batch_channel_each_of_its_addresses_has_a_rule(
    kind: str, settings
) -> None:
    settings.NMS_USAGE_CHANNEL = "batch"
    rules = firewall.rules(kind)
    for address in destinations.vendor_ranges():
        assert address in rules
    assert rules.count("3.135.72.139/32") == rules.count("159.60.126.0/25")
    numbers = re.findall(r"--egress --rule-number (\d+)", rules)
    assert len(numbers) == len(set(numbers))


def test_iptables_lets_new_connections_out_and_only_replies_in() -> None:
    lines = firewall.rules("iptables").replace("\\\n", "").splitlines()
    out, back = (" ".join(line.split()) for line in lines)
    assert out == (
        "iptables -I OUTPUT -p tcp -d 159.60.126.0/25 --dport 443"
        " -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT"
    )
    assert back == (
        "iptables -I INPUT -p tcp -s 159.60.126.0/25 --sport 443"
        " -m conntrack --ctstate ESTABLISHED -j ACCEPT"
    )


def test_a_stateless_reply_never_begins_a_connection() -> None:
    assert "--sport 443 ! --syn -j ACCEPT" in firewall.rules("stateless")


@pytest.mark.parametrize("channel", ["bulk", "batch"])
@pytest.mark.parametrize(
    ("kind", "before", "shown"),
    [
        ("nftables", TABLE, "nft list ruleset"),
        ("iptables", "", "iptables -S"),
        ("stateless", "", "iptables -S"),
    ],
)
def test_every_line_is_taken_by_the_real_program(
    kind: str, before: str, shown: str, channel: str, settings
) -> None:
    settings.NMS_USAGE_CHANNEL = channel
    rules = firewall.rules(kind).partition("# AWS")[0]
    namespace = shutil.which("unshare")
    if not _can(namespace, shown.split()[0]):
        assert re.search(r"^(nft|iptables) \S+", rules, re.M)  # text is all there is
        return
    done = subprocess.run(
        [namespace, "-rn", "sh", "-e", "-c", f"{before}{rules}{shown}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("159.60.126.0/25") == 2


def _can(namespace: str | None, program: str) -> bool:
    """Return whether a packet filter of its own can be had here, without root."""
    if not namespace or not shutil.which(program):
        return False
    words = [namespace, "-rn", program, "list" if program == "nft" else "-S"]
    words += ["ruleset"] if program == "nft" else []
    return subprocess.run(words, capture_output=True).returncode == 0
