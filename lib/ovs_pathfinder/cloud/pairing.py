"""Two ends that may be several ports each → the one pair that shares a network."""

import dataclasses

from .. import errors
from . import connection, neutron, search


@dataclasses.dataclass(frozen=True)
class End:
    """One end: what was found, and which of it is meant."""

    found: search.Found
    port: neutron.Port
    address: str


def join(cloud: connection.Cloud, here: search.Found, there: search.Found) -> tuple[End, End]:
    """Take the ports of both ends that are on one network."""
    if here.truncated and not there.truncated:
        here = search.narrow(cloud, here, there.networks)
    elif there.truncated and not here.truncated:
        there = search.narrow(cloud, there, here.networks)
    common = here.networks & there.networks
    if not common:
        raise errors.PathfinderError(_apart(cloud, here, there))
    source, destination = _only(here, common), _only(there, common)
    if source.id == destination.id:
        raise errors.PathfinderError(
            f"Source and destination are the same port, {source.id} ({source.name}): name two."
        )
    addresses = _addresses(here, source, there, destination)
    return End(here, source, addresses[0]), End(there, destination, addresses[1])


def _apart(cloud: connection.Cloud, here: search.Found, there: search.Found) -> str:
    """Say that the ends are on different networks, with the networks' names."""
    shown = [sorted(found.networks)[:5] for found in (here, there)]
    names = {network.id: network.name for network in neutron.networks(cloud, [*shown[0], *shown[1]])}
    places = [" and ".join(f"{names.get(one, '')} ({one})".strip() for one in some) for some in shown]
    return (
        f"{here.label} is on network {places[0]}, {there.label} on network {places[1]}: "
        "not one layer-2 path; name two ports of one network."
    )


def _only(found: search.Found, networks: set[str]) -> neutron.Port:
    """Return the one port on the networks."""
    ports = [port for port in found.ports if port.network_id in networks]
    for address in found.addresses:
        ports = [port for port in ports if address in port.addresses] or ports
    if len(ports) == 1:
        return ports[0]
    matches = [
        f"port {port.id} {port.name!r} ({', '.join(port.addresses) or 'no address'}) "
        f"on network {port.network_id}, host {port.host or 'none'}"
        for port in ports
    ]
    raise errors.PathfinderError(
        f"{found.label} is ambiguous: {search.listed(matches, found.truncated)}. Name one by its id."
    )


def _addresses(
    here: search.Found, source: neutron.Port, there: search.Found, destination: neutron.Port
) -> tuple[str, str]:
    """Choose the two addresses: those that were named, else of one subnet, else IPv6."""
    pairs = [
        (mine, other)
        for mine in _choice(here, source)
        for other in _choice(there, destination)
        if mine.version == other.version
    ]
    if not pairs:
        raise errors.PathfinderError(
            f"{here.label} has the addresses {', '.join(source.addresses) or 'none'}, {there.label} has "
            f"{', '.join(destination.addresses) or 'none'}: no two are of one IP version; name other ports."
        )
    mine, other = max(pairs, key=lambda pair: (pair[0].subnet_id == pair[1].subnet_id, pair[0].version))
    return mine.ip_address, other.ip_address


def _choice(found: search.Found, port: neutron.Port) -> list[neutron.FixedIp]:
    """Return the addresses of a port that may be used: the named one, else all."""
    for address in found.addresses:
        named = [fixed for fixed in port.fixed_ips if fixed.ip_address == address]
        if named:
            return named
    return list(port.fixed_ips)


def warnings(here: End, there: End) -> list[str]:
    """Warn of addresses of different subnets."""
    subnets = [
        {fixed.subnet_id for fixed in end.port.fixed_ips if fixed.ip_address == end.address} for end in (here, there)
    ]
    if subnets[0] & subnets[1]:
        return []
    return [f"{here.address} and {there.address} are of different subnets: their packets may take a router."]
