"""Theory: what the local switch says that it would do with the probe's packets, and which flows they would meet."""

import concurrent.futures
import ipaddress
import re
from collections.abc import Sequence
from typing import Literal

from .. import path, process
from ..vswitch import action, database, flow, tables, trace
from . import record

SOURCE_PORT = 40000
"""Of the traced TCP and UDP packets: an ephemeral port, as the probe's own."""
_ESTABLISHED_REPLY = ("trk,est,rpl", "trk,est,rpl")
"""The conntrack state of an answer, for each time that it is recirculated."""


class Place(path.Model):
    """Where a traced packet enters the switch, and where it should leave."""

    bridge: str
    ofport: int
    tunnel_key: int | None = None
    """Set for a packet that comes from a tunnel."""
    expected_port: str = ""
    """The datapath's number of the port that should get it; empty where a tunnel should."""
    expected_remote: str = ""
    """The tunnel end that should get it."""
    expected_key: int | None = None

    @property
    def expectation(self) -> str:
        """Say in words where the packet should leave."""
        return str(action.Output(port=self.expected_port, remote=self.expected_remote, key=self.expected_key))


def places(
    plan: path.Plan, roles: Sequence[path.Role], switch: database.Switch, datapath: dict[str, str]
) -> dict[path.Direction, Place]:
    """Find, for each direction, where this host's part of the path begins and ends.

    A direction is missing where the port or the tunnel that it needs does not exist here.
    """
    here = {role: switch.port_of(plan.endpoint(role).port.id) for role in roles}
    if len(roles) == 2:
        ends = [(here["source"], here["destination"]), (here["destination"], here["source"])]
        both = [_within(first, second, datapath) for first, second in ends]
        found = dict(zip(("forward", "reply"), both, strict=True))
    else:
        role = roles[0]
        far = plan.endpoint("destination" if role == "source" else "source")
        outwards = _out(plan, here[role], far.tunnel_address)
        inwards = _in(plan, here[role], switch.tunnel_to(plan.network.type, far.tunnel_address), datapath)
        found = {"forward": outwards, "reply": inwards} if role == "source" else {"forward": inwards, "reply": outwards}
    directions: tuple[path.Direction, ...] = ("forward", "reply")
    return {one: place for one in directions if (place := found[one]) is not None}


def _usable(interface: database.Interface | None) -> database.Interface | None:
    return interface if interface is not None and (interface.ofport or -1) > 0 else None


def _within(
    entry: database.Interface | None, leave: database.Interface | None, datapath: dict[str, str]
) -> Place | None:
    entry, leave = _usable(entry), _usable(leave)
    if entry is None or entry.ofport is None or leave is None or leave.name not in datapath:
        return None
    return Place(bridge=entry.bridge, ofport=entry.ofport, expected_port=datapath[leave.name])


def _out(plan: path.Plan, entry: database.Interface | None, remote: str) -> Place | None:
    entry = _usable(entry)
    if entry is None or entry.ofport is None or not remote:
        return None
    key = plan.network.segmentation_id
    return Place(bridge=entry.bridge, ofport=entry.ofport, expected_remote=remote, expected_key=key)


def _in(
    plan: path.Plan,
    leave: database.Interface | None,
    tunnel: database.Interface | None,
    datapath: dict[str, str],
) -> Place | None:
    tunnel, leave = _usable(tunnel), _usable(leave)
    if tunnel is None or tunnel.ofport is None or leave is None or leave.name not in datapath:
        return None
    return Place(
        bridge=tunnel.bridge,
        ofport=tunnel.ofport,
        tunnel_key=plan.network.segmentation_id,
        expected_port=datapath[leave.name],
    )


def describe(plan: path.Plan, direction: path.Direction, place: Place, *, source_mac: str = "") -> str:
    """Write the probe's packet as a flow for `ofproto/trace`; `source_mac` overrides the plan's."""
    first, second = plan.source, plan.destination
    if direction == "reply":
        first, second = second, first
    family = "ipv6" if plan.ip_version == 6 else "nw"
    fields = [
        f"in_port={place.ofport}",
        *([f"tun_id={place.tunnel_key:#x}"] if place.tunnel_key is not None else []),
        _protocol(plan),
        f"dl_src={source_mac or first.port.mac}",
        f"dl_dst={second.port.mac}",
        f"{family}_src={first.address}",
        f"{family}_dst={second.address}",
        "nw_ttl=64",
        *_transport(plan, direction),
    ]
    return ",".join(fields)


def match(plan: path.Plan, direction: path.Direction) -> str:
    """Write what all packets of the probe have in common in one direction, as a match."""
    first, second = plan.source.address, plan.destination.address
    if direction == "reply":
        first, second = second, first
    family = "ipv6" if plan.ip_version == 6 else "nw"
    return f"{_protocol(plan)},{family}_src={first},{family}_dst={second}"


def _protocol(plan: path.Plan) -> str:
    if plan.protocol == "icmp":
        return "icmp6" if plan.ip_version == 6 else "icmp"
    return plan.protocol + ("6" if plan.ip_version == 6 else "")


def _transport(plan: path.Plan, direction: path.Direction) -> list[str]:
    if plan.protocol == "icmp" and plan.ip_version == 6:
        return [f"icmpv6_type={128 if direction == 'forward' else 129}", "icmpv6_code=0"]
    if plan.protocol == "icmp":
        return [f"icmp_type={8 if direction == 'forward' else 0}", "icmp_code=0"]
    near, far = (SOURCE_PORT, plan.port) if direction == "forward" else (plan.port, SOURCE_PORT)
    return [f"{plan.protocol}_src={near}", f"{plan.protocol}_dst={far}"]


def describe_solicitation(plan: path.Plan, place: Place) -> str:
    """Write the question for the destination's MAC address: ARP, or a neighbour solicitation (RFC 4861)."""
    source, target = plan.source, plan.destination
    tunnel = [f"tun_id={place.tunnel_key:#x}"] if place.tunnel_key is not None else []
    start = [f"in_port={place.ofport}", *tunnel]
    if plan.ip_version == 4:
        return ",".join(
            [
                *start,
                "arp",
                f"dl_src={source.port.mac}",
                "dl_dst=ff:ff:ff:ff:ff:ff",
                "arp_op=1",
                f"arp_spa={source.address}",
                f"arp_tpa={target.address}",
                f"arp_sha={source.port.mac}",
            ]
        )
    tail = ipaddress.ip_address(target.address).packed[-3:]
    group = ipaddress.IPv6Address(ipaddress.ip_address("ff02::1:ff00:0").packed[:13] + tail)
    return ",".join(
        [
            *start,
            "icmp6",
            f"dl_src={source.port.mac}",
            f"dl_dst=33:33:ff:{tail.hex(':')}",
            f"ipv6_src={source.address}",
            f"ipv6_dst={group}",
            "nw_ttl=255",
            "icmpv6_type=135",
            "icmpv6_code=0",
            f"nd_target={target.address}",
            f"nd_sll={source.port.mac}",
        ]
    )


def examine(
    plan: path.Plan,
    direction: path.Direction,
    place: Place,
    *,
    subject: record.Subject = "plan",
    source_mac: str = "",
) -> record.Trace:
    """Trace one packet and say whether it would get where it should."""
    is_question = subject == "neighbour"
    text = (
        describe_solicitation(plan, place) if is_question else describe(plan, direction, place, source_mac=source_mac)
    )
    states = _ESTABLISHED_REPLY if direction == "reply" and not is_question else ()
    options = "".join(f"--ct-next {state} " for state in states)
    blank = record.Trace(
        direction=direction,
        subject=subject,
        flow=text,
        command=f"ovs-appctl ofproto/trace {options}{place.bridge} '{text}'",
        expected=place.expectation,
        outcome="unknown",
    )
    try:
        found = trace.run(place.bridge, text, states)
    except process.ProcessError as error:
        return blank.model_copy(update={"reason": str(error)})
    outcome, reason = judge(found, place)
    return blank.model_copy(
        update={
            "outcome": outcome,
            "reason": reason,
            "steps": tuple(_step(step) for step in found.steps),
            "outputs": tuple(str(one) for one in found.outputs),
            "local_vlan": local_vlan(found),
            "text": found.text,
        }
    )


def judge(found: trace.Trace, place: Place) -> tuple[record.Outcome, str]:
    """Say where a trace ends, and in what words the trace itself says so.

    Only the expected port counts: a flood reaches it by chance of what is unknown, and another tunnel is another host.
    """
    if found.failure:
        return "failed", found.failure
    if not found.steps:
        return "unknown", "the trace could not be read"
    outputs = found.outputs
    wanted = [one for one in outputs if _is_expected(one, place)]
    others = [one for one in outputs if not _is_expected(one, place)]
    remark = found.warnings[-1] if found.warnings else ""
    if wanted:
        return ("flooded" if others else "forwarded"), remark
    if any(one.remote or place.expected_port for one in others):
        return "misdirected", remark or f"it leaves by {others[0]}"
    return "dropped", remark


def local_vlan(found: trace.Trace) -> int | None:
    """Return the local VLAN that Neutron's flows give the packet: in register 6 or, from a tunnel, in its tag."""
    for action_ in (text for step in found.steps for text in step.actions):
        if (register := re.match(r"set_field:(0x[0-9a-f]+)->reg6$", action_)) is not None:
            return int(register[1], 16)
        if (tag := re.match(r"set_field:(\d+)->vlan_vid$", action_)) is not None:
            return int(tag[1]) & 0x0FFF  # with the bit that says that there is a tag
    return None


def _is_expected(output: action.Output, place: Place) -> bool:
    if place.expected_remote:
        return path.same_address(output.remote, place.expected_remote) and output.key in (None, place.expected_key)
    return not output.remote and output.port == place.expected_port


def _step(step: trace.Step) -> record.Step:
    bridge = tables.bridge_of(step.table) if step.recirculated else step.bridge
    return record.Step(bridge=bridge, table=step.table, priority=step.priority, match=step.match, cookie=step.cookie)


def count(traces: Sequence[record.Trace], when: Literal["before", "after"]) -> list[record.Trace]:
    """Fill in what each flow on the traced paths has counted by now; each flow is asked for once."""
    wanted = {_key(step): step for one in traces for step in one.steps if step.priority is not None}
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        counted = dict(zip(wanted, pool.map(_packets, wanted.values()), strict=True))
    return [
        one.model_copy(
            update={"steps": tuple(step.model_copy(update={when: counted.get(_key(step))}) for step in one.steps)}
        )
        for one in traces
    ]


def _key(step: record.Step) -> tuple[str, int, int | None, str]:
    return step.bridge, step.table, step.priority, step.match


def _packets(step: record.Step) -> int | None:
    try:
        found = flow.find(step.bridge, step.table, step.priority or 0, step.match)
    except process.ProcessError:
        return None
    return found.packets if found is not None else None
