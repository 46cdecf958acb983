"""Frames as captured → what they are to the probe: which packet, which direction, in which tunnel.

Only headers are looked at, and a frame may be cut short behind them. Formats: IEEE 802.3 and 802.1Q, RFC 826 (ARP),
RFC 791, RFC 8200, RFC 792, RFC 4443, RFC 4861 (neighbour discovery), RFC 2784 and 2890 (GRE), RFC 7348 (VXLAN), RFC
8926 (Geneve).
"""

import ipaddress
import struct
from typing import Literal

from .. import path

Kind = Literal["echo-request", "echo-reply", "tcp", "udp", "solicitation", "advertisement", "unreachable"]

_VLAN, _IPV4, _IPV6, _ARP, _TRANSPARENT_ETHERNET = 0x8100, 0x0800, 0x86DD, 0x0806, 0x6558
_ICMP, _TCP, _UDP, _GRE, _ICMPV6 = 1, 6, 17, 47, 58
_ECHO: dict[tuple[int, int], Kind] = {
    (_ICMP, 8): "echo-request",
    (_ICMP, 0): "echo-reply",
    (_ICMPV6, 128): "echo-request",
    (_ICMPV6, 129): "echo-reply",
}
_UNREACHABLE = {(_ICMP, 3), (_ICMPV6, 1)}
_DISCOVERY: dict[int, Kind] = {135: "solicitation", 136: "advertisement"}
_TUNNEL_PORTS = {4789: "vxlan", 6081: "geneve"}


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
    identity: str = ""
    """`ID/SEQUENCE` of ICMP echo; `SOURCE PORT>DESTINATION PORT` of TCP and UDP."""
    payload: bytes = b""
    tcp_flags: int = 0
    tunnel: Tunnel | None = None


def decode(frame: bytes) -> Packet | None:
    """Decode an Ethernet frame; None for what no probe looks for, and for what is cut short within its headers."""
    try:
        return _ethernet(frame, None)
    except (struct.error, IndexError, ValueError):
        return None


def _text(raw: bytes, size: int) -> str:
    """Return an address of `size` bytes; one that was cut short must not pass for one of the other family."""
    if len(raw) != size:
        raise ValueError("cut short")
    return str(ipaddress.ip_address(raw))


def _ethernet(frame: bytes, tunnel: Tunnel | None) -> Packet | None:
    mac = frame[6:12].hex(":")
    (type_,) = struct.unpack_from("!H", frame, 12)
    offset = 14
    while type_ == _VLAN:
        (type_,) = struct.unpack_from("!H", frame, offset + 2)
        offset += 4
    body = frame[offset:]
    if type_ == _ARP:
        return _arp(body, mac, tunnel)
    if type_ == _IPV4:
        if struct.unpack_from("!H", body, 6)[0] & 0x1FFF:  # a later fragment has no transport header
            return None
        ends = _text(body[12:16], 4), _text(body[16:20], 4)
        return _transport(body[9], *ends, body[(body[0] & 0x0F) * 4 :], mac, tunnel)
    if type_ == _IPV6:
        ends = _text(body[8:24], 16), _text(body[24:40], 16)
        return _transport(body[6], *ends, body[40:], mac, tunnel)
    return None


def _arp(body: bytes, mac: str, tunnel: Tunnel | None) -> Packet:
    (operation,) = struct.unpack_from("!H", body, 6)
    sender, target = _text(body[14:18], 4), _text(body[24:28], 4)
    if operation == 1:
        return Packet(kind="solicitation", source=sender, destination=target, source_mac=mac, tunnel=tunnel)
    return Packet(kind="advertisement", source=sender, destination=sender, source_mac=mac, tunnel=tunnel)


def _transport(
    protocol: int, source: str, destination: str, data: bytes, mac: str, tunnel: Tunnel | None
) -> Packet | None:
    if protocol == _GRE and tunnel is None:
        return _gre(data, source)
    if protocol == _UDP and tunnel is None and (kind := _TUNNEL_PORTS.get(int.from_bytes(data[2:4], "big"))):
        return _udp_tunnel(kind, data[8:], source)
    packet = Packet(
        kind="unreachable",
        source=source,
        destination=destination,
        source_mac=mac,
        tunnel=tunnel,
    )
    if protocol in (_TCP, _UDP):
        ports = struct.unpack_from("!HH", data)
        is_tcp = protocol == _TCP
        update = {
            "kind": "tcp" if is_tcp else "udp",
            "identity": f"{ports[0]}>{ports[1]}",
            "tcp_flags": data[13] if is_tcp else 0,
            "payload": b"" if is_tcp else data[8:],
        }
        return packet.model_copy(update=update)
    if protocol == _ICMPV6 and data[0] in _DISCOVERY:
        update = {"kind": _DISCOVERY[data[0]], "destination": _text(data[8:24], 16)}
        return packet.model_copy(update=update)
    if (protocol, data[0]) in _UNREACHABLE:
        return packet.model_copy(update={"payload": data[8:]})
    if (echo := _ECHO.get((protocol, data[0]))) is not None:
        identifier, sequence = struct.unpack_from("!HH", data, 4)
        update = {"kind": echo, "identity": f"{identifier}/{sequence}", "payload": data[8:]}
        return packet.model_copy(update=update)
    return None


def _gre(data: bytes, outer: str) -> Packet | None:
    flags, type_ = struct.unpack_from("!HH", data)
    offset = 8 if flags & 0x8000 else 4  # a checksum
    key = None
    if flags & 0x2000:
        (key,) = struct.unpack_from("!I", data, offset)
        offset += 4
    offset += 4 if flags & 0x1000 else 0  # a sequence number
    return _ethernet(data[offset:], Tunnel(source=outer, key=key)) if type_ == _TRANSPARENT_ETHERNET else None


def _udp_tunnel(kind: str, data: bytes, outer: str) -> Packet | None:
    options = (data[0] & 0x3F) * 4 if kind == "geneve" else 0
    key = int.from_bytes(data[4:7], "big")  # VXLAN and Geneve alike
    return _ethernet(data[8 + options :], Tunnel(source=outer, key=key))
