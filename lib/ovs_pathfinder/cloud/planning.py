"""Two names → the plan of the path between them."""

import concurrent.futures
from collections.abc import Sequence

import pydantic

from .. import errors, path, words
from . import connection, groups, hosts, neutron, pairing, passage, search

_REFUSED_TYPES = {"local": "its packets never leave their host"}

_TYPES = ("gre", "vxlan", "geneve", "vlan", "flat")

_REFUSED_OWNERS = {
    "network:dhcp": "Neutron's DHCP server",
    "network:router_interface_distributed": "a distributed router, which has it on every host",
    "network:floatingip": "a floating IP, which is translated by a router",
}

_UNBOUND = ("", "unbound", "binding_failed")


def make_plan(
    cloud: connection.Cloud,
    *,
    source: str,
    destination: str,
    protocol: str = "icmp",
    port: int | None = None,
    units: Sequence[path.Unit],
    doubts: Sequence[str] = (),
    run: str,
    created: str,
) -> path.Plan:
    """Ask the cloud for the path from a source to a destination.

    Args:
        cloud: where to ask.
        source: a unit of Octavia (`octavia/2`), a port's id or name, or an address.
        destination: any of these, a server's id or name, or an amphora's id.
        protocol: `icmp`, `tcp` or `udp`.
        port: the destination port of TCP and UDP.
        units: the units of ovs-pathfinder, as they describe themselves.
        doubts: whole sentences on units that could not be read.
        run: the name of the run.
        created: the time of the plan, UTC in ISO 8601.

    Raises:
        errors.PathfinderError: there is no such path, it is ambiguous, or it cannot be tested.

    """
    wanted = _protocol(protocol, port)
    with concurrent.futures.ThreadPoolExecutor(max_workers=4, thread_name_prefix="cloud") as pool:
        asked = pool.submit(search.source, cloud, source)
        there = search.destination(cloud, destination, pool)
        ends = pairing.join(cloud, asked.result(), there)
        for end in ends:
            _refuse(end)
        try:
            return _describe(cloud, pool, ends, (units, doubts), wanted, port, run, created)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            raise errors.PathfinderError(
                f"What OpenStack says of this path cannot be used: {'.'.join(map(str, first['loc']))} is "
                f"{str(first['input'])[:80]!r} ({first['msg']})."
            ) from error


def _describe(
    cloud: connection.Cloud,
    pool: concurrent.futures.Executor,
    ends: tuple[pairing.End, pairing.End],
    introduced: tuple[Sequence[path.Unit], Sequence[str]],
    protocol: path.Protocol,
    port: int | None,
    run: str,
    created: str,
) -> path.Plan:
    """Ask what is left to know about two ports, and write the plan."""
    here, there = ends
    units, unread = introduced
    asked_agents = pool.submit(neutron.agents, cloud, [end.port.host or "" for end in ends])
    asked_groups = pool.submit(groups.read, cloud, [group for end in ends for group in end.port.security_groups])
    trunks = pool.submit(_trunks, cloud, ends)
    network = _network(cloud, here.port.network_id)
    agents = {agent.host: agent for agent in asked_agents.result()}
    warnings = [*unread, *here.found.warnings, *there.found.warnings, *pairing.warnings(here, there)]
    known = asked_groups.result()
    named = [path.SecurityGroup(id=one.id, name=one.name) for one in known]
    hanging = trunks.result()
    endpoints: list[path.Endpoint] = []
    for end in ends:
        unit, doubts = _unit(end, units)
        agent = agents.get(end.port.host or "")
        described = hosts.endpoint(
            end.port.as_path(named, hanging.get(end.port.id)), end.address, end.found.label, unit, agent, network
        )
        endpoints.append(described)
        warnings += [*doubts, *_port_warnings(end), *hosts.warnings(described, unit, agent, network)]
    if endpoints[0].port.is_guests:
        warnings.append(
            f"The source {here.found.label} is a guest's port, and nothing can be sent from inside a guest: "
            "plan the path the other way round, or from a port of a host's own."
        )
    if not any(end.unit for end in endpoints):
        raise errors.PathfinderError(
            f"No unit of ovs-pathfinder is on {endpoints[0].port.host} or {endpoints[1].port.host}: "
            "relate ovs-pathfinder to the applications on those hosts."
        )
    return path.Plan(
        run=run,
        created=created,
        source=endpoints[0],
        destination=endpoints[1],
        network=network,
        protocol=protocol,
        port=port,
        rulings=_rulings(endpoints[0], endpoints[1], known, protocol, port),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _trunks(cloud: connection.Cloud, ends: Sequence[pairing.End]) -> dict[str, path.Trunk]:
    """Return how the ends that are subports hang on their trunks; nothing is asked where none is."""
    subports = [end for end in ends if end.port.device_owner == path.SUBPORT]
    if not subports:
        return {}
    parents = neutron.parents(cloud, [end.port.host or "" for end in subports])
    found: dict[str, path.Trunk] = {}
    for end in subports:
        trunk = next((trunk for one in parents if (trunk := one.trunk(end.port.id))), None)
        if trunk is None:
            raise errors.PathfinderError(
                f"{end.found.label}, port {end.port.id}, is a trunk's subport, and Neutron shows no port on "
                f"{end.port.host} that is the parent of its trunk: look at `openstack network trunk list --long`."
            )
        found[end.port.id] = trunk
    return found


def _rulings(
    source: path.Endpoint, destination: path.Endpoint, known: Sequence[groups.Group], protocol: str, port: int | None
) -> tuple[path.Ruling, ...]:
    """Say what the rules of both ports let pass, without asking for the members of remote groups."""
    sender, receiver = (passage.End(address=one.address, port=one.port) for one in (source, destination))
    packet = passage.packet(passage.Wanted(protocol=protocol, destination_port=port), sender, receiver)
    case = passage.Case(sender, receiver, packet, known)
    case.ask_remotes(None)
    roles: tuple[path.Role, path.Role] = ("source", "destination")
    return tuple(
        path.Ruling(role=role, way=found.way, passes=found.passes, why=found.why, missing=found.missing)
        for role, (_, found) in zip(roles, case.requests(), strict=True)
    )


def _protocol(protocol: str, port: int | None) -> path.Protocol:
    """Check that protocol and port belong together."""
    if protocol not in ("icmp", "tcp", "udp"):
        raise errors.PathfinderError(f"The protocol {protocol!r} is not known: give icmp, tcp or udp.")
    if protocol == "icmp" and port is not None:
        raise errors.PathfinderError(
            f"The port {port} is given, but ICMP has no ports: leave it out, or give tcp or udp."
        )
    if protocol != "icmp" and port is None:
        raise errors.PathfinderError(f"The protocol {protocol} needs a destination port, such as 9443.")
    if port is not None and not 1 <= port <= 65535:
        raise errors.PathfinderError(f"The port {port} is out of range: give 1 to 65535.")
    return protocol


def _refuse(end: pairing.End) -> None:
    """Refuse the ports whose packets take no path that can be looked at."""
    port, label = end.port, end.found.label
    if port.device_owner.startswith("network:"):
        owner = _REFUSED_OWNERS.get(port.device_owner, "Neutron's own, such as a router")
        raise errors.PathfinderError(
            f"{label} is the port {port.id} of {port.device_owner}, {owner}: "
            "name a port of a server, or of a unit of Octavia."
        )
    if port.host is None:
        raise errors.PathfinderError(
            f"Neutron does not tell the host of {label}, port {port.id}: the credentials need the admin role."
        )
    if not port.host and port.device_owner == "Octavia":
        raise errors.PathfinderError(
            f"{label}, port {port.id}, is the VIP of a load balancer, which moves between its amphorae: "
            "name one of these by its id."
        )
    if not port.host:
        show = words.pasted("openstack", "port", "show", port.id, "-c", "binding_host_id", "-c", "binding_vif_type")
        raise errors.PathfinderError(
            f"{label}, port {port.id}, is not bound to a host (vif_type {port.vif_type or 'none'}, "
            f"status {port.status or 'none'}), so nobody can be asked: look at `{show}`."
        )


def _network(cloud: connection.Cloud, identifier: str) -> path.Network:
    """Return the network of both ports."""
    found = neutron.networks(cloud, [identifier])
    if not found:
        raise errors.PathfinderError(f"Neutron does not show the network {identifier}: was it deleted?")
    network = found[0]
    name = f"network {network.name} ({network.id})"
    if network.type is None:
        raise errors.PathfinderError(
            f"Neutron does not tell the type of {name}: it has several segments, "
            "or the credentials lack the admin role."
        )
    if network.type not in _TYPES:
        reason = _REFUSED_TYPES.get(network.type, "it is not known to this version")
        raise errors.PathfinderError(
            f"The {name} is of type {network.type}: {reason}. Only {', '.join(_TYPES[:-1])} and {_TYPES[-1]} can be "
            "looked at."
        )
    if network.segmentation_id is None and network.type != "flat":
        raise errors.PathfinderError(f"The {name} has no segmentation id: look at `openstack network show`.")
    return path.Network(
        id=network.id,
        name=network.name,
        type=network.type,
        segmentation_id=network.segmentation_id,
        physical_network=network.physical_network,
        mtu=network.mtu or 0,
    )


def _unit(end: pairing.End, units: Sequence[path.Unit]) -> tuple[path.Unit | None, list[str]]:
    """Return the unit of ovs-pathfinder at one end, and what is odd about it."""
    host, principal = end.port.host or "", end.found.unit
    unit, claimed = hosts.located(host, units, principal)
    if claimed:
        return unit, [claimed]
    beside = [other for other in units if principal and other.principal == principal]
    if unit is None and len(beside) > 1:
        return None, [f"{' and '.join(one.name for one in beside)} all say that they are beside {principal}."]
    named = beside[0] if beside else None
    if named is None or unit in beside:
        return unit, hosts.name_warnings(host, unit)
    doubt = (
        f"Neutron has the port of {principal} on host {host}, "
        f"but {principal} calls its host {', '.join(named.hostnames)}: compare `host` in neutron.conf."
    )
    return unit or named, [doubt]


def _port_warnings(end: pairing.End) -> list[str]:
    """Say what is odd about one port."""
    port, label = end.port, end.found.label
    said: list[str] = []
    if not port.admin_state_up:
        said.append(f"The port of {label}, {port.id}, is switched off (admin_state_up is false).")
    if port.vif_type in _UNBOUND:
        said.append(
            f"Neutron could not bind the port of {label}, {port.id}, to {port.host} "
            f"(vif_type {port.vif_type or 'none'}): look at the log of neutron-server."
        )
    elif port.vif_type != "ovs":
        said.append(f"The port of {label}, {port.id}, is plugged as {port.vif_type}, not as an Open vSwitch port.")
    if port.status != "ACTIVE":
        said.append(f"Neutron says that the port of {label}, {port.id}, is {port.status or 'without a status'}.")
    return said
