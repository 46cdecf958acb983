"""Packets that nobody has sent, as flows for `ofproto/trace` (ovs-fields(7)): the probe's, or one like it."""

import ipaddress
from typing import Literal

from .. import path
from . import record

_TRACKED: dict[tuple[path.Direction, record.State], str] = {
    ("forward", "new"): "trk|new",
    ("forward", "established"): "trk|est",
    ("reply", "new"): "trk|new",
    ("reply", "established"): "trk|est|rpl",
}
"""The conntrack state with which a packet comes to the switch."""
_RESUMED: dict[tuple[path.Direction, record.State], str] = {
    ("forward", "established"): "trk,est",
    ("reply", "untracked"): "trk,est,rpl",
    ("reply", "established"): "trk,est,rpl",
}
"""The conntrack state with which a packet is recirculated; new, as ofproto/trace takes it, where it is not here."""
_RECIRCULATIONS = 2
"""How often Neutron's flows recirculate a packet on one host: out of one port, and into another."""


class Headers(path.Model):
    """What stands in the headers of a packet."""

    source_mac: path.Mac
    destination_mac: path.Mac
    source: path.Address
    destination: path.Address
    protocol: path.Protocol
    source_port: int | None = None
    destination_port: int | None = None
    is_reply: bool = False
    """Of an echo."""

    @property
    def ip_version(self) -> Literal[4, 6]:
        """The version of its addresses."""
        return 6 if ":" in self.destination else 4

    def __str__(self) -> str:
        if self.protocol == "icmp":
            what = "echo reply" if self.is_reply else "echo request"
            return f"ICMP {what} from {self.source} to {self.destination}"
        ends = f"{self.source} port {self.source_port} to {self.destination} port {self.destination_port}"
        return f"{self.protocol.upper()} from {ends}"


def headers(plan: path.Plan, direction: path.Direction) -> Headers:
    """Return the headers of the probe's packet in one direction."""
    first, second, ports = plan.source, plan.destination, (path.EPHEMERAL_PORT, plan.port)
    if direction == "reply":
        first, second, ports = second, first, (plan.port, path.EPHEMERAL_PORT)
    return Headers(
        source_mac=first.port.mac,
        destination_mac=second.port.mac,
        source=first.address,
        destination=second.address,
        protocol=plan.protocol,
        source_port=ports[0] if plan.port is not None else None,
        destination_port=ports[1] if plan.port is not None else None,
        is_reply=direction == "reply",
    )


HEARTBEAT_PORT = 5555
"""UDP port of Octavia's health manager (`[health_manager] bind_port`)."""


def heartbeat(plan: path.Plan) -> Headers:
    """Return the headers of an amphora's message to the health manager: from the destination to the source."""
    packet = headers(plan, "reply")
    ports = {"source_port": path.EPHEMERAL_PORT, "destination_port": HEARTBEAT_PORT, "is_reply": False}
    return packet.model_copy(update={"protocol": "udp", **ports})


def match_heartbeat(plan: path.Plan) -> str:
    """Write what all of those have in common, as a match."""
    family = "ipv6" if plan.ip_version == 6 else "nw"
    ends = f"{family}_src={plan.destination.address},{family}_dst={plan.source.address}"
    return f"{_protocol('udp', plan.ip_version)},{ends},udp_dst={HEARTBEAT_PORT}"


def tracked(direction: path.Direction, state: record.State) -> str:
    """Return the conntrack state of a packet that conntrack has seen (`trk|new`); empty for one that it has not."""
    return _TRACKED.get((direction, state), "")


def resumed(direction: path.Direction, state: record.State) -> tuple[str, ...]:
    """Return the conntrack state of a packet for each time that it is recirculated, as `trace.run` takes it."""
    found = _RESUMED.get((direction, state))
    return (found,) * _RECIRCULATIONS if found else ()


def entry(ofport: int, tunnel_key: int | None = None, ct_state: str = "", vlan: int | None = None) -> str:
    """Write how a packet comes in: by which port, out of which tunnel or VLAN, and what conntrack has said of it."""
    tag = [f"dl_vlan={vlan}"] if vlan is not None else []
    tunnel = [f"tun_id={tunnel_key:#x}"] if tunnel_key is not None else []
    return ",".join([f"in_port={ofport}", *tunnel, *tag, *([f"ct_state={ct_state}"] if ct_state else [])])


def write(packet: Headers) -> str:
    """Write a packet as a flow, without its entry."""
    family = "ipv6" if packet.ip_version == 6 else "nw"
    fields = [
        _protocol(packet.protocol, packet.ip_version),
        f"dl_src={packet.source_mac}",
        f"dl_dst={packet.destination_mac}",
        f"{family}_src={packet.source}",
        f"{family}_dst={packet.destination}",
        "nw_ttl=64",
        *_transport(packet),
    ]
    return ",".join(fields)


def match(plan: path.Plan, direction: path.Direction) -> str:
    """Write what all packets of the probe have in common in one direction, as a match."""
    first, second = plan.source.address, plan.destination.address
    if direction == "reply":
        first, second = second, first
    family = "ipv6" if plan.ip_version == 6 else "nw"
    return f"{_protocol(plan.protocol, plan.ip_version)},{family}_src={first},{family}_dst={second}"


def _protocol(protocol: path.Protocol, ip_version: Literal[4, 6]) -> str:
    return protocol + ("6" if ip_version == 6 else "")


def _transport(packet: Headers) -> list[str]:
    if packet.protocol == "icmp" and packet.ip_version == 6:
        return [f"icmpv6_type={129 if packet.is_reply else 128}", "icmpv6_code=0"]
    if packet.protocol == "icmp":
        return [f"icmp_type={0 if packet.is_reply else 8}", "icmp_code=0"]
    return [f"{packet.protocol}_src={packet.source_port}", f"{packet.protocol}_dst={packet.destination_port}"]


def solicited_node(address: str) -> str:
    """Return the multicast group in which an IPv6 address is asked for (RFC 4291, 2.7.1)."""
    tail = ipaddress.ip_address(address).packed[-3:]
    return str(ipaddress.IPv6Address(ipaddress.ip_address("ff02::1:ff00:0").packed[:13] + tail))


def solicitation(plan: path.Plan) -> str:
    """Write the question for the destination's MAC address: ARP, or a neighbour solicitation (RFC 4861)."""
    source, target = plan.source, plan.destination
    if plan.ip_version == 4:
        fields = [
            "arp",
            f"dl_src={source.port.mac}",
            "dl_dst=ff:ff:ff:ff:ff:ff",
            "arp_op=1",
            f"arp_spa={source.address}",
            f"arp_tpa={target.address}",
            f"arp_sha={source.port.mac}",
        ]
        return ",".join(fields)
    group = solicited_node(target.address)
    fields = [
        "icmp6",
        f"dl_src={source.port.mac}",
        f"dl_dst=33:33:{ipaddress.ip_address(group).packed[-4:].hex(':')}",
        f"ipv6_src={source.address}",
        f"ipv6_dst={group}",
        "nw_ttl=255",
        "icmpv6_type=135",
        "icmpv6_code=0",
        f"nd_target={target.address}",
        f"nd_sll={source.port.mac}",
    ]
    return ",".join(fields)
