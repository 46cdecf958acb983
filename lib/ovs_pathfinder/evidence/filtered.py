"""What the flows of this host's firewall do with a packet, at one port: whether it gets out of it, or into it."""

import itertools
from typing import Literal

from .. import path, process
from ..cloud import rules
from ..vswitch import database, tables, trace, tracing, trunk
from . import synthetic, theory

_ACCEPTED = (73, 91, 94)
"""Tables of br-int that a packet comes to when the firewall has let it out of a port."""
_DROPPED = 93
_HYBRID = "qvo"
_STRANGER = "fa:16:3e:00:00:00"
"""The MAC address of the other end where that is not known: the firewall does not look at it."""


class Filtered(path.Model):
    """What the flows do."""

    passes: bool | None
    """None where it cannot be told."""
    where: str
    """The flow that decided, in words; or why it cannot be told, as a sentence without its full stop."""
    command: str = ""
    """The trace as a command to paste."""


def egress(entry: database.Interface, packet: rules.Packet, destination_mac: str = "") -> Filtered:
    """Say whether a port of this host may send a packet, by the flows."""
    if (trouble := _trouble(entry)) is not None:
        return trouble
    flow = f"{synthetic.entry(entry.ofport or 0)},{_fields(packet, destination_mac or _STRANGER)}"
    return _traced(flow, "egress", "")


def ingress(
    leave: database.Interface, packet: rules.Packet, mac: str, switch: database.Switch, ports: dict[str, str]
) -> Filtered:
    """Say whether a packet from another host comes to a port of this one, by the flows of br-int.

    Args:
        leave: The port.
        packet: What comes.
        mac: The port's MAC address.
        switch: This host's.
        ports: The datapath's port numbers.
    """
    if (trouble := _trouble(leave)) is not None:
        return trouble
    patches = [
        one
        for one in switch.interfaces
        if one.type == "patch" and one.bridge == leave.bridge and not trunk.is_patch(one.name)
    ]
    patch = next((one for one in patches if one.name == "patch-tun"), patches[0] if patches else None)
    if patch is None or patch.ofport is None or leave.tag is None:
        why = f"{leave.bridge} has no patch port by which a packet from another host would come"
        return Filtered(passes=None, where=why if patch is None else f"{leave.name} has no VLAN of its own yet")
    flow = f"{synthetic.entry(patch.ofport)},dl_vlan={leave.tag},{_fields(packet, mac)}"
    way = trunk.find(switch, leave)
    return _traced(flow, "ingress", ports.get(way.device if way else leave.name, ""), way.bridge if way else "")


def _trouble(interface: database.Interface) -> Filtered | None:
    if interface.name.startswith(_HYBRID):
        why = f"{interface.name} is filtered by iptables (firewall_driver is iptables_hybrid), not by flows"
        return Filtered(passes=None, where=why)
    if interface.ofport is None or interface.ofport < 1:
        return Filtered(passes=None, where=f"{interface.name} has no OpenFlow port")
    return None


def _fields(packet: rules.Packet, destination_mac: str) -> str:
    """Write a packet of any protocol as a flow."""
    six = packet.version == 6
    family = "ipv6" if six else "nw"
    ends = [f"dl_src={packet.source_mac}", f"dl_dst={destination_mac}"]
    ends += [f"{family}_src={packet.source}", f"{family}_dst={packet.destination}", "nw_ttl=64"]
    name = {6: "tcp", 17: "udp", 132: "sctp"}.get(packet.protocol)
    if name is not None:
        ports = [f"{name}_src={packet.source_port}", f"{name}_dst={packet.destination_port}"]
        return ",".join([f"{name}6" if six else name, *ends, *ports])
    if packet.protocol == rules.ICMP[packet.version]:
        kind = "icmpv6" if six else "icmp"
        type_ = [f"{kind}_type={packet.icmp_type}", f"{kind}_code={packet.icmp_code}"]
        return ",".join(["icmp6" if six else "icmp", *ends, *type_])
    return ",".join(["ipv6" if six else "ip", *ends, f"nw_proto={packet.protocol}"])


def _traced(flow: str, way: Literal["egress", "ingress"], port: str, behind: str = "") -> Filtered:
    command = trace.command("br-int", flow)
    try:
        found = trace.run("br-int", flow)
    except tracing.Untraced as error:
        return Filtered(passes=None, where=str(error), command=command)
    except process.ProcessError as error:
        why = f"ofproto/trace refuses it: {' '.join(error.stderr.split())[:200]}"
        return Filtered(passes=None, where=why, command=command)
    return judge(found, way, port, behind).model_copy(update={"command": command})


def judge(found: trace.Trace, way: Literal["egress", "ingress"], port: str, behind: str = "") -> Filtered:
    """Say from a trace what the firewall does.

    Args:
        found: The trace.
        way: Out of a port, or into it.
        port: The datapath's number of the port that a packet goes into.
        behind: The trunk's bridge by which it goes there; what comes after that floods it to others.
    """
    ours = itertools.takewhile(lambda one: not behind or one.bridge != behind, found.steps)
    steps = [one for one in ours if one.bridge == "br-int"]
    if found.failure or not steps:
        return Filtered(passes=None, where=f"the trace ends with: {found.failure or 'nothing that was understood'}")
    led = found.follow()
    unfollowed = "; ".join((*led.unfollowed, *([theory.TO_CONTROLLER] if theory.is_handed_over(found, led) else [])))
    if way == "ingress":
        is_in = any(not one.remote and one.port == port for one in led.outputs)
        if not is_in and unfollowed:
            return Filtered(passes=None, where=f"the trace could not be followed: {unfollowed}")
        return Filtered(passes=is_in, where=_named(_last(steps)))
    accepted = next((at for at, one in enumerate(steps) if one.table in _ACCEPTED), None)
    if accepted is not None:
        return Filtered(passes=True, where=_named(steps[max(0, accepted - 1)]))
    if any("NORMAL" in one.actions for one in steps):
        return Filtered(passes=True, where=f"{_named(steps[-1])}, past the firewall, which has no flows for the port")
    if unfollowed:
        return Filtered(passes=None, where=f"the trace could not be followed: {unfollowed}")
    return Filtered(passes=False, where=_named(_last(steps)))


def _last(steps: list[trace.Step]) -> trace.Step:
    """Return the flow that decided: not the tables to which it sent what it dropped or accepted."""
    own = [one for one in steps if one.table not in (_DROPPED, 92)]
    return own[-1] if own else steps[-1]


def _named(step: trace.Step) -> str:
    how = "no match" if step.priority is None else f"priority {step.priority}"
    name = tables.name("br-int", step.table)
    return f"br-int table {step.table}{f' ({name})' if name else ''}, {how}{f', {step.match}' if step.match else ''}"
