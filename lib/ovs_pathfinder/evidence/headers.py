"""Where a frame's headers end: what lies behind is somebody's data, and is not kept.

The quote of an ICMP error (RFC 792, RFC 4443) is somebody's packet as well, of which the headers are kept. Messages of
neighbour discovery (RFC 4861) and ARP hold nothing but addresses, and are kept whole.
"""

import struct
from collections.abc import Mapping

from . import packet

_VLANS = (0x8100, 0x88A8)
_IPV4, _IPV6, _ARP, _RARP, _TEB = 0x0800, 0x86DD, 0x0806, 0x8035, 0x6558
_ICMP, _TCP, _UDP, _GRE, _FRAGMENT, _AH, _ICMPV6, _SCTP = 1, 6, 17, 47, 44, 51, 58, 132
_EXTENSIONS = (0, 43, 60, 135)
_ERRORS = {_ICMP: (3, 4, 5, 11, 12), _ICMPV6: (1, 2, 3, 4)}
_DISCOVERY = range(133, 138)
_ARP_BYTES = 28
_FIXED = {_UDP: 8, _SCTP: 12, _ICMP: 8, _ICMPV6: 8}


def end(frame: bytes, tunnel_ports: Mapping[str, int] = packet.TUNNEL_PORTS) -> int:
    """Return how many bytes of an Ethernet frame are headers, those within a tunnel included.

    Args:
        frame: From its destination address on; one that is cut short within its headers is headers as far as it goes.
        tunnel_ports: The UDP destination port of each kind of tunnel.
    """
    try:
        found = _ethernet(frame, 0, {port: kind for kind, port in tunnel_ports.items()})
    except (struct.error, IndexError):
        return len(frame)
    return min(found, len(frame))


def _word(data: bytes, at: int) -> int:
    return struct.unpack_from("!H", data, at)[0]


def _ethernet(data: bytes, at: int, tunnels: Mapping[int, str]) -> int:
    type_, at = _word(data, at + 12), at + 14
    while type_ in _VLANS:
        type_, at = _word(data, at + 2), at + 4
    return _network(data, at, type_, tunnels)


def _network(data: bytes, at: int, type_: int, tunnels: Mapping[int, str]) -> int:
    if type_ in (_ARP, _RARP):
        return at + _ARP_BYTES
    if type_ == _IPV4:
        behind = at + max(20, (data[at] & 0x0F) * 4)
        return behind if _word(data, at + 6) & 0x1FFF else _transport(data, behind, data[at + 9], tunnels)
    if type_ == _IPV6:
        return _past_extensions(data, at + 40, data[at + 6], tunnels)
    return at


def _past_extensions(data: bytes, at: int, protocol: int, tunnels: Mapping[int, str]) -> int:
    while protocol in _EXTENSIONS or protocol in (_FRAGMENT, _AH):
        following, units = data[at], data[at + 1]
        if protocol == _FRAGMENT:
            is_later = _word(data, at + 2) & 0xFFF8
            at += 8
            if is_later:
                return at
        else:
            at += (units + 2) * 4 if protocol == _AH else (units + 1) * 8
        protocol = following
    return _transport(data, at, protocol, tunnels)


def _transport(data: bytes, at: int, protocol: int, tunnels: Mapping[int, str]) -> int:
    if protocol == _TCP:
        return at + max(20, (data[at + 12] >> 4) * 4)
    if protocol == _GRE:
        return _gre(data, at)
    if protocol == _UDP and (kind := tunnels.get(_word(data, at + 2))) is not None:
        return _udp_tunnel(data, at + 8, kind)
    if protocol in _ERRORS and data[at] in _ERRORS[protocol]:
        return _network(data, at + 8, _IPV4 if protocol == _ICMP else _IPV6, {})
    if protocol == _ICMPV6 and data[at] in _DISCOVERY:
        return len(data)
    return at + _FIXED.get(protocol, 0)


def _gre(data: bytes, at: int) -> int:
    flags, type_ = _word(data, at), _word(data, at + 2)
    at += 4 + sum(4 for bit in (0x8000, 0x2000, 0x1000) if flags & bit)
    return _ethernet(data, at, {}) if type_ == _TEB else _network(data, at, type_, {})


def _udp_tunnel(data: bytes, at: int, kind: str) -> int:
    if kind != "geneve":
        return _ethernet(data, at + 8, {})
    type_, behind = _word(data, at + 2), at + 8 + (data[at] & 0x3F) * 4
    return _ethernet(data, behind, {}) if type_ == _TEB else _network(data, behind, type_, {})
