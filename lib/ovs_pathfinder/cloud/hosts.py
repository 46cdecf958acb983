"""Neutron's host names → the units of ovs-pathfinder and the Open vSwitch agents there."""

from collections.abc import Sequence

from .. import path
from . import neutron


def located(host: str, units: Sequence[path.Unit], principal: str = "") -> tuple[path.Unit | None, str]:
    """Return the unit on a host, and a sentence where units of different machines say that they are on it.

    A unit's host names are its own words. Where two machines claim a host, none is believed but the one beside
    `principal`, if that is one alone.
    """
    claims = _claims(host, units)
    beside = [unit for unit in claims if principal and unit.principal == principal]
    doubt = ""
    chosen = beside or claims
    if len(_machines(claims)) > 1:
        is_told = len(_machines(beside)) == 1
        chosen = beside if is_told else []
        names = "; ".join(f"{unit.name} ({', '.join(unit.hostnames)})" for unit in claims)
        taken = f"{beside[0].name}, beside {principal}, was taken" if is_told else "none of them was taken"
        doubt = f"The host {host} may be that of several units: {names}; {taken}. Give each machine a name of its own."
    # Two principals on one machine bring a unit each, and either can do the work.
    return min(chosen, key=lambda unit: unit.name, default=None), doubt


def _claims(host: str, units: Sequence[path.Unit]) -> list[path.Unit]:
    """Return the units that bear a host's name; one without a domain may bear it too, whatever others say."""
    if not host:
        return []
    alike = [unit for unit in units if _short(host) in {_short(name) for name in unit.hostnames}]
    exact = [unit for unit in units if host in unit.hostnames]
    if not exact:
        return alike
    return exact + [one for one in alike if one not in exact and not any("." in name for name in one.hostnames)]


def _machines(units: Sequence[path.Unit]) -> set[tuple[tuple[str, ...], str]]:
    """Return what tells the machines of units apart; Juju says the address, so that none can take on another's."""
    return {(unit.hostnames, unit.management_address) for unit in units}


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
    """Put together what is known of one end; where its tunnels end, the cloud must say."""
    told = agent.configurations.tunneling_ip if agent else ""
    return path.Endpoint(
        port=port,
        address=address,
        label=label,
        unit=unit.name if unit else "",
        principal=unit.principal if unit else "",
        tunnel_address=told if path.is_host_address(told) else "",
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
    if told and not path.is_host_address(told):
        said.append(
            f"The agent on {host} told Neutron the tunnel address {told!r}, which is not the address of a host: "
            "compare local_ip in its openvswitch_agent.ini."
        )
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
