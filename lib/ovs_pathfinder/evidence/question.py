"""Questions for a neighbour, asked anew: an ARP request (RFC 826) or a neighbour solicitation (RFC 4861, 4.3).

The kernel asks only where it has no entry, or an old one. Whether a guest that answers nothing still answers this tells
one that filters from one that has lost its address.
"""

import contextlib
import ipaddress
import re
import socket

from .. import path, process
from ..cloud import security
from . import host, synthetic

_ARP = 0x0806
_ICMPV6 = 58
_HOP_LIMIT = 255
_ASKED = 1
"""Whole seconds since an answer to a question that went out with the ping, which is waited for for half a second."""


def ask(plan: path.Plan, device: str) -> None:
    """Ask once from a device for the destination's MAC address; who watches sees whether it is answered."""
    with contextlib.suppress(OSError):  # a device that has gone says so elsewhere
        if plan.ip_version == 4:
            _arp(plan, device)
        else:
            _solicit(plan, device)


def _arp(plan: path.Plan, device: str) -> None:
    mac = bytes.fromhex(plan.source.port.mac.replace(":", ""))
    ends = (ipaddress.ip_address(one.address).packed for one in (plan.source, plan.destination))
    sender, target = ends
    request = bytes.fromhex("0001080006040001") + mac + sender + bytes(6) + target
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((device, 0))
        raw.send(b"\xff" * 6 + mac + _ARP.to_bytes(2, "big") + request)


def _solicit(plan: path.Plan, device: str) -> None:
    """Send a solicitation; the kernel fills in the checksum of ICMPv6 (RFC 3542, 3.1)."""
    target = ipaddress.ip_address(plan.destination.address).packed
    option = b"\x01\x01" + bytes.fromhex(plan.source.port.mac.replace(":", ""))
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, _ICMPV6) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, _HOP_LIMIT)
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, _HOP_LIMIT)
        raw.bind((plan.source.address, 0))
        raw.sendto(b"\x87" + bytes(7) + target + option, (synthetic.solicited_node(plan.destination.address), 0))


def link_local(plan: path.Plan, device: str) -> str:
    """Ask for the guest's own link-local address (RFC 4291, 2.5.6), which it has whatever became of its others.

    Returns:
        `answered` where it answers a ping, or else the state of the host's neighbour entry for it; empty without one,
        or where the entry is from before: the kernel takes a guest for reachable for half a minute after its last word.
    """
    address = security.link_local(plan.destination.port.mac)
    try:
        said = process.run(process.Command(["ping", "-6", "-n", "-c", "1", "-W", "0.5", ("-I", device)], address))
    except process.ProcessError as error:
        said = error.stdout
    if re.search(r"\b1 received", said):
        return "answered"
    known = host.neighbour_entry(address, device)
    is_old = known.confirmed is None or known.confirmed > _ASKED
    return "" if known.state == "REACHABLE" and is_old else known.state
