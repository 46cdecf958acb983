"""A captured frame → a flow that `ofproto/trace` reads.

The frame itself is never given to `ofproto/trace`: with a packet it commits conntrack entries and learns addresses
(ovs-vswitchd(8)). The fields are those that Open vSwitch takes from a packet (`flow_extract` of `flow.c`) and that
ovs-fields(7) names.
"""

import ipaddress
import struct
from collections.abc import Mapping
from typing import Literal

from .. import errors, path
from . import packet

_VLANS = (0x8100, 0x88A8)
_IPV4, _IPV6, _ARP, _RARP, _LEAST_TYPE, _NO_TYPE = 0x0800, 0x86DD, 0x0806, 0x8035, 0x0600, 0x05FF
_ICMP, _TCP, _UDP, _GRE, _FRAGMENT, _AH, _ICMPV6, _SCTP = 1, 6, 17, 47, 44, 51, 58, 132
_EXTENSIONS = {0, 43, 60, 135}
"""Headers of IPv6 with a length in units of eight bytes: hop-by-hop, routing, destination, mobility."""
_SOLICITATION, _ADVERTISEMENT = 135, 136
_LINK_ADDRESS = {_SOLICITATION: (1, "nd_sll"), _ADVERTISEMENT: (2, "nd_tll")}
_NEVER_TRACKED = {*range(130, 137), 143}
"""ICMPv6 types that the kernel's conntrack leaves alone, neighbour discovery among them (`noct_valid_new`)."""


class Described(path.Model):
    """A frame in the words of ovs-fields(7); the innermost one where it is in a tunnel."""

    fields: tuple[str, ...]
    """Without `in_port`, the tunnel's key and the conntrack state."""
    source_mac: str
    destination_mac: str
    source: str = ""
    """IP address; of ARP, the sender's. Empty of what is neither."""
    destination: str = ""
    protocol: int | None = None
    """Of IP; None of what is not IP."""
    words: str = ""
    """Such as `tcp 41000 > 9443`."""
    can_be_tracked: bool = False
    """Whether conntrack would look at it."""
    phase: Literal["first", "answer", "later"] = "first"
    """What it can be of a connection: its first packet, the answer to that (an echo reply, TCP's SYN and ACK), or a
    segment of TCP behind those, of either end."""
    tunnel: packet.Tunnel | None = None
    tunnel_destination: str = ""
    tunnel_kind: str = ""
    """`gre`, `vxlan` or `geneve`; empty where it is in no tunnel."""


def describe(data: bytes, tunnel_ports: Mapping[str, int] = packet.TUNNEL_PORTS) -> Described:
    """Describe an Ethernet frame; one in a tunnel is looked at inside.

    Raises:
        PathfinderError: It ends within its headers.
    """
    try:
        return _ethernet(data, {port: kind for kind, port in tunnel_ports.items()})
    except (struct.error, IndexError, ValueError) as error:
        raise errors.PathfinderError(
            f"the packet ends within its headers, after {len(data)} bytes; capture with a larger snap length (`-s`)"
        ) from error


def _mac(data: bytes, at: int) -> str:
    if len(data) < at + 6:
        raise ValueError
    return data[at : at + 6].hex(":")


def _address(data: bytes, at: int, size: int) -> str:
    if len(data) < at + size:
        raise ValueError
    return str(ipaddress.ip_address(data[at : at + size]))


def _ethernet(data: bytes, tunnels: Mapping[int, str]) -> Described:
    destination, source = _mac(data, 0), _mac(data, 6)
    (type_,) = struct.unpack_from("!H", data, 12)
    body, vlan = data[14:], list[str]()
    if type_ in _VLANS:
        tag, type_ = struct.unpack_from("!HH", body)
        body, vlan = body[4:], [f"dl_vlan={tag & 0xFFF}", f"dl_vlan_pcp={tag >> 13}"]
    if type_ < _LEAST_TYPE:  # a length; what follows is IEEE 802.2
        type_ = _NO_TYPE
    ends = [f"dl_src={source}", f"dl_dst={destination}", *vlan]
    blank = Described(fields=(), source_mac=source, destination_mac=destination)
    if type_ in (_ARP, _RARP):
        return _arp(body, "arp" if type_ == _ARP else "rarp", ends, blank)
    if type_ == _IPV4:
        return _ipv4(body, ends, blank, tunnels)
    if type_ == _IPV6:
        return _ipv6(body, ends, blank, tunnels)
    name = f"Ethernet type {type_:#06x}"
    return blank.model_copy(update={"fields": (f"dl_type={type_:#06x}", *ends), "words": name})


def _arp(body: bytes, name: str, ends: list[str], blank: Described) -> Described:
    if struct.unpack_from("!HHBB", body) != (1, _IPV4, 6, 4):
        return blank.model_copy(update={"fields": (name, *ends), "words": name})
    (operation,) = struct.unpack_from("!H", body, 6)
    sender, target = _address(body, 14, 4), _address(body, 24, 4)
    fields = [f"arp_op={operation & 0xFF}", f"arp_spa={sender}", f"arp_tpa={target}"]
    fields += [f"arp_sha={_mac(body, 8)}", f"arp_tha={_mac(body, 18)}"]
    words = {1: f"{name} who has {target}", 2: f"{name} {sender} is at {_mac(body, 8)}"}.get(operation, name)
    found = {"fields": (name, *ends, *fields), "source": sender, "destination": target, "words": words}
    return blank.model_copy(update=found)


def _ipv4(body: bytes, ends: list[str], blank: Described, tunnels: Mapping[int, str]) -> Described:
    source, destination = _address(body, 12, 4), _address(body, 16, 4)
    (place,) = struct.unpack_from("!H", body, 6)
    fragment = "later" if place & 0x1FFF else "first" if place & 0x2000 else "no"
    fields = [f"nw_src={source}", f"nw_dst={destination}", f"nw_tos={body[1] & 0xFC}", f"nw_ecn={body[1] & 3}"]
    fields += [f"nw_ttl={body[8]}", f"nw_frag={fragment}"]
    blank = blank.model_copy(update={"source": source, "destination": destination, "protocol": body[9]})
    data = body[(body[0] & 0x0F) * 4 :]
    return _transport(_Packet("ip", [*ends, *fields], fragment, data, tunnels), blank)


def _ipv6(body: bytes, ends: list[str], blank: Described, tunnels: Mapping[int, str]) -> Described:
    source, destination = _address(body, 8, 16), _address(body, 24, 16)
    (first,) = struct.unpack_from("!I", body)
    traffic = first >> 20 & 0xFF
    protocol, fragment, data = _past_extensions(body[6], body[40:])
    fields = [f"ipv6_src={source}", f"ipv6_dst={destination}", f"ipv6_label={first & 0xFFFFF:#x}"]
    fields += [f"nw_tos={traffic & 0xFC}", f"nw_ecn={traffic & 3}", f"nw_ttl={body[7]}", f"nw_frag={fragment}"]
    blank = blank.model_copy(update={"source": source, "destination": destination, "protocol": protocol})
    return _transport(_Packet("ipv6", [*ends, *fields], fragment, data, tunnels), blank)


def _past_extensions(protocol: int, data: bytes) -> tuple[int, str, bytes]:
    """Return the protocol behind IPv6's extension headers, what fragment it is, and what follows."""
    fragment = "no"
    while protocol in _EXTENSIONS or protocol in (_FRAGMENT, _AH):
        following = data[0]
        if protocol == _FRAGMENT:
            (place,) = struct.unpack_from("!H", data, 2)
            fragment = "later" if place & 0xFFF8 else "first" if place & 1 else "no"
            data = data[8:]
            if fragment == "later":
                return following, fragment, data
        else:
            data = data[(data[1] + 2) * 4 :] if protocol == _AH else data[(data[1] + 1) * 8 :]
        protocol = following
    return protocol, fragment, data


class _Packet:
    """An IP packet whose own header has been read."""

    def __init__(self, family: str, fields: list[str], fragment: str, data: bytes, tunnels: Mapping[int, str]) -> None:
        self.family = family
        self.fields = fields
        self.fragment = fragment
        self.data = data
        self.tunnels = tunnels

    def named(self, name: str) -> str:
        return f"{name}6" if self.family == "ipv6" else name


def _transport(of: _Packet, blank: Described) -> Described:
    blank = blank.model_copy(update={"can_be_tracked": True})
    if of.fragment == "later":  # without a header of its protocol; of IPv6, Open vSwitch keeps that of the fragment
        protocol = blank.protocol if of.family == "ip" else _FRAGMENT
        found = (of.family, *of.fields, f"nw_proto={protocol}")
        return blank.model_copy(update={"fields": found, "words": "a later fragment"})
    ports = {_TCP: "tcp", _UDP: "udp", _SCTP: "sctp"}
    if (inner := _inner(of, blank)) is not None:
        return inner
    if blank.protocol in ports:
        return _with_ports(of, blank, ports[blank.protocol])
    if (of.family, blank.protocol) in (("ip", _ICMP), ("ipv6", _ICMPV6)):
        return _control(of, blank)
    found = (of.family, *of.fields, f"nw_proto={blank.protocol}")
    return blank.model_copy(update={"fields": found, "words": f"IP protocol {blank.protocol}"})


def _inner(of: _Packet, blank: Described) -> Described | None:
    """Describe the frame in a tunnel; None where there is no tunnel."""
    if blank.protocol == _GRE:
        kind, found = "gre", packet.in_gre(of.data)
    elif blank.protocol == _UDP and (port := struct.unpack_from("!H", of.data, 2)[0]) in of.tunnels:
        kind = of.tunnels[port]
        found = packet.in_udp(kind, of.data[8:])
    else:
        return None
    if found is None:
        return None
    tunnel = packet.Tunnel(source=blank.source, key=found[1])
    about = {"tunnel": tunnel, "tunnel_destination": blank.destination, "tunnel_kind": kind}
    return _ethernet(found[0], {}).model_copy(update=about)


def _with_ports(of: _Packet, blank: Described, name: str) -> Described:
    source, destination = struct.unpack_from("!HH", of.data)
    fields = [f"{name}_src={source}", f"{name}_dst={destination}"]
    words, flags = f"{name} {source} > {destination}", 0
    if name == "tcp":
        flags = struct.unpack_from("!H", of.data, 12)[0] & 0x0FFF
        fields.append(f"tcp_flags={flags:#x}")
        words += "".join(f" {word}" for bit, word in ((2, "SYN"), (16, "ACK"), (1, "FIN"), (4, "RST")) if flags & bit)
    phase = "first" if name != "tcp" or flags & 0x12 == 2 else "answer" if flags & 2 else "later"
    found = {"fields": (of.named(name), *of.fields, *fields), "words": words, "phase": phase}
    return blank.model_copy(update=found)


def _control(of: _Packet, blank: Described) -> Described:
    """Describe ICMP, and neighbour discovery with its target (RFC 4861)."""
    type_, code = of.data[0], of.data[1]
    name = "icmp" if of.family == "ip" else "icmpv6"
    fields = [f"{name}_type={type_}", f"{name}_code={code}"]
    is_discovery = name == "icmpv6" and type_ in _LINK_ADDRESS and code == 0
    if is_discovery:
        fields.append(f"nd_target={_address(of.data, 8, 16)}")
        fields += _link_address(of.data, type_)
    found = {
        "fields": (of.named("icmp"), *of.fields, *fields),
        "words": f"{name} type {type_} code {code}",
        "can_be_tracked": not (name == "icmpv6" and type_ in _NEVER_TRACKED),
        "phase": "answer" if (name, type_) in (("icmp", 0), ("icmpv6", 129)) else "first",
    }
    return blank.model_copy(update=found)


def _link_address(data: bytes, type_: int) -> list[str]:
    """Return the link-layer address option of a solicitation or an advertisement."""
    wanted, name = _LINK_ADDRESS[type_]
    at = 24
    while at + 8 <= len(data):
        kind, units = data[at], data[at + 1]
        if kind == wanted and units == 1:
            return [f"{name}={_mac(data, at + 2)}"]
        at += 8 * max(units, 1)
    return []
