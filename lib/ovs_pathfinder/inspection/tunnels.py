"""Which tunnels does this host's switch have, where do they lead, and what is wrong with them?"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar

import pydantic

from .. import errors, path
from ..cloud import hosts
from ..evidence import host
from ..vswitch import database, tunnel
from . import agents, answer, context, tunnel_faults
from . import query as query_


class Query(query_.Query):
    """Of show-tunnels."""

    changed: Annotated[float, pydantic.Field(ge=0, le=60, allow_inf_nan=False)] = 0
    """Seconds between two counts; 0 counts once."""


class Tunnel(path.Model):
    """A tunnel port of this host, the far end that it leads to, and the underlay on the way."""

    name: str
    bridge: str
    type: str
    remote_address: str
    """As the switch has it; `flow` where flows decide."""
    local_address: str = ""
    key: str = ""
    """`flow` where flows set it, as Neutron's do; two values where it differs by direction, in then out."""
    remote_host: str = ""
    remote_unit: str = ""
    """The unit of ovs-pathfinder on the host with the remote address; empty where none is known."""
    remote_principal: str = ""
    agent_alive: bool | None = None
    """Whether the Open vSwitch agent there reports to Neutron; None where that is not known."""
    ofport: int | None = None
    """-1 where the switch could not open it; None where ovs-vswitchd has not looked at it."""
    up: bool | None = None
    """The switch's link state, which is that of the underlay's device; None where it does not say."""
    error: str = ""
    counters: tunnel.Counters = tunnel.Counters()
    moved: tunnel.Counters | None = None
    """What passed during the seconds that were asked for; None where none were, or it could not be counted."""
    device: str = ""
    """The underlay's device, by the host's routes."""
    gateway: str = ""
    neighbour: str = ""
    """The next hop's, by the kernel, such as `REACHABLE`; `known to the switch` where that alone has it."""
    neighbour_mac: str = ""
    mtu: int = 0
    """Of the underlay's device, in bytes of an IP packet; 0 where unknown."""
    inner_mtu: int | None = None
    """The largest IP packet that fits into the tunnel without fragments."""
    bfd: str = ""
    """What bidirectional forwarding detection says; empty where it is not configured."""
    problems: tuple[str, ...] = ()
    """What is wrong, in whole sentences."""
    hints: tuple[str, ...] = ()
    """What need not be wrong."""


class Missing(path.Model):
    """A host that this one has no tunnel to, although one is needed."""

    type: str
    address: str
    host: str
    unit: str = ""
    why: str


class Answer(answer.Answer):
    """The tunnels of this host; those with something wrong come first."""

    action: ClassVar[str] = "show-tunnels"
    unit: str
    host: str = ""
    local_address: str = ""
    """The end that this host's agent or tunnels name."""
    l2population: bool | None = None
    """Whether the agent makes tunnels only to hosts that share a network; None where Neutron was not asked."""
    seconds: float = 0
    """Between the two counts."""
    tunnels: tuple[Tunnel, ...] = ()
    missing: tuple[Missing, ...] = ()
    next: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Underlay:
    """What this host knows of the way to the far ends."""

    links: Mapping[str, host.Link]
    routes: Mapping[tuple[str, str], host.Route]
    neighbours: Mapping[tuple[str, str], host.Neighbour]
    switch_neighbours: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class _Place:
    """Who has a tunnel's address."""

    host: str = ""
    unit: str = ""
    principal: str = ""
    alive: bool | None = None
    known: bool = False


def run(query: Query, context: context.Context) -> Answer:
    """Read the switch, the host and, where it can be asked, Neutron.

    Raises:
        PathfinderError: Open vSwitch or iproute2 is not installed, or ovsdb-server does not answer.
    """
    switch = database.read()
    units = context.units()
    own = next((one for one in units if one.name == context.unit), None)
    here = own or path.Unit(name=context.unit, principal="", hostnames=(switch.hostname,))
    found = [one for one in switch.interfaces if "remote_ip" in one.options]
    context.log(f"{len(found)} tunnel ports on this switch")
    view = agents.ask(context, switch, found, here)
    notes = list(view.notes)
    underlay = _underlay(found, switch, notes)
    counters, moved = _count(found, query.changed, context, notes)
    rows = [
        _row(one, switch, _place(one.options["remote_ip"], units, view), underlay, view, here).model_copy(
            update={"counters": counters[one.name], "moved": moved.get(one.name)}
        )
        for one in found
    ]
    rows = [_with_hints(row, context) for row in rows]
    missing = _missing(view, found, units, here)
    return Answer(
        summary=_summary(rows, missing),
        notes=tuple(dict.fromkeys(notes)),
        unit=context.unit,
        host=switch.hostname or next(iter(here.hostnames), ""),
        local_address=(view.own.configurations.tunneling_ip if view.own else "") or switch.tunnel_address,
        l2population=view.own.configurations.l2_population if view.own else None,
        seconds=query.changed,
        tunnels=tuple(sorted(rows, key=lambda row: (not row.problems, not row.hints, row.name))),
        missing=missing,
        next=_next(rows, missing, context),
    )


def _missing(
    view: agents.View, found: Sequence[database.Interface], units: Sequence[path.Unit], here: path.Unit
) -> tuple[Missing, ...]:
    if view.own is None:
        return ()
    rows: list[Missing] = []
    for agent, type_ in agents.without_tunnel(view.agents, view.own, found):
        shares = (agent.host, type_) in view.sharing
        if view.own.configurations.l2_population and not shares:
            continue
        unit, _ = hosts.located(agent.host, [one for one in units if one.name != here.name])
        reason = "both hosts have ports on one network" if shares else "without l2population every host needs one"
        rows.append(
            Missing(
                type=type_,
                address=agent.configurations.tunneling_ip,
                host=agent.host,
                unit=unit.name if unit else "",
                why=f"There is no {type_} tunnel to {agent.configurations.tunneling_ip}, {agent.host}, "
                f"although {reason}: restart neutron-openvswitch-agent here, or look at its log.",
            )
        )
    return tuple(rows)


def _place(remote: str, units: Sequence[path.Unit], view: agents.View) -> _Place:
    """Return who has an address: by Neutron's agents, then by what units tell of themselves."""
    agent = next((one for one in view.agents if tunnel.same(one.configurations.tunneling_ip, remote)), None)
    claims = [one for one in units if tunnel.same(one.tunnel_address, remote)]
    unit = claims[0] if len(claims) == 1 else None
    if agent is not None:
        unit, _ = hosts.located(agent.host, units)
    return _Place(
        host=agent.host if agent else (unit.hostnames[0] if unit and unit.hostnames else ""),
        unit=unit.name if unit else "",
        principal=unit.principal if unit else "",
        alive=agent.alive if agent else None,
        known=agent is not None or unit is not None,
    )


def _underlay(found: Sequence[database.Interface], switch: database.Switch, notes: list[str]) -> _Underlay:
    """Ask the host for all routes and neighbours at once: three processes, however many tunnels there are."""
    pairs = [(tunnel.canonical(one.options["remote_ip"]), one.options.get("local_ip", "")) for one in found]
    pairs = [(remote, local) for remote, local in pairs if tunnel.is_address(remote)]
    bound = [(remote, local if tunnel.is_address(local) else "") for remote, local in pairs]
    routes = dict(host.routes(bound))
    lacking = [(remote, "") for remote, local in bound if (remote, local) not in routes]
    routes |= host.routes(lacking)
    known: Mapping[str, str] = {}
    if switch.datapath_type == "netdev" and pairs:
        try:
            known = tunnel.read_neighbours()
        except errors.PathfinderError as error:
            notes.append(f"The switch's own table of neighbours is not known: {error}")
    return _Underlay({one.name: one for one in host.links()}, routes, host.neighbours(), known)


def _count(
    found: Sequence[database.Interface], seconds: float, context: context.Context, notes: list[str]
) -> tuple[dict[str, tunnel.Counters], dict[str, tunnel.Counters]]:
    """Count what passed each tunnel port, once or twice."""
    first = _counted(found, notes)
    if not seconds or not found:
        return first, {}
    context.log(f"counting for {seconds:g} s")
    time.sleep(seconds)
    again = _counted(found, notes)
    return again, {name: again[name].since(first[name]) for name in again}


def _counted(found: Sequence[database.Interface], notes: list[str]) -> dict[str, tunnel.Counters]:
    """Return counters by the ports' names; those of the database where ovs-vswitchd does not answer."""
    now: dict[str, Mapping[str, tunnel.Counters]] = {}
    for bridge in sorted({one.bridge for one in found}):
        try:
            now[bridge] = tunnel.read_counters(bridge)
        except errors.PathfinderError as error:  # noqa: PERF203 - a bridge or two
            notes.append(f"The counters of {bridge} are those of the database, and may be old: {error}")
    return {
        one.name: now.get(one.bridge, {}).get(str(one.ofport)) or tunnel.Counters.model_validate(one.statistics)
        for one in found
    }


def _row(
    one: database.Interface,
    switch: database.Switch,
    place: _Place,
    underlay: _Underlay,
    view: agents.View,
    here: path.Unit,
) -> Tunnel:
    remote, local = one.options["remote_ip"], one.options.get("local_ip", "")
    route = underlay.routes.get((tunnel.canonical(remote), local)) or underlay.routes.get(
        (tunnel.canonical(remote), "")
    )
    device = underlay.links.get(route.device) if route else None
    hop = tunnel.canonical(route.gateway or remote) if route else ""
    neighbour = underlay.neighbours.get((hop, route.device if route else ""), host.Neighbour())
    if not neighbour.state and hop in underlay.switch_neighbours:
        neighbour = host.Neighbour(state="known to the switch", mac=underlay.switch_neighbours[hop])
    mtu = device.mtu if device else 0
    keys = [one.options.get(name, one.options.get("key", "")) for name in ("in_key", "out_key")]
    return Tunnel(
        name=one.name,
        bridge=one.bridge,
        type=one.type,
        remote_address=remote,
        local_address=local,
        key=" ".join(dict.fromkeys(key for key in keys if key)),
        remote_host=place.host,
        remote_unit=place.unit,
        remote_principal=place.principal,
        agent_alive=place.alive,
        ofport=one.ofport,
        up=one.link_state == "up" if one.link_state else None,
        error=one.error,
        device=route.device if route else "",
        gateway=route.gateway if route else "",
        neighbour=neighbour.state,
        neighbour_mac=neighbour.mac,
        mtu=mtu,
        inner_mtu=tunnel.inner_mtu(one.type, mtu, remote),
        bfd=tunnel_faults.bfd(one),
        problems=(
            *tunnel_faults.of_switch(one, switch),
            *tunnel_faults.of_name(one),
            *tunnel_faults.of_remote(one, place.unit, place.known, view, here),
            *tunnel_faults.of_near_end(local, underlay.links.values(), view),
            *tunnel_faults.of_way(remote, route, device, neighbour),
        ),
    )


def _with_hints(row: Tunnel, context: context.Context) -> Tunnel:
    """Add what need not be wrong: counters of one way only cannot be judged from one end."""
    said: list[str] = []
    # Octavia's heartbeats come one way alone, so a short while without an answer to them says nothing.
    moved_one_way = row.moved is not None and row.moved.tx_packets and not row.moved.rx_packets
    counted, when = (row.moved, "meanwhile") if moved_one_way and row.moved else (row.counters, "ever")
    if bool(counted.rx_packets) != bool(counted.tx_packets):
        way = "packets sent, and none received" if counted.tx_packets else "packets received, and none sent"
        there = f": see `{context.command(row.remote_unit, 'show-tunnels')}`" if row.remote_unit else ""
        said.append(
            f"{when.capitalize()} {counted.tx_packets or counted.rx_packets} {way}. One end cannot tell whether the "
            f"other has its tunnel back{there}."
        )
    if row.agent_alive is False:
        said.append(f"The Open vSwitch agent on {row.remote_host} does not report to Neutron.")
    return row.model_copy(update={"hints": tuple(said)})


def _summary(rows: Sequence[Tunnel], missing: Sequence[Missing]) -> str:
    lacks = f"{len(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    if not rows:
        return f"This host has no tunnels{f', and {lacks}' if missing else ''}."
    types = " and ".join(sorted({row.type for row in rows}))
    bad = [row for row in rows if row.problems]
    head = f"{len(rows)} {types} {'tunnel' if len(rows) == 1 else 'tunnels'}"
    if not bad and not missing:
        return f"{head}: nothing wrong can be seen from this end."
    said = [f"something is wrong with {', '.join(row.name for row in bad[:3])}"] if bad else []
    if len(bad) > 3:
        said = [f"{said[0]} and {len(bad) - 3} more"]
    return f"{head}: {' and '.join([*said, *([lacks] if missing else [])])}."


def _next(rows: Sequence[Tunnel], missing: Sequence[Missing], context: context.Context) -> tuple[str, ...]:
    """Return the commands that show the other ends of what is wrong."""
    units = [row.remote_unit for row in rows if row.problems or row.hints] + [one.unit for one in missing]
    wanted = [unit for unit in dict.fromkeys(units) if unit and unit != context.unit]
    return tuple(context.command(unit, "show-tunnels") for unit in wanted[:3])
