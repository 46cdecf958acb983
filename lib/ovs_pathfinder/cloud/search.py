"""What the operator names → the ports that may be meant."""

import concurrent.futures
import dataclasses
import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .. import errors
from . import connection, neutron, nova, octavia

_UNIT = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]*[a-z][a-z0-9]*)*/[0-9]+")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
MOST_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Found:
    """The ports that one end may be; the other end's network decides between several."""

    label: str
    ports: tuple[neutron.Port, ...]
    filters: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict[str, Sequence[str]])
    """What Neutron was asked for."""
    addresses: tuple[str, ...] = ()
    """The addresses that were named, in the order of preference; none where a port was named."""
    unit: str = ""
    """The principal's unit that was named."""
    warnings: tuple[str, ...] = ()

    @property
    def truncated(self) -> bool:
        """Whether there may be more ports than these."""
        return len(self.ports) >= neutron.LIMIT

    @property
    def networks(self) -> set[str]:
        """The networks of the ports."""
        return {port.network_id for port in self.ports}


def source(cloud: connection.Cloud, text: str) -> Found:
    """Find the ports that are meant by a unit, an address, or a port's id or name."""
    _check("source", text)
    return _plain(cloud, text)


def destination(cloud: connection.Cloud, text: str, pool: concurrent.futures.Executor) -> Found:
    """Find the ports that are meant by all that `source` takes, a server's id or name, or an amphora's id."""
    _check("destination", text)
    if _ID.fullmatch(text):
        return _by_id(cloud, text.lower(), pool)
    if _address(text) or _UNIT.fullmatch(text):
        return _plain(cloud, text)
    return _by_name(cloud, text, pool)


def listed(matches: Sequence[str], truncated: bool = False) -> str:
    """Name the first few of many things."""
    rest = len(matches) - MOST_NAMED
    if rest <= 0:
        return "; ".join(matches)
    more = f"and more than {rest} others" if truncated else f"and {rest} more"
    return f"{'; '.join(matches[:MOST_NAMED])}; {more}"


def unit_names(unit: str) -> list[str]:
    """Return the names of ports that a unit may mean: Charmed OpenStack's, and the unit's own."""
    return [f"octavia-health-manager-{unit.replace('/', '-')}-listen-port", unit]


def is_unit(text: str) -> bool:
    """Return whether a text is the name of a unit of Juju's."""
    return _UNIT.fullmatch(text) is not None


def is_identifier(text: str) -> bool:
    """Return whether a text is a whole id."""
    return _ID.fullmatch(text) is not None


def _check(role: str, text: str) -> None:
    """Refuse what can be no name; Neutron's and Nova's columns hold 255 characters."""
    if not text:
        raise errors.PathfinderError(f"The {role} is empty: name a port, an address or a unit such as octavia/2.")
    if len(text) > 255:
        raise errors.PathfinderError(f"The {role} has {len(text)} characters: no name in OpenStack has more than 255.")
    odd = [character for character in text if unicodedata.category(character) in ("Cc", "Cs")]
    if odd:
        raise errors.PathfinderError(f"The {role} holds the control character {odd[0]!r}: remove it.")


def _address(text: str) -> str:
    """Return an address in the form that Neutron stores; empty for what is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    if address.is_link_local:
        raise errors.PathfinderError(f"{text} is a link-local address, which Neutron does not know: name the port.")
    return str(address)


def _ask(cloud: connection.Cloud, label: str, filters: Mapping[str, Sequence[str]], **more: Any) -> Found:
    return Found(label=label, ports=neutron.ports(cloud, **filters), filters=filters, **more)


def _plain(cloud: connection.Cloud, text: str) -> Found:
    """Find ports without any service but Neutron."""
    if address := _address(text):
        found = _ask(cloud, address, {"fixed_ips": [f"ip_address={address}"]}, addresses=(address,))
        missing = f"Neutron knows no port with the address {address}"
    elif _UNIT.fullmatch(text):
        # Charmed OpenStack's name; the other one is for a port that happens to be named like a unit.
        names = unit_names(text)
        found = _ask(cloud, text, {"name": names}, unit=text)
        missing = f"The unit {text} has no port: Neutron knows none with the name {names[0]!r}"
    else:
        by_id = _ID.fullmatch(text) is not None
        found = _ask(cloud, f"port {text}", {"id": [text.lower()]} if by_id else {"name": [text]})
        if by_id and not found.ports:
            found = _ask(cloud, f"port {text}", {"name": [text]})
        missing = f"Neutron knows no port with the {'id or ' if by_id else ''}name {text!r}"
    if not found.ports:
        raise errors.PathfinderError(
            f"{missing}. Check it with `openstack port list`, "
            "and name a unit of Octavia such as octavia/2, or a port by its id, its name or an address."
        )
    return found


def narrow(cloud: connection.Cloud, found: Found, networks: Iterable[str]) -> Found:
    """Ask again for the ports on these networks alone."""
    filters = {**found.filters, "network_id": sorted(networks)}
    return dataclasses.replace(found, ports=neutron.ports(cloud, **filters), filters=filters)


def _by_id(cloud: connection.Cloud, text: str, pool: concurrent.futures.Executor) -> Found:
    """Find the ports of the port, server or amphora with an id; Nova need not be asked."""
    of_device = pool.submit(_ask, cloud, f"server {text}", {"device_id": [text]})
    asked = pool.submit(octavia.amphora, cloud, text)
    found = _ask(cloud, f"port {text}", {"id": [text]})
    found = found if found.ports else of_device.result()
    amphora, trouble = None, None
    try:
        amphora = asked.result()
    except connection.Unanswered as failure:
        trouble = failure
    if not found.ports and amphora:
        return _of_amphora(cloud, amphora)
    found = found if found.ports else _ask(cloud, f"port {text}", {"name": [text]})
    if found.ports:
        return dataclasses.replace(found, warnings=_worth_saying(trouble))
    rest = f"and whether an amphora has it is not known: {trouble}" if trouble else "nor an amphora: check the id."
    raise errors.PathfinderError(
        f"Neutron knows no port with the id or name {text!r}, nor one of a server with that id, {rest}"
    )


def _worth_saying(trouble: connection.Unanswered | None) -> tuple[str, ...]:
    """Return the warning of a service that was not needed in the end; not every cloud has each of them."""
    return () if trouble is None or isinstance(trouble, connection.Missing) else (str(trouble),)


def _of_amphora(cloud: connection.Cloud, amphora: octavia.Amphora) -> Found:
    """Find the ports of an amphora: the one on the management network first."""
    label, server = f"amphora {amphora.id}", amphora.compute_id
    told = (amphora.lb_network_ip, amphora.vrrp_ip)
    addresses = tuple(address for address in map(_address, told) if address)
    if amphora.status == "DELETED":  # its address may be another port's by now
        raise errors.PathfinderError(
            f"The {label} is DELETED, and has no port any more: name another one of "
            "`openstack loadbalancer amphora list`."
        )
    if not addresses and not server:
        raise errors.PathfinderError(
            f"The {label} has neither an address nor a server (status {amphora.status}): "
            "look at the log of octavia-worker."
        )
    by_address = {"fixed_ips": [f"ip_address={text}" for text in addresses]}
    found = _ask(cloud, label, by_address if addresses else {"device_id": [server]}, addresses=addresses)
    if not found.ports:
        raise errors.PathfinderError(
            f"Octavia gives the {label} the address {addresses[0] if addresses else 'none'} "
            f"and the server {server or 'none'}, but Neutron knows no such port: was it deleted?"
        )
    # The same address may exist on other networks; the amphora's own ports win.
    own = tuple(port for port in found.ports if server and port.device_id == server)
    return dataclasses.replace(found, ports=own or found.ports)


def _by_name(cloud: connection.Cloud, text: str, pool: concurrent.futures.Executor) -> Found:
    """Find the ports of the port or the server with a name."""
    asked = pool.submit(nova.servers, cloud, text)
    found = _ask(cloud, f"port {text}", {"name": [text]})
    try:
        servers = asked.result()
    except connection.Unanswered as trouble:
        if found.ports:
            return dataclasses.replace(found, warnings=_worth_saying(trouble))
        raise errors.PathfinderError(
            f"Neutron knows no port with the name {text!r}, and whether a server has it is not known: {trouble}"
        ) from None
    # A port that is named like the server it belongs to is meant in either case.
    own = {server.id for server in servers}
    foreign = [port for port in found.ports if port.device_id not in own]
    if found.ports and not (servers and foreign):
        return found
    if len(servers) == 1 and not foreign:
        return _of_server(cloud, servers[0])
    if not servers:
        raise errors.PathfinderError(
            f"Neither a port nor a server has the name {text!r}: check it with `openstack port list` and "
            "`openstack server list --all-projects`."
        )
    matches = [f"server {server.id} ({server.status} on {server.host or 'no host'})" for server in servers]
    matches += [f"port {port.id} (on {port.host or 'no host'})" for port in foreign]
    raise errors.PathfinderError(f"{text!r} is ambiguous: {listed(matches)}. Name one by its id.")


def _of_server(cloud: connection.Cloud, server: nova.Server) -> Found:
    found = _ask(cloud, f"server {server.name}", {"device_id": [server.id]})
    if not found.ports:
        raise errors.PathfinderError(f"The server {server.name!r} ({server.id}) has no port: attach it to a network.")
    return found
