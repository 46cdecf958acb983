"""Neutron's host names → the units of ovs-pathfinder and the Open vSwitch agents there."""

from collections.abc import Sequence

from .. import errors, path
from . import neutron


def unit_on(host: str, units: Sequence[path.Unit], principal: str = "") -> path.Unit | None:
    """Return the unit on a host; `principal` decides where several share it.

    Raises:
        errors.PathfinderError: units of different machines bear the host's name.

    """
    matches = [unit for unit in units if host in unit.hostnames]
    if not matches:
        short = _short(host)
        matches = [unit for unit in units if short in {_short(name) for name in unit.hostnames}]
    named = [unit for unit in matches if principal and unit.principal == principal]
    matches = named or matches
    machines = {(unit.hostnames, unit.management_address) for unit in matches}
    if len(machines) > 1:
        names = "; ".join(f"{unit.name} ({', '.join(unit.hostnames)})" for unit in matches)
        raise errors.PathfinderError(
            f"The host {host} may be that of several units: {names}. Give each machine a name of its own."
        )
    # Two principals on one machine bring a unit each, and either can do the work.
    return min(matches, key=lambda unit: unit.name, default=None)


def located(host: str, units: Sequence[path.Unit]) -> tuple[path.Unit | None, str]:
    """Return the unit on a host, and why none can be told where several bear its name."""
    if not host:
        return None, ""
    try:
        return unit_on(host, units), ""
    except errors.PathfinderError as error:
        return None, str(error)


def _short(host: str) -> str:
    return host.partition(".")[0].lower()


def name_warnings(host: str, unit: path.Unit | None) -> list[str]:
    """Warn where a unit was taken for a host's although both have full names, and different ones."""
    if unit is None or host in unit.hostnames or "." not in host:
        return []
    full = [name for name in unit.hostnames if "." in name]
    if not full:
        return []
    return [f"Neutron calls a host {host}, {unit.name} calls its own {full[0]}: they were taken for the same."]


def endpoint(
    port: path.Port,
    address: str,
    label: str,
    unit: path.Unit | None,
    agent: neutron.Agent | None,
    network: path.Network,
) -> path.Endpoint:
    """Put together what is known of one end; the agent's word on the tunnel's end comes before the unit's."""
    told = agent.configurations.tunneling_ip if agent else ""
    return path.Endpoint(
        port=port,
        address=address,
        label=label,
        unit=unit.name if unit else "",
        principal=unit.principal if unit else "",
        tunnel_address=told or (unit.tunnel_address if unit else ""),
        physical_bridge=agent.configurations.bridge_mappings.get(network.physical_network, "") if agent else "",
        management_address=unit.management_address if unit else "",
        agent_alive=agent.alive if agent else None,
    )


def warnings(
    end: path.Endpoint, unit: path.Unit | None, agent: neutron.Agent | None, network: path.Network
) -> list[str]:
    """Say what is odd about the host of one end."""
    host, said = end.port.host, list[str]()
    if unit is None:
        said.append(
            f"No unit of ovs-pathfinder is on {host}, the host of {end.label}: that end cannot be looked at. "
            "Relate ovs-pathfinder to the application there."
        )
    if agent is None:
        said.append(f"Neutron knows no Open vSwitch agent on {host}, the host of {end.label}.")
        return said
    if not agent.alive:
        said.append(f"The Open vSwitch agent on {host}, the host of {end.label}, does not report to Neutron.")
    if not network.is_tunnelled:
        return said if end.physical_bridge else [*said, _no_bridge(end, network)]
    told = agent.configurations.tunneling_ip
    if unit and unit.tunnel_address and told and told != unit.tunnel_address:
        said.append(
            f"The agent on {host} told Neutron the tunnel address {told}, "
            f"but Open vSwitch there has {unit.tunnel_address}."
        )
    types = agent.configurations.tunnel_types
    if types and network.type not in types:
        said.append(
            f"The network is of type {network.type}, but the agent on {host} has tunnels of {', '.join(types)}."
        )
    return said


def _no_bridge(end: path.Endpoint, network: path.Network) -> str:
    return (
        f"The agent on {end.port.host} has no bridge for the physical network {network.physical_network}: compare "
        "bridge_mappings in its openvswitch_agent.ini."
    )
