"""Frames as captured → what they are to the probe: which packet, which direction, in which tunnel.

Only headers are looked at, and a frame may be cut short behind them. Formats: IEEE 802.3 and 802.1Q, RFC 826 (ARP),
RFC 791, RFC 8200, RFC 792, RFC 4443, RFC 4861 (neighbour discovery), RFC 2784 and 2890 (GRE), RFC 7348 (VXLAN), RFC
8926 (Geneve).
"""

import dataclasses
import ipaddress
import struct
from collections.abc import Mapping
from typing import Any, Literal

from .. import path

Kind = Literal["echo-request", "echo-reply", "tcp", "udp", "solicitation", "advertisement", "unreachable"]

_VLANS = (0x8100, 0x88A8)
"""802.1Q and the outer tag of 802.1ad."""
_IPV4, _IPV6, _ARP, _TRANSPARENT_ETHERNET = 0x0800, 0x86DD, 0x0806, 0x6558
_ICMP, _TCP, _UDP, _GRE, _ICMPV6 = 1, 6, 17, 47, 58
_ECHO: dict[tuple[int, int], Kind] = {
    (_ICMP, 8): "echo-request",
    (_ICMP, 0): "echo-reply",
    (_ICMPV6, 128): "echo-request",
    (_ICMPV6, 129): "echo-reply",
}
_UNREACHABLE = {(_ICMP, 3), (_ICMPV6, 1)}
_DISCOVERY: dict[int, Kind] = {135: "solicitation", 136: "advertisement"}
_FRAGMENT = 44
TUNNEL_PORTS = {"vxlan": 4789, "geneve": 6081}
"""UDP ports assigned by IANA; a tunnel port of Open vSwitch may name another (`options:dst_port`)."""


class Tunnel(path.Model):
    """The outer header of a frame that was captured on the underlay."""

    source: str
    key: int | None = None


class Packet(path.Model):
    """What matters of one captured frame; of the innermost one where it is in a tunnel."""

    kind: Kind
    source: str
    """IP address; of ARP, the sender's."""
    destination: str
    """IP address; of ARP and neighbour discovery, the address that is asked for or answered."""
    source_mac: str
    destination_mac: str = ""
    identity: str = ""
    """`ID/SEQUENCE` of ICMP echo; `SOURCE PORT>DESTINATION PORT` of TCP and UDP."""
    payload: bytes = b""
    tcp_flags: int = 0
    tunnel: Tunnel | None = None


@dataclasses.dataclass(frozen=True)
class _Carried:
    """What is known of a frame before its body is looked at."""

    tunnel_ports: Mapping[int, str]
    tunnel: Tunnel | None = None
    source_mac: str = ""
    destination_mac: str = ""

    def packet(self, kind: Kind, source: str, destination: str, **more: Any) -> Packet:
        return Packet(
            kind=kind,
            source=source,
            destination=destination,
            source_mac=self.source_mac,
            destination_mac=self.destination_mac,
            tunnel=self.tunnel,
            **more,
        )


def decode(frame: bytes, tunnel_ports: Mapping[str, int] = TUNNEL_PORTS) -> Packet | None:
    """Decode an Ethernet frame; None for what no probe looks for, and for what is cut short within its headers.

    Args:
        frame: From its destination address on.
        tunnel_ports: The UDP destination port of each kind of tunnel.
    """
    try:
        return _ethernet(frame, _Carried({port: kind for kind, port in tunnel_ports.items()}))
    except (struct.error, IndexError, ValueError):
        return None


def _text(raw: bytes, size: int) -> str:
    """Return an address of `size` bytes; one that was cut short must not pass for one of the other family."""
    if len(raw) != size:
        raise ValueError("cut short")
    return str(ipaddress.ip_address(raw))


def _ethernet(frame: bytes, carried: _Carried) -> Packet | None:
    carried = dataclasses.replace(carried, destination_mac=frame[:6].hex(":"), source_mac=frame[6:12].hex(":"))
    (type_,) = struct.unpack_from("!H", frame, 12)
    offset = 14
    while type_ in _VLANS:
        (type_,) = struct.unpack_from("!H", frame, offset + 2)
        offset += 4
    body = frame[offset:]
    if type_ == _ARP:
        return _arp(body, carried)
    if type_ == _IPV4:
        if struct.unpack_from("!H", body, 6)[0] & 0x1FFF:  # a later fragment has no transport header
            return None
        ends = _text(body[12:16], 4), _text(body[16:20], 4)
        return _transport(body[9], *ends, body[(body[0] & 0x0F) * 4 :], carried)
    if type_ == _IPV6:
        ends = _text(body[8:24], 16), _text(body[24:40], 16)
        protocol, data = body[6], body[40:]
        if protocol == _FRAGMENT:
            if struct.unpack_from("!H", data, 2)[0] & 0xFFF8:
                return None
            protocol, data = data[0], data[8:]
        return _transport(protocol, *ends, data, carried)
    return None


def _arp(body: bytes, carried: _Carried) -> Packet:
    (operation,) = struct.unpack_from("!H", body, 6)
    sender, target = _text(body[14:18], 4), _text(body[24:28], 4)
    if operation == 1:
        return carried.packet("solicitation", sender, target)
    return carried.packet("advertisement", sender, sender)


def _transport(protocol: int, source: str, destination: str, data: bytes, carried: _Carried) -> Packet | None:
    if protocol == _GRE and carried.tunnel is None:
        return _gre(data, source, carried)
    if protocol in (_TCP, _UDP):
        ports = struct.unpack_from("!HH", data)
        kind = carried.tunnel_ports.get(ports[1]) if protocol == _UDP and carried.tunnel is None else None
        if kind is not None:
            return _udp_tunnel(kind, data[8:], source, carried)
        identity = f"{ports[0]}>{ports[1]}"
        if protocol == _TCP:
            carries = data[(data[12] >> 4) * 4 :]
            return carried.packet("tcp", source, destination, identity=identity, payload=carries, tcp_flags=data[13])
        return carried.packet("udp", source, destination, identity=identity, payload=data[8:])
    if protocol == _ICMPV6 and data[0] in _DISCOVERY:
        return carried.packet(_DISCOVERY[data[0]], source, _text(data[8:24], 16))
    if (protocol, data[0]) in _UNREACHABLE:
        return carried.packet("unreachable", source, destination, payload=data[8:])
    if (echo := _ECHO.get((protocol, data[0]))) is not None:
        identifier, sequence = struct.unpack_from("!HH", data, 4)
        return carried.packet(echo, source, destination, identity=f"{identifier}/{sequence}", payload=data[8:])
    return None


def _gre(data: bytes, outer: str, carried: _Carried) -> Packet | None:
    inner = in_gre(data)
    if inner is None:
        return None
    return _ethernet(inner[0], dataclasses.replace(carried, tunnel=Tunnel(source=outer, key=inner[1])))


def _udp_tunnel(kind: str, data: bytes, outer: str, carried: _Carried) -> Packet | None:
    inner = in_udp(kind, data)
    if inner is None:
        return None
    return _ethernet(inner[0], dataclasses.replace(carried, tunnel=Tunnel(source=outer, key=inner[1])))


def in_gre(data: bytes) -> tuple[bytes, int | None] | None:
    """Return the frame that a GRE packet carries, and its key; None where it carries no Ethernet."""
    flags, type_ = struct.unpack_from("!HH", data)
    offset = 8 if flags & 0x8000 else 4  # a checksum
    key = None
    if flags & 0x2000:
        (key,) = struct.unpack_from("!I", data, offset)
        offset += 4
    offset += 4 if flags & 0x1000 else 0  # a sequence number
    return (data[offset:], key) if type_ == _TRANSPARENT_ETHERNET else None


def in_udp(kind: str, data: bytes) -> tuple[bytes, int] | None:
    """Return the frame that VXLAN or Geneve carries in a UDP payload, and its key; None where it is no Ethernet."""
    if kind == "geneve" and struct.unpack_from("!H", data, 2)[0] != _TRANSPARENT_ETHERNET:
        return None
    options = (data[0] & 0x3F) * 4 if kind == "geneve" else 0
    return data[8 + options :], int.from_bytes(data[4:7], "big")
