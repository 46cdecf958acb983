"""Theory: what the local switch says that it would do with the probe's packets, and which flows they would meet."""

import concurrent.futures
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from .. import errors, path
from ..vswitch import action, bond, database, flow, trace, tracing, trunk
from . import record, synthetic

_BRIDGE = "br-int"
_DROPPED = ("br-int", 93)
"""Neutron's table for what the firewall drops, and logs by its controller where that is wanted."""
_TAG = re.compile(r"\bvlan\(vid=(\d+)")
_MOST_ACTIONS, _LONGEST_ACTION = 30, 300
"""Of a step, actions that are kept, and characters of each."""


TO_CONTROLLER = "it goes to the OpenFlow controller"


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
    expected_bonds: tuple[str, ...] = ()
    """The names of the bonds that those ports are members of, which are as good."""
    bonds: Mapping[int, str] = {}
    """The names of this switch's bonds, by number."""
    expected_vlan: int | None = None
    """The VLAN tag that it should have there; None for none."""
    expected_remote: str = ""
    """The tunnel end that should get it."""
    expected_key: int | None = None
    internal: bool = False
    """Whether the host itself sends by the port: its conntrack has then seen the packet before the switch does."""
    patch: int | None = None
    """OpenFlow port of br-int by which the packet comes there, where it enters by a trunk's bridge."""
    trunk_bridge: str = ""
    """The trunk's bridge by which it should leave."""

    @property
    def expectation(self) -> str:
        """Say in words where the packet should leave."""
        return str(self.expected)

    @property
    def expected(self) -> action.Output:
        """The way out by which the packet should leave."""
        if self.expected_bonds:
            return action.Output(port=self.expected_bonds[0], bond=0, vlan=self.expected_vlan)
        return action.Output(
            port=self.expected_port, remote=self.expected_remote, key=self.expected_key, vlan=self.expected_vlan
        )

    def expects(self, output: action.Output) -> bool:
        """Whether this is where the packet should leave."""
        if self.expected_remote:
            return path.same_address(output.remote, self.expected_remote) and output.key in (None, self.expected_key)
        ports = (self.expected_port, *self.other_ports) if output.bond is None else self.expected_bonds
        return not output.remote and output.port in ports and output.vlan == self.expected_vlan


def places(
    plan: path.Plan,
    roles: Sequence[path.Role],
    switch: database.Switch,
    datapath: dict[str, str],
    bonds: Sequence[bond.Bond] = (),
) -> dict[path.Direction, Place]:
    """Find, for each direction, where this host's part of the path begins and ends.

    A direction is missing where the port or the tunnel that it needs does not exist here.
    """
    named = bond.names(bonds)
    here = {role: end(switch, plan.endpoint(role).port) for role in roles}
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
            inwards = _in_physical(plan, here[role], _entries(uplinks, bonds), datapath)
        found = {"forward": outwards, "reply": inwards} if role == "source" else {"forward": inwards, "reply": outwards}
    directions: tuple[path.Direction, ...] = ("forward", "reply")
    return {one: place.model_copy(update={"bonds": named}) for one in directions if (place := found[one]) is not None}


def _entries(uplinks: Sequence[database.Interface], bonds: Sequence[bond.Bond]) -> list[database.Interface]:
    """Put first by which packets come in from the physical network: of a bond, not each member takes them."""
    entries = {one.entry for one in bonds}
    return sorted(uplinks, key=lambda one: bool(one.bond) and one.name not in entries)


class End(path.Model):
    """How a port's packets come into this host's switch, and how they leave it."""

    name: str
    """The device, as the switch calls it: the guest's, or the host's own."""
    bridge: str
    ofport: int
    vlan: int | None = None
    """The VLAN tag that the packets have there; None for none, as everywhere but at a trunk's subport."""
    internal: bool = False
    patch: int | None = None
    """OpenFlow port of br-int behind a trunk's bridge."""
    trunk_bridge: str = ""


def end(switch: database.Switch, port: path.Port) -> End | None:
    """Return where a port is plugged; None where it is not, or the switch has not opened its device."""
    interface = _usable(switch.port_of(port.id))
    way = trunk.of_port(switch, port)
    if way is not None:
        if not way.device or way.ofport is None or way.ofport < 1:
            return None
        return End(
            name=way.device,
            bridge=way.bridge,
            ofport=way.ofport,
            vlan=port.trunk.vlan if port.trunk else None,
            patch=interface.ofport if interface and way.patch else None,
            trunk_bridge=way.bridge,
        )
    if interface is None or interface.ofport is None:
        return None
    return End(
        name=interface.name, bridge=interface.bridge, ofport=interface.ofport, internal=interface.type == "internal"
    )


def _usable(interface: database.Interface | None) -> database.Interface | None:
    return interface if interface is not None and (interface.ofport or -1) > 0 else None


def _entering(entry: End, **leaving: Any) -> Place:
    """Return the place of packets that come in by a port."""
    return Place(
        bridge=entry.bridge,
        ofport=entry.ofport,
        vlan=entry.vlan,
        internal=entry.internal,
        patch=entry.patch,
        **leaving,
    )


def _leaving(leave: End, datapath: dict[str, str]) -> dict[str, Any]:
    """Return what is expected of packets that leave by a port."""
    return {
        "expected_port": datapath[leave.name],
        "expected_vlan": leave.vlan,
        "trunk_bridge": leave.trunk_bridge,
    }


def _within(entry: End | None, leave: End | None, datapath: dict[str, str]) -> Place | None:
    if entry is None or leave is None or leave.name not in datapath:
        return None
    return _entering(entry, **_leaving(leave, datapath))


def _out(plan: path.Plan, entry: End | None, remote: str) -> Place | None:
    if entry is None or not remote:
        return None
    return _entering(entry, expected_remote=remote, expected_key=plan.network.segmentation_id)


def _in(
    plan: path.Plan,
    leave: End | None,
    tunnel: database.Interface | None,
    datapath: dict[str, str],
) -> Place | None:
    tunnel = _usable(tunnel)
    if tunnel is None or tunnel.ofport is None or leave is None or leave.name not in datapath:
        return None
    return Place(
        bridge=tunnel.bridge,
        ofport=tunnel.ofport,
        tunnel_key=plan.network.segmentation_id,
        **_leaving(leave, datapath),
    )


def _out_physical(
    plan: path.Plan,
    entry: End | None,
    uplinks: Sequence[database.Interface],
    datapath: dict[str, str],
) -> Place | None:
    ports = [datapath[one.name] for one in uplinks if one.name in datapath]
    bundles = dict.fromkeys(one.bond for one in uplinks if one.bond and one.name in datapath)
    if entry is None or not ports:
        return None
    return _entering(
        entry,
        expected_port=ports[0],
        other_ports=tuple(ports[1:]),
        expected_bonds=tuple(bundles),
        expected_vlan=plan.network.segmentation_id,
    )


def _in_physical(
    plan: path.Plan,
    leave: End | None,
    uplinks: Sequence[database.Interface],
    datapath: dict[str, str],
) -> Place | None:
    uplink = next(iter(uplinks), None)
    if uplink is None or uplink.ofport is None or leave is None or leave.name not in datapath:
        return None
    return Place(
        bridge=uplink.bridge,
        ofport=uplink.ofport,
        vlan=plan.network.segmentation_id,
        **_leaving(leave, datapath),
    )


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
        state, ct_next, packet = "untracked", (), synthetic.solicitation(plan)
    elif subject == "heartbeat":
        state, ct_next, packet = "untracked", (), synthetic.write(_from(synthetic.heartbeat(plan), source_mac))
    else:
        ct_next = synthetic.resumed(direction, state)
        packet = synthetic.write(_from(synthetic.headers(plan, direction), source_mac))
    entry = synthetic.entry(place.ofport, place.tunnel_key, synthetic.tracked(direction, state), place.vlan)
    wanted = {"direction": direction, "subject": subject, "state": state}
    whole = _traced(place, place.bridge, f"{entry},{packet}", ct_next, vlan=place.vlan, **wanted)
    return _by_trunk(place, whole, packet, ct_next, wanted) if place.bridge.startswith(trunk.PREFIX) else whole


def _from(headers: synthetic.Headers, source_mac: str) -> synthetic.Headers:
    return headers.model_copy(update={"source_mac": source_mac}) if source_mac else headers


def _by_trunk(
    place: Place, whole: record.Trace, packet: str, ct_next: Sequence[str], wanted: dict[str, Any]
) -> record.Trace:
    """Join the trace from a guest's device on a trunk's bridge to that of br-int's flows for the port alone.

    A trunk's bridge floods what it has not learned, to the trunk's other ports too, whose flows drop it: those are not
    the packet's way. So the flows of br-int are those that a trace from the port's own patch port meets, and where that
    one drops, it says why.
    """
    ahead = tuple(step for step in whole.steps if step.bridge == place.bridge)[:1]
    inner = None
    if place.patch is not None:
        inner = _traced(place, _BRIDGE, f"{synthetic.entry(place.patch)},{packet}", ct_next, **wanted)
    untraced = next((one for one in (whole, inner) if one is not None and one.untraced), None)
    if untraced is not None:
        return untraced
    if inner is None or not (whole.reaches or whole.stops):
        return whole.model_copy(update={"steps": ahead})
    if whole.reaches:
        return whole.model_copy(update={"steps": (*ahead, *inner.steps), "local_vlan": inner.local_vlan})
    if inner.reaches:
        return whole.model_copy(update={"steps": ahead, "local_vlan": inner.local_vlan})
    return inner.model_copy(update={"steps": (*ahead, *inner.steps)})


def reexamine(
    direction: path.Direction, place: Place, name: str, key: str, bridges: Sequence[str] = ()
) -> record.Trace:
    """Trace the key of a datapath's flow: what the tables say of just the packets that it is for.

    Args:
        direction: Of those packets.
        place: Where they should leave.
        name: The datapath, such as `ovs-system`.
        key: As `datapath.Megaflow.readable`.
        bridges: Those of the switch: a packet that was recirculated before goes on in one of them.
    """
    tag = _TAG.search(key)
    found = _traced(place, name, key, (), vlan=int(tag[1]) if tag else None, direction=direction, subject="live")
    steps = _settled(found.steps, bridges)
    if found.stops and not all(step.bridge for step in steps):
        reason = "the bridge in which it goes on after its recirculation is not known"
        return found.model_copy(update={"steps": steps, "outcome": "not-followed", "reason": reason})
    return found.model_copy(update={"steps": steps})


def _settled(steps: Sequence[record.Step], bridges: Sequence[str]) -> tuple[record.Step, ...]:
    """Find the bridge that the trace does not name: the one that has the first flow there."""
    first = next((step for step in steps if not step.bridge), None)
    if first is None:
        return tuple(steps)
    having = [name for name in bridges if _has(name, first)]
    if len(having) != 1:
        return tuple(steps)
    return tuple(step if step.bridge else step.model_copy(update={"bridge": having[0]}) for step in steps)


def _has(bridge: str, step: record.Step) -> bool:
    try:
        found = flow.find(bridge, step.table, step.priority or 0, step.match)
    except errors.PathfinderError:
        return False
    return found is not None and found.cookie == step.cookie


def _traced(
    place: Place, where: str, text: str, ct_next: Sequence[str], *, vlan: int | None = None, **about: Any
) -> record.Trace:
    """Trace a flow that enters a bridge or a datapath, with a VLAN tag or None.

    The other arguments are the record's direction, subject and state.
    """
    command, expected = trace.command(where, text, ct_next), place.expectation
    blank = record.Trace(flow=text, command=command, expected=expected, outcome="unknown", **about)
    try:
        found = trace.run(where, text, ct_next)
    except tracing.Untraced as error:
        return blank.model_copy(update=_untraced(error))
    except errors.PathfinderError as error:
        return blank.model_copy(update={"reason": str(error)})
    outcome, reason = judge(found, place, vlan)
    return blank.model_copy(
        update={
            "outcome": outcome,
            "reason": reason,
            "steps": _own_way([_step(step) for step in found.steps], place),
            "outputs": tuple(str(one) for one in found.follow(vlan, place.bonds).outputs),
            "local_vlan": local_vlan(found),
            "text": found.text,
        }
    )


def _untraced(why: tracing.Untraced) -> dict[str, Any]:
    """Return what is known of a packet that was not traced: the flows of the circle, whose counters tell of it."""
    if why.loop is None:
        return {"reason": str(why), "untraced": "earlier-trace"}
    flows = zip(why.loop.bridges, why.loop.flows, strict=True)
    steps = tuple(
        record.Step(bridge=bridge, table=one.table, priority=one.priority, match=one.match, cookie=one.cookie)
        for bridge, one in flows
    )
    return {"reason": str(why), "untraced": "conntrack-loop", "steps": steps}


def _own_way(steps: list[record.Step], place: Place) -> tuple[record.Step, ...]:
    """Leave out what a trunk's bridge floods to the trunk's other ports, where a packet leaves by it."""
    reached = next((at for at, step in enumerate(steps) if step.bridge == place.trunk_bridge), None)
    return tuple(steps if reached is None else steps[: reached + 1])


def judge(found: trace.Trace, place: Place, vlan: int | None = None) -> tuple[record.Outcome, str]:
    """Say where a trace ends, and in what words the trace itself says so.

    Only the expected port counts: a flood reaches it by chance of what is unknown, and another tunnel is another host.

    Args:
        found: The trace.
        place: Where the packet should leave.
        vlan: The VLAN tag with which it came; None for none.
    """
    if found.failure:
        return "failed", found.failure
    if not found.steps:
        return "unknown", "the trace could not be read"
    way = found.follow(vlan, place.bonds)
    if way.unfollowed:
        return "not-followed", "; ".join(way.unfollowed)
    wanted = [one for one in way.outputs if place.expects(one)]
    others = [one for one in way.outputs if not place.expects(one)]
    remark = found.warnings[-1] if found.warnings else ""
    if not wanted and is_handed_over(found, way):
        return "not-followed", TO_CONTROLLER
    if wanted:
        return ("flooded" if others else "forwarded"), remark
    if any(one.remote or place.expected_port for one in others):
        return "misdirected", remark or f"it leaves by {others[0]}"
    return "dropped", remark


def is_handed_over(found: trace.Trace, way: trace.Way) -> bool:
    """Whether a controller decides what becomes of a packet: not by Neutron's log of what the firewall drops."""
    asking = [step for step in found.steps if trace.asks_controller(step)]
    return way.to_controller and not (asking and all((one.bridge, one.table) == _DROPPED for one in asking))


def local_vlan(found: trace.Trace) -> int | None:
    """Return the local VLAN that Neutron's flows give the packet: in register 6 or, from a tunnel, in its tag."""
    for action_ in (text for step in found.steps for text in step.actions):
        if (register := re.match(r"set_field:(0x[0-9a-f]+)->reg6$", action_)) is not None:
            return int(register[1], 16)
        if (tag := re.match(r"set_field:(\d+)->vlan_vid$", action_)) is not None:
            return int(tag[1]) & 0x0FFF  # with the bit that says that there is a tag
    return None


def _step(step: trace.Step) -> record.Step:
    done = [one for one in step.actions if not one.startswith(("->", ">"))]
    return record.Step(
        bridge=step.bridge,
        table=step.table,
        priority=step.priority,
        match=step.match,
        cookie=step.cookie,
        actions=tuple(one[:_LONGEST_ACTION] for one in done[:_MOST_ACTIONS]),
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
        found = flow.find(step.bridge, step.table, step.priority or 0, step.match, step.cookie)
    except errors.PathfinderError:
        return None
    return found.packets if found is not None else None
