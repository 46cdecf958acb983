"""The datapath's flows that the probe's packets used: what the switch really did with them.

`dpctl/dump-flows filter=` gives every flow that the packets *could* match, which with wildcards may be a neighbour's:
kept are those that come in where the probe does, between its MAC addresses, and that were used while it ran.
"""

import re
from collections.abc import Sequence

from .. import path, process
from ..vswitch import datapath
from . import local, record, synthetic, theory

_IN_PORT = re.compile(r"\bin_port\(([^)]*)\)")
_TUNNEL_SOURCE = re.compile(r"\btunnel\([^)]*?\b(?:ipv6_)?src=([0-9a-f.:]+)")
_ETHERNET = re.compile(
    r"\beth\(src=(?P<src>[0-9a-f:]+)(?:/(?P<src_mask>[0-9a-f:]+))?,dst=(?P<dst>[0-9a-f:]+)(?:/(?P<dst_mask>[0-9a-f:]+))?\)"
)
_NOTHING = "00:00:00:00:00:00"


def gather(here: local.Local, within: float) -> tuple[record.Megaflow, ...]:
    """Return the flows of the probe's two directions that were used in the last `within` seconds."""
    directions: tuple[path.Direction, ...] = ("forward", "reply")
    found: list[record.Megaflow] = []
    for direction in directions:
        try:
            flows = datapath.dump(synthetic.match(here.plan, direction))
        except process.ProcessError as error:
            here.problems.append(f"The datapath's flows could not be read: {error}.")
            return ()
        if flows.unknown:
            here.problems.append(f"{len(flows.unknown)} datapath flows were not understood: {flows.unknown[0][:300]}")
        found += [
            _kept(direction, one)
            for one in flows.flows
            if one.age is not None and one.age <= within and is_the_probes(here, direction, one.key)
        ]
    return tuple(found)


def heartbeats(here: local.Local, within: float) -> tuple[record.Megaflow, ...]:
    """Return the flows of an amphora's messages to the health manager that were used in the last `within` seconds."""
    try:
        flows = datapath.dump(synthetic.match_heartbeat(here.plan))
    except process.ProcessError as error:
        here.problems.append(f"The datapath's flows of the heartbeats could not be read: {error}.")
        return ()
    return tuple(
        _kept("reply", one)
        for one in flows.flows
        if one.age is not None and one.age <= within and is_the_probes(here, "reply", one.key)
    )


def reexamined(here: local.Local, flows: Sequence[record.Megaflow]) -> tuple[record.Trace, ...]:
    """Trace, for each direction, the key of the first flow that drops: do the tables still say what it does?"""
    found: list[record.Trace] = []
    for direction, place in here.places.items():
        first = next((one for one in flows if one.drops and one.direction == direction), None)
        if first is not None:
            (flow,) = datapath.parse(first.raw).flows
            where = f"ovs-{here.switch.datapath_type}"
            found.append(theory.reexamine(direction, place, where, flow.readable, here.switch.bridges))
    return tuple(found)


def _kept(direction: path.Direction, one: datapath.Megaflow) -> record.Megaflow:
    return record.Megaflow(
        direction=direction,
        actions=one.actions,
        ct_invalid=one.ct_invalid,
        ct_marked=one.ct_marked,
        offloaded=one.offloaded,
        raw=one.raw,
    )


def is_the_probes(here: local.Local, direction: path.Direction, key: str) -> bool:
    """Say whether a flow's key is for packets that come in where the probe's do, and from and to its MAC addresses."""
    return _comes_in(here, direction, key) and _is_between(here.plan, direction, key)


def _comes_in(here: local.Local, direction: path.Direction, key: str) -> bool:
    sender: path.Role = "source" if direction == "forward" else "destination"
    if sender not in here.roles and not here.plan.network.is_tunnelled:
        uplinks = here.switch.uplinks(here.bridge)
        return _enters_by(here, [one.name for one in uplinks], key)
    if sender not in here.roles:
        tunnel = _TUNNEL_SOURCE.search(key)
        return tunnel is not None and here.far is not None and path.same_address(tunnel[1], here.far.tunnel_address)
    name = here.entry(sender)
    return bool(name) and _enters_by(here, [name], key)


def _enters_by(here: local.Local, names: Sequence[str], key: str) -> bool:
    entry = _IN_PORT.search(key)
    return entry is not None and entry[1] in {*names, *(here.ports.get(name) for name in names)}


def _is_between(plan: path.Plan, direction: path.Direction, key: str) -> bool:
    """Compare the MAC addresses that the flow looks at; another destination than the plan's may be on the wire."""
    found = _ETHERNET.search(key)
    if found is None:
        return True
    first, second = plan.source.port.mac, plan.destination.port.mac
    if direction == "reply":
        first, second = second, first
    looks_at_both = found["src_mask"] != _NOTHING, found["dst_mask"] != _NOTHING
    return (not looks_at_both[0] or found["src"] == first) and (not looks_at_both[1] or found["dst"] == second)
