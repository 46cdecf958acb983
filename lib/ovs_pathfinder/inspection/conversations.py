"""Packets of a capture file → who spoke with whom, how much and when; of tunnelled packets, the inner ones."""

import dataclasses
import datetime
import ipaddress
import struct
from collections.abc import Iterable, Mapping

from .. import path
from ..evidence import packet, pcap

TOP = 20
_IPV4, _IPV6, _HOP_BY_HOP = 0x0800, 0x86DD, 0
_PROTOCOLS = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 47: "gre", 58: "icmp6", 112: "vrrp", 132: "sctp"}


class Flow(path.Model):
    """Packets of one kind in one direction."""

    source: str
    """An IP address; a MAC address where the packet has none that is understood."""
    destination: str
    """The same; of an answer about an address, the MAC address that it was sent to."""
    protocol: str
    """`icmp`, `icmp6`, `tcp`, `udp`, `arp`, `nd` and so on, or an Ethernet type."""
    kind: str = ""
    """The type of ICMP and its identifier, or `SOURCE PORT > DESTINATION PORT`."""
    outer: str = ""
    """The tunnel end that sent it; empty outside tunnels."""
    key: int | None = None
    """The tunnel's key."""
    packets: int
    bytes: int
    """On the wire, with the headers of a tunnel."""
    first: float
    """Seconds since the epoch."""
    last: float

    @property
    def since(self) -> str:
        """The time of the first packet, UTC."""
        return clock(self.first)

    @property
    def until(self) -> str:
        """The time of the last packet, UTC."""
        return clock(self.last)


class Summary(path.Model):
    """What a file holds."""

    packets: int
    flows: tuple[Flow, ...]
    """The largest ones, by packets."""
    more: int = 0
    """How many flows are left out."""
    first: float | None = None
    """When the first packet came, in seconds since the epoch; None where there is none."""
    unknown: int = 0
    """Packets that are only told by their protocol."""


@dataclasses.dataclass
class _Count:
    packets: int = 0
    bytes: int = 0
    first: float = 0.0
    last: float = 0.0


def clock(moment: float) -> str:
    """Write a time of day, UTC, in milliseconds."""
    return datetime.datetime.fromtimestamp(moment, datetime.timezone.utc).strftime("%H:%M:%S.%f")[:-3]


def summarize(packets: Iterable[pcap.Packet], tunnel_ports: Mapping[str, int] = packet.TUNNEL_PORTS) -> Summary:
    """Count packets by flow."""
    counts: dict[tuple[str, str, str, str, str, int | None], _Count] = {}
    total = unknown = 0
    first: float | None = None
    for one in packets:
        total += 1
        first = one.time if first is None else first
        decoded = packet.decode(one.data, tunnel_ports)
        unknown += decoded is None
        count = counts.setdefault(_name(one.data, decoded), _Count(first=one.time))
        count.packets += 1
        count.bytes += one.length
        count.last = one.time
    ranked = sorted(counts.items(), key=lambda each: (-each[1].packets, each[1].first))
    flows = (
        Flow(
            source=source,
            destination=destination,
            protocol=protocol,
            kind=kind,
            outer=outer,
            key=key,
            packets=count.packets,
            bytes=count.bytes,
            first=count.first,
            last=count.last,
        )
        for (source, destination, protocol, kind, outer, key), count in ranked[:TOP]
    )
    return Summary(packets=total, flows=tuple(flows), more=max(0, len(ranked) - TOP), first=first, unknown=unknown)


def _name(frame: bytes, decoded: packet.Packet | None) -> tuple[str, str, str, str, str, int | None]:
    if decoded is None:
        return *_bare(frame), "", None
    is_v6 = ":" in decoded.source
    protocol, kind = _kind(decoded, "icmp6" if is_v6 else "icmp", is_v6=is_v6)
    outer, key = (decoded.tunnel.source, decoded.tunnel.key) if decoded.tunnel else ("", None)
    # An answer about an address goes to whoever asked, of whom the packet has the MAC address only.
    target = decoded.destination_mac if decoded.kind == "advertisement" else decoded.destination
    return decoded.source, target, protocol, kind, outer, key


def _bare(frame: bytes) -> tuple[str, str, str, str]:
    """Tell a packet that is of no known kind by its outermost header: IP, or else Ethernet."""
    if len(frame) < 14:
        return "", "", "cut short", ""
    (type_,) = struct.unpack_from("!H", frame, 12)
    body = frame[14:]
    if type_ == _IPV4 and len(body) >= 20:
        ends, protocol, rest = (body[12:16], body[16:20]), body[9], body[(body[0] & 0x0F) * 4 :]
    elif type_ == _IPV6 and len(body) >= 40:
        ends, protocol, rest = (body[8:24], body[24:40]), body[6], body[40:]
        if protocol == _HOP_BY_HOP and len(rest) >= 8:
            protocol, rest = rest[0], rest[(rest[1] + 1) * 8 :]
    else:
        return frame[6:12].hex(":"), frame[:6].hex(":"), f"ethertype {type_:#06x}", ""
    name = _PROTOCOLS.get(protocol, f"ip protocol {protocol}")
    kind = f"type {rest[0]}" if name in ("icmp", "icmp6") and rest else ""
    source, destination = (str(ipaddress.ip_address(end)) for end in ends)
    return source, destination, name, kind


def _kind(decoded: packet.Packet, icmp: str, *, is_v6: bool) -> tuple[str, str]:
    if decoded.kind in ("solicitation", "advertisement"):
        words = {"solicitation": "request", "advertisement": "reply"}
        return ("nd", decoded.kind) if is_v6 else ("arp", words[decoded.kind])
    if decoded.kind in ("echo-request", "echo-reply"):
        return icmp, f"{decoded.kind} id {decoded.identity.partition('/')[0]}"
    if decoded.kind == "unreachable":
        return icmp, "unreachable"
    return decoded.kind, decoded.identity.replace(">", " > ")
