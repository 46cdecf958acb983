"""Theory: what the local switch says that it would do with the probe's packets, and which flows they would meet."""

import concurrent.futures
import re
from collections.abc import Sequence
from typing import Any, Literal

from .. import path, process
from ..vswitch import action, database, flow, tables, trace
from . import record, synthetic


class Place(path.Model):
    """Where a traced packet enters the switch, and where it should leave."""

    bridge: str
    ofport: int
    tunnel_key: int | None = None
    """Set for a packet that comes from a tunnel."""
    vlan: int | None = None
    """Set for a packet that comes with a VLAN tag."""
    expected_port: str = ""
    """The datapath's number of the port that should get it; empty where a tunnel should."""
    other_ports: tuple[str, ...] = ()
    """Ports that are as good: the physical network's."""
    expected_vlan: int | None = None
    """The VLAN tag that it should have there; None for none."""
    expected_remote: str = ""
    """The tunnel end that should get it."""
    expected_key: int | None = None
    internal: bool = False
    """Whether the host itself sends by the port: its conntrack has then seen the packet before the switch does."""

    @property
    def expectation(self) -> str:
        """Say in words where the packet should leave."""
        expected = action.Output(
            port=self.expected_port, remote=self.expected_remote, key=self.expected_key, vlan=self.expected_vlan
        )
        return str(expected)


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
        if plan.network.is_tunnelled:
            outwards = _out(plan, here[role], far.tunnel_address)
            inwards = _in(plan, here[role], switch.tunnel_to(plan.network.type, far.tunnel_address), datapath)
        else:
            uplinks = switch.uplinks(plan.endpoint(role).physical_bridge)
            outwards = _out_physical(plan, here[role], uplinks, datapath)
            inwards = _in_physical(plan, here[role], uplinks, datapath)
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
    return Place(
        bridge=entry.bridge,
        ofport=entry.ofport,
        expected_port=datapath[leave.name],
        internal=entry.type == "internal",
    )


def _out(plan: path.Plan, entry: database.Interface | None, remote: str) -> Place | None:
    entry = _usable(entry)
    if entry is None or entry.ofport is None or not remote:
        return None
    return Place(
        bridge=entry.bridge,
        ofport=entry.ofport,
        expected_remote=remote,
        expected_key=plan.network.segmentation_id,
        internal=entry.type == "internal",
    )


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


def _out_physical(
    plan: path.Plan,
    entry: database.Interface | None,
    uplinks: Sequence[database.Interface],
    datapath: dict[str, str],
) -> Place | None:
    entry = _usable(entry)
    ports = [datapath[one.name] for one in uplinks if one.name in datapath]
    if entry is None or entry.ofport is None or not ports:
        return None
    return Place(
        bridge=entry.bridge,
        ofport=entry.ofport,
        expected_port=ports[0],
        other_ports=tuple(ports[1:]),
        expected_vlan=plan.network.segmentation_id,
        internal=entry.type == "internal",
    )


def _in_physical(
    plan: path.Plan,
    leave: database.Interface | None,
    uplinks: Sequence[database.Interface],
    datapath: dict[str, str],
) -> Place | None:
    leave, uplink = _usable(leave), next(iter(uplinks), None)
    if uplink is None or uplink.ofport is None or leave is None or leave.name not in datapath:
        return None
    return Place(
        bridge=uplink.bridge,
        ofport=uplink.ofport,
        vlan=plan.network.segmentation_id,
        expected_port=datapath[leave.name],
    )


def describe(
    plan: path.Plan,
    direction: path.Direction,
    place: Place,
    *,
    source_mac: str = "",
    state: record.State = "untracked",
) -> str:
    """Write the probe's packet as a flow for `ofproto/trace`; `source_mac` overrides the plan's."""
    packet = synthetic.headers(plan, direction)
    if source_mac:
        packet = packet.model_copy(update={"source_mac": source_mac})
    return f"{_entry(place, synthetic.tracked(direction, state))},{synthetic.write(packet)}"


def _entry(place: Place, ct_state: str = "") -> str:
    return synthetic.entry(place.ofport, place.tunnel_key, ct_state, place.vlan)


def states(place: Place, direction: path.Direction) -> tuple[record.State, ...]:
    """Return the conntrack states that a packet may have when it comes in at a place, none at all first.

    What comes from a guest or out of a tunnel has none: the kernel forgets it on the way (`nf_reset_ct`).
    """
    if not place.internal:
        return ("untracked",)
    return ("untracked", "new", "established") if direction == "forward" else ("untracked", "established")


def examine(
    plan: path.Plan,
    direction: path.Direction,
    place: Place,
    *,
    subject: record.Subject = "plan",
    source_mac: str = "",
    state: record.State = "untracked",
) -> record.Trace:
    """Trace one packet and say whether it would get where it should; only the probe's own may be tracked."""
    if subject == "neighbour":
        state, ct_next, text = "untracked", (), f"{_entry(place)},{synthetic.solicitation(plan)}"
    elif subject == "heartbeat":
        state, ct_next = "untracked", ()
        text = f"{_entry(place)},{synthetic.write(synthetic.heartbeat(plan))}"
    else:
        ct_next = synthetic.resumed(direction, state)
        text = describe(plan, direction, place, source_mac=source_mac, state=state)
    wanted = {"direction": direction, "subject": subject, "state": state}
    return _traced(place, place.bridge, text, ct_next, **wanted)


def reexamine(direction: path.Direction, place: Place, name: str, key: str) -> record.Trace:
    """Trace the key of a datapath's flow: what the tables say of just the packets that it is for.

    Args:
        direction: Of those packets.
        place: Where they should leave.
        name: The datapath, such as `ovs-system`.
        key: As `datapath.Megaflow.readable`.
    """
    return _traced(place, name, key, (), direction=direction, subject="live")


def _traced(place: Place, where: str, text: str, ct_next: Sequence[str], **about: Any) -> record.Trace:
    """Trace a flow that enters a bridge or a datapath; `about` are the record's direction, subject and state."""
    command, expected = trace.command(where, text, ct_next), place.expectation
    blank = record.Trace(flow=text, command=command, expected=expected, outcome="unknown", **about)
    try:
        found = trace.run(where, text, ct_next)
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
    is_port = output.port in (place.expected_port, *place.other_ports)
    return not output.remote and is_port and output.vlan == place.expected_vlan


def bridge_of(step: trace.Step) -> str:
    """Return the bridge whose table a step is in: after a recirculation its heading may name another."""
    return tables.bridge_of(step.table) if step.recirculated else step.bridge


def _step(step: trace.Step) -> record.Step:
    return record.Step(
        bridge=bridge_of(step), table=step.table, priority=step.priority, match=step.match, cookie=step.cookie
    )


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
