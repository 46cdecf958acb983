"""Which packets are captured: typed fields → an expression for the kernel (pcap-filter(7)), for tunnels too."""

import ipaddress
import struct
from collections.abc import Mapping
from typing import Literal

from .. import path
from ..evidence import packet

Protocol = Literal["", "icmp", "tcp", "udp", "arp"]
_NUMBERS = {"icmp": {4: 1, 6: 58}, "tcp": {4: 6, 6: 6}, "udp": {4: 17, 6: 17}}
_ETHERTYPES = {4: 0x0800, 6: 0x86DD}
_ARP = 0x0806
_SOLICITATION, _ADVERTISEMENT = 135, 136


class Wanted(path.Model):
    """What a packet must be to be captured; everything is, where nothing is said."""

    hosts: tuple[path.Address, ...] = ()
    """Addresses of which a packet has each as its source or destination; two at the most."""
    protocol: Protocol = ""
    port: int | None = None
    """A TCP or UDP port, of the source or the destination."""

    def __str__(self) -> str:
        parts = [
            f"{self.protocol} packets".strip(),
            f"of port {self.port}" if self.port is not None else "",
            f"between {self.hosts[0]} and {self.hosts[1]}" if len(self.hosts) == 2 else "",
            f"of {self.hosts[0]}" if len(self.hosts) == 1 else "",
        ]
        return "all packets" if self == Wanted() else " ".join(part for part in parts if part)


def plain(wanted: Wanted) -> str:
    """Return the expression for packets that are in no tunnel; empty for all.

    Where two ports of a network are named, the questions for their MAC addresses are wanted too: those go to all.
    """
    parts = [f"host {address}" for address in wanted.hosts]
    port = f"port {wanted.port}" if wanted.port is not None else ""
    if wanted.protocol == "icmp":
        parts.append("(icmp or icmp6)")
    elif wanted.protocol == "arp":
        parts.append(f"(arp or ({_discovery('ip6', 0)}))")
    elif wanted.protocol or port:
        parts.append(f"{wanted.protocol} {port}".strip())
    if wanted.protocol == "arp" and wanted.hosts:
        return f"({_questions(wanted.hosts)})"
    expression = " and ".join(parts)
    if wanted.hosts and not port and wanted.protocol in ("", "icmp") and _is_v6(wanted.hosts):
        return f"({expression}) or ({_questions(wanted.hosts)})"
    return expression


def _is_v6(hosts: tuple[str, ...]) -> bool:
    return any(":" in address for address in hosts)


def _questions(hosts: tuple[str, ...]) -> str:
    """Return the expression for ARP and neighbour discovery that comes from one of the hosts, or goes to one."""
    either = " or ".join(f"host {address}" for address in hosts)
    return f"(arp or ({_discovery('ip6', 0)})) and ({either})"


def _discovery(name: str, start: int) -> str:
    """Return the test of an IPv6 packet that begins `start` bytes into the one that `name` counts from."""
    message = f"{name}[{start + 40}]"
    kind = f"{name}[{start + 6}] == {_NUMBERS['icmp'][6]}"
    return f"{kind} and ({message} == {_SOLICITATION} or {message} == {_ADVERTISEMENT})"


def tunnelled(
    wanted: Wanted,
    type_: str,
    local: str,
    remote: str,
    tunnel_ports: Mapping[str, int] = packet.TUNNEL_PORTS,
) -> str:
    """Return the expression for the same packets in tunnels between two ends.

    Offsets are those of a tunnel header with a key: GRE with and without a checksum, VXLAN, Geneve without options.

    Args:
        wanted: What the inner packets must be.
        type_: `gre`, `vxlan` or `geneve`.
        local: This host's tunnel end; empty for any.
        remote: The other end.
        tunnel_ports: The UDP destination port of each type.
    """
    name, length = ("ip6", 40) if ":" in remote else ("ip", 20)
    if type_ == "gre":
        carrier, headers = f"{name} proto 47", (8, 12)
    else:
        carrier, headers = f"udp dst port {tunnel_ports[type_]}", (16,)
    ends = " and ".join(f"host {address}" for address in (local, remote) if address)
    inner = " or ".join(one for header in headers for one in [_inner(wanted, name, length + header)] if one)
    return f"{ends} and {carrier}" + (f" and ({inner})" if inner else "")


def _inner(wanted: Wanted, name: str, start: int) -> str:
    """Return the test of the frame that begins `start` bytes into the outer packet; empty for all frames."""
    if not (wanted.hosts or wanted.protocol or wanted.port is not None):
        return ""
    versions = {6 if ":" in address else 4 for address in wanted.hosts} or {4, 6}
    tests = [_inner_ip(wanted, name, start, version) for version in sorted(versions)]
    if wanted.port is None and wanted.protocol in ("", "arp") and 4 in versions:
        tests.append(_inner_arp(wanted, name, start))
    if wanted.port is None and wanted.protocol in ("", "icmp", "arp") and 6 in versions:
        tests.append(_inner_discovery(wanted, name, start))
    return " or ".join(f"({one})" for one in tests if one)


def _inner_ip(wanted: Wanted, name: str, start: int, version: int) -> str:
    if wanted.protocol == "arp":
        return ""
    network = start + 14
    kind, first, second, header = (9, 12, 16, 20) if version == 4 else (6, 8, 24, 40)
    tests = [f"{name}[{start + 12}:2] == {_ETHERTYPES[version]:#06x}"]
    names = [wanted.protocol] if wanted.protocol else ["tcp", "udp"] if wanted.port is not None else []
    numbers = [f"{name}[{network + kind}] == {_NUMBERS[one][version]}" for one in names]
    tests += [f"({' or '.join(numbers)})"] if numbers else []
    for address in wanted.hosts:
        places = (_has(name, network + place, address) for place in (first, second))
        tests.append(f"({' or '.join(places)})")
    if wanted.port is not None:
        ports = (f"{name}[{network + header + at}:2] == {wanted.port}" for at in (0, 2))
        tests.append(f"({' or '.join(ports)})")
    return " and ".join(tests)


def _inner_arp(wanted: Wanted, name: str, start: int) -> str:
    tests = [f"{name}[{start + 12}:2] == {_ARP:#06x}"]
    either = [_has(name, start + 14 + place, one) for one in wanted.hosts for place in (14, 24) if ":" not in one]
    return " and ".join([*tests, f"({' or '.join(either)})"] if either else tests)


def _inner_discovery(wanted: Wanted, name: str, start: int) -> str:
    tests = [f"{name}[{start + 12}:2] == {_ETHERTYPES[6]:#06x}", _discovery(name, start + 14)]
    either = [_has(name, start + 14 + place, one) for one in wanted.hosts for place in (8, 24) if ":" in one]
    return " and ".join([*tests, f"({' or '.join(either)})"] if either else tests)


def _has(name: str, offset: int, address: str) -> str:
    """Return the test of an address in network byte order."""
    packed = ipaddress.ip_address(address).packed
    words = (struct.unpack_from("!I", packed, at)[0] for at in range(0, len(packed), 4))
    return "(" + " and ".join(f"{name}[{offset + 4 * at}:4] == {word:#x}" for at, word in enumerate(words)) + ")"
