"""Security group rules: what each matches, why it does not, and the command that makes one.

As `neutron/db/securitygroups_db.py` stores them and `openvswitch_firewall/rules.py` turns them into flows.
"""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Literal

from .. import path, words
from . import groups

NUMBERS = {
    "ah": 51,
    "dccp": 33,
    "egp": 8,
    "esp": 50,
    "gre": 47,
    "hopopt": 0,
    "icmp": 1,
    "icmpv6": 58,
    "igmp": 2,
    "ip": 0,
    "ipip": 4,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-icmp": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "ospf": 89,
    "pgm": 113,
    "rsvp": 46,
    "sctp": 132,
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "vrrp": 112,
}
"""The names that Neutron takes for protocols (`neutron_lib.constants.IP_PROTOCOL_MAP` and its aliases)."""
WITH_PORTS = {6: "tcp", 17: "udp", 33: "dccp", 132: "sctp", 136: "udplite"}
ICMP = {4: 1, 6: 58}
_ANY = ("0.0.0.0/0", "::/0")
_ECHO_REPLY = {(1, 8): 0, (58, 128): 129}
"""The type of the answer to an echo request."""


class Packet(path.Model):
    """What is looked at of a packet."""

    source_mac: path.Mac
    source: path.Address
    destination: path.Address
    protocol: int
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None

    @property
    def version(self) -> Literal[4, 6]:
        """Of IP."""
        return 6 if ":" in self.destination else 4

    @property
    def what(self) -> str:
        """Such as `tcp 9443`."""
        if self.protocol in WITH_PORTS:
            return f"{WITH_PORTS[self.protocol]} {self.destination_port}"
        if self.protocol == ICMP[self.version]:
            return f"{'icmp' if self.version == 4 else 'icmpv6'} type {self.icmp_type}"
        return f"protocol {self.protocol}"

    def words(self, way: Literal["egress", "ingress"]) -> str:
        """Such as `tcp 9443 from fc00::5`, as the port sees it."""
        return f"{self.what} {f'to {self.destination}' if way == 'egress' else f'from {self.source}'}"

    def answer(self, source_mac: str) -> "Packet":
        """Return the packet that answers this one."""
        return Packet(
            source_mac=source_mac,
            source=self.destination,
            destination=self.source,
            protocol=self.protocol,
            source_port=self.destination_port,
            destination_port=self.source_port,
            icmp_type=_ECHO_REPLY.get((self.protocol, self.icmp_type or 0), self.icmp_type),
            icmp_code=self.icmp_code,
        )


def number(protocol: str | None, version: int) -> int | None:
    """Return the number of a protocol as a rule has it; None for any, -1 for a name that is not known.

    In rules for IPv6, `icmp` and 1 mean ICMPv6 (`_make_canonical_ipv6_icmp_protocol`).
    """
    if protocol is None or protocol.lower() == "any":
        return None
    found = int(protocol) if protocol.isascii() and protocol.isdecimal() else NUMBERS.get(protocol.lower(), -1)
    return ICMP[6] if version == 6 and found == ICMP[4] else found


def is_within(address: str, network: str) -> bool:
    """Return whether an address is one of a network, which may be an address itself; bits of a host do not matter."""
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def mismatches(rule: groups.Rule, packet: Packet, remotes: Mapping[str, Sequence[str]]) -> list[str]:
    """Say what keeps a rule from matching a packet; nothing where it does.

    A rule for a remote group whose addresses are not in `remotes` is not held against those.
    """
    version = 6 if rule.ethertype == "IPv6" else 4
    remote = packet.destination if rule.direction == "egress" else packet.source
    reasons: list[str] = []
    if version != packet.version:
        reasons.append(f"it is for {rule.ethertype}")
    reasons += _protocol(rule, packet)
    if rule.prefix and version == packet.version and not is_within(remote, rule.prefix):
        reasons.append(f"it is for {rule.prefix}")
    if rule.remote in remotes and not any(is_within(remote, one) for one in remotes[rule.remote]):
        kind = "group" if rule.remote_group_id else "address group"
        reasons.append(f"it is for the {kind} {rule.remote}, which does not have {remote}")
    return reasons


def _protocol(rule: groups.Rule, packet: Packet) -> list[str]:
    wanted = number(rule.protocol, 6 if rule.ethertype == "IPv6" else 4)
    if wanted is None:
        return []
    # Of the other family's ICMP it would be said twice that the family is another one.
    is_icmp = wanted in ICMP.values() and packet.protocol in ICMP.values()
    if wanted != packet.protocol and not is_icmp:
        return [f"it is for {rule.protocol if wanted >= 0 else f'the unknown protocol {rule.protocol}'}"]
    low, high = rule.port_range_min, rule.port_range_max
    if is_icmp:
        is_fitting = low in (None, packet.icmp_type) and high in (None, packet.icmp_code)
        return [] if is_fitting else [f"it is for {_icmp(rule)}"]
    port = packet.destination_port
    if wanted not in WITH_PORTS or low is None or high is None or port is None:
        return []
    return [] if low <= port <= high else [f"it is for {_ports(low, high)}"]


def _icmp(rule: groups.Rule) -> str:
    code = f" code {rule.port_range_max}" if rule.port_range_max is not None else ""
    return f"type {rule.port_range_min}{code}"


def _ports(low: int, high: int) -> str:
    return f"port {low}" if low == high else f"ports {low} to {high}"


def text(rule: groups.Rule) -> str:
    """Write a rule in a line."""
    parts = [rule.direction, rule.ethertype, rule.protocol or "any protocol"]
    if rule.port_range_min is not None or rule.port_range_max is not None:
        is_icmp = number(rule.protocol, 6 if rule.ethertype == "IPv6" else 4) in ICMP.values()
        low, high = rule.port_range_min, rule.port_range_max
        parts.append(_icmp(rule) if is_icmp else f"{low}" if low == high else f"{low}-{high}")
    parts.append("to" if rule.direction == "egress" else "from")
    if rule.remote:
        parts.append(f"{'group' if rule.remote_group_id else 'address group'} {rule.remote}")
    else:
        parts.append(rule.prefix or "anywhere")
    return " ".join(parts)


def command(packet: Packet, way: Literal["egress", "ingress"], group: str) -> str:
    """Write the command that makes the narrowest rule for a packet."""
    remote = packet.destination if way == "egress" else packet.source
    create = ["openstack", "security", "group", "rule", "create", f"--{way}", "--ethertype", f"IPv{packet.version}"]
    if packet.protocol in WITH_PORTS:
        create += ["--protocol", WITH_PORTS[packet.protocol], "--dst-port", str(packet.destination_port)]
    elif packet.protocol == ICMP[packet.version]:
        protocol = "icmp" if packet.version == 4 else "ipv6-icmp"
        create += ["--protocol", protocol, "--icmp-type", str(packet.icmp_type)]
    else:
        create += ["--protocol", str(packet.protocol)]
    return words.pasted(*create, "--remote-ip", f"{remote}/{32 if packet.version == 4 else 128}", group)
