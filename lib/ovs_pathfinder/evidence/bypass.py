"""NORMAL flows for the probe's traffic and for nothing else: around a port's security groups, as a trial."""

from collections.abc import Sequence

from .. import errors, path
from ..temporary import rule
from . import local, record

BRIDGE = "br-int"
_DEAD_VLAN = 4095


class Ways(path.Model):
    """How the probe's packets come into br-int, for each direction, as a match: `in_port=3`."""

    forward: str
    reply: str
    forward_actions: str = "NORMAL"
    reply_actions: str = "NORMAL"


def ways(here: local.Local, role: path.Role) -> Ways:
    """Find where the packets of both directions come into br-int on this host.

    Args:
        here: The host.
        role: The end of the path whose port is looked at.

    Raises:
        PathfinderError: The port or br-int's way to the tunnels does not exist, so that nothing can be tried.
    """
    ports = {each: _port(here, each) for each in here.roles}
    if len(ports) == 2:
        return Ways(forward=ports["source"], reply=ports["destination"])
    match, actions = _from_bridge(here, here.devices[role])
    if role == "source":
        return Ways(forward=ports[role], reply=match, reply_actions=actions)
    return Ways(forward=match, reply=ports[role], forward_actions=actions)


def _port(here: local.Local, role: path.Role) -> str:
    device = here.devices[role]
    if not device.on_switch or device.ofport is None or device.ofport < 1:
        raise errors.PathfinderError(
            f"the port's device {device.name} is not on this host's switch, so no flow can be tried for it"
        )
    return f"in_port={device.ofport}"


def _from_bridge(here: local.Local, device: record.Device) -> tuple[str, str]:
    """Return how packets of the port's network come from the other host, by a patch port, and what NORMAL needs.

    From br-tun they have the local VLAN's tag already; from a physical network's bridge they have the one that they
    travel with, or none, and get the local one first.
    """
    switch, network = here.switch, here.plan.network
    bridges = {one.name: one.bridge for one in switch.interfaces}
    patches = [one for one in switch.interfaces if one.bridge == BRIDGE and one.type == "patch"]
    leading = [one for one in patches if here.bridge and bridges.get(one.options.get("peer", "")) == here.bridge]
    found = next(iter(leading), None)
    if found is None or found.ofport is None or found.ofport < 1:
        where = here.bridge or "the physical network"
        raise errors.PathfinderError(f"{BRIDGE} has no patch port to {where} on this host, so no flow can be tried")
    if device.tag in (None, _DEAD_VLAN):
        raise errors.PathfinderError(
            f"{device.name} has {'no VLAN tag' if device.tag is None else 'the dead VLAN tag'} on this host: Neutron's "
            "agent has not wired it, and no flow can be tried before it has"
        )
    if network.is_tunnelled:
        return f"in_port={found.ofport},dl_vlan={device.tag}", "NORMAL"
    tag = "vlan_tci=0" if network.segmentation_id is None else f"dl_vlan={network.segmentation_id}"
    return f"in_port={found.ofport},{tag}", f"mod_vlan_vid:{device.tag},NORMAL"


def rules(plan: path.Plan, come: Ways, priority: int, *, neighbours: bool) -> tuple[rule.Rule, ...]:
    """Write the flows: the probe's packets and their answers, no other traffic.

    Args:
        plan: The path.
        come: How the packets come into br-int.
        priority: Of all of the flows.
        neighbours: Whether the two ends' questions for each other's MAC address (ARP, RFC 4861) are let through too.
    """
    about = _solicitations(plan) if neighbours else {"forward": (), "reply": ()}
    ways_: dict[path.Direction, tuple[str, str]] = {
        "forward": (come.forward, come.forward_actions),
        "reply": (come.reply, come.reply_actions),
    }
    packets = [(way, _probe(plan, direction)) for direction, way in ways_.items()]
    packets += [(way, question) for direction, way in ways_.items() for question in about[direction]]
    return tuple(
        rule.Rule(priority=priority, match=f"{match},{what}", actions=actions) for (match, actions), what in packets
    )


def _probe(plan: path.Plan, direction: path.Direction) -> str:
    first, second = plan.source.address, plan.destination.address
    if direction == "reply":
        first, second = second, first
    is_v6 = plan.ip_version == 6
    if plan.protocol == "icmp":
        requests = direction == "forward"
        kind = f"icmp6,icmpv6_type={128 if requests else 129}" if is_v6 else f"icmp,icmp_type={8 if requests else 0}"
        port = ""
    else:
        kind = f"{plan.protocol}6" if is_v6 else plan.protocol
        port = f",{plan.protocol}_{'dst' if direction == 'forward' else 'src'}={plan.port}"
    family = "ipv6" if is_v6 else "nw"
    return f"{kind},{family}_src={first},{family}_dst={second}{port}"


def _solicitations(plan: path.Plan) -> dict[path.Direction, Sequence[str]]:
    """Return the matches of both ends' questions and answers, by the direction that they go in."""
    near, far = plan.source, plan.destination
    if plan.ip_version == 4:
        return {
            "forward": [f"arp,arp_spa={near.address},arp_tpa={far.address}"],
            "reply": [f"arp,arp_spa={far.address},arp_tpa={near.address}"],
        }
    return {"forward": _discovery(near, far), "reply": _discovery(far, near)}


def _discovery(sender: path.Endpoint, receiver: path.Endpoint) -> list[str]:
    """Return the sender's solicitation for the receiver's address, and its advertisement of its own."""
    return [
        f"icmp6,icmpv6_type=135,dl_src={sender.port.mac},nd_target={receiver.address}",
        f"icmp6,icmpv6_type=136,dl_src={sender.port.mac},nd_target={sender.address}",
    ]
