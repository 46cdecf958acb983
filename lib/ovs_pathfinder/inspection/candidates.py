"""The ports of the cloud that may be meant, and what they belong to."""

import concurrent.futures
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from .. import cloud, errors, path
from ..cloud import connection, neutron, nova, octavia, search
from ..vswitch import database
from . import context, sought

_SERVERS = 4
"""Servers that Nova is asked for by their ids, one request each."""


@dataclasses.dataclass
class View:
    """What the cloud says; `asked` stays False where Neutron could not be asked."""

    asked: bool = False
    ports: tuple[neutron.Port, ...] = ()
    networks: Mapping[str, neutron.Network] = dataclasses.field(default_factory=dict[str, neutron.Network])
    groups: tuple[path.SecurityGroup, ...] = ()
    servers: dict[str, nova.Server] = dataclasses.field(default_factory=dict[str, nova.Server])
    notes: list[str] = dataclasses.field(default_factory=list[str])


def ask(context: context.Context, wanted: sought.Sought, local: Sequence[database.Interface]) -> View:
    """Ask the cloud for the ports, and for what they belong to; at most 13 requests, and ten more for part of an id."""
    view = View()
    try:
        with (
            context.connect() as connected,
            concurrent.futures.ThreadPoolExecutor(max_workers=4, thread_name_prefix="cloud") as pool,
        ):
            view.ports = _ports(connected, pool, wanted, local, view)
            view.asked = True
            _describe(connected, pool, view)
    except errors.PathfinderError as error:
        what = "all that belongs to the ports" if view.asked else "what Neutron has"
        view.notes.append(f"Neutron was not asked for all, so {what} is not known: {error}")
    return view


def _ports(
    connected: cloud.Cloud,
    pool: concurrent.futures.Executor,
    wanted: sought.Sought,
    local: Sequence[database.Interface],
    view: View,
) -> tuple[neutron.Port, ...]:
    """Return what is meant in the cloud, and what the devices of this host carry."""
    known = sorted({one.external_ids.get("iface-id", "") for one in local} - {""})
    # By its whole id a port is asked for anyway.
    asked = pool.submit(neutron.ports, connected, id=known) if known else None
    carried = asked.result() if asked else ()
    if wanted.kind == "start" and carried:
        return carried
    found = _meant(connected, pool, wanted, view)
    if len(found) >= neutron.LIMIT:
        view.notes.append(f"There may be more ports than these {neutron.LIMIT}: name one by its id.")
    return tuple({port.id: port for port in (*found, *carried)}.values())


def _meant(
    connected: cloud.Cloud, pool: concurrent.futures.Executor, wanted: sought.Sought, view: View
) -> tuple[neutron.Port, ...]:
    if wanted.kind == "mac":
        return neutron.ports(connected, mac_address=wanted.macs)
    if wanted.kind == "address":
        return neutron.ports(connected, fixed_ips=[f"ip_address={wanted.address}"])
    if wanted.kind == "unit":
        return neutron.ports(connected, name=search.unit_names(wanted.text))
    if wanted.kind == "id":
        return _by_id(connected, pool, wanted.start, view)
    found = _by_name(connected, pool, wanted.text, view)
    if wanted.kind == "name":
        return found or _of_network(connected, [one.id for one in neutron.networks_named(connected, wanted.text)], view)
    if found:
        return found
    started = neutron.identifiers(connected, wanted.start)
    if not started.complete:
        view.notes.append(
            f"Neutron cannot search for part of an id, and of its ports only {started.seen:,} were looked at: "
            "ask the unit on the device's host, or give the whole id."
        )
    if len(started.found) > 1:
        view.notes.append(f"The ids of {len(started.found)} ports begin with {wanted.start}.")
    return neutron.ports(connected, id=started.found[: neutron.LIMIT // 2]) if started.found else ()


def _by_id(
    connected: cloud.Cloud, pool: concurrent.futures.Executor, text: str, view: View
) -> tuple[neutron.Port, ...]:
    """Return the ports of the port, the server or the amphora with an id, or the port with such a name."""
    of_device = pool.submit(neutron.ports, connected, device_id=[text])
    asked = pool.submit(octavia.amphora, connected, text)
    found = neutron.ports(connected, id=[text]) or of_device.result()
    amphora = None
    try:
        amphora = asked.result()
    except connection.Missing:
        pass
    except connection.Unanswered as failure:
        if not found:
            view.notes.append(f"Whether it is an amphora's id is not known: {failure}")
    if found:
        return found
    if amphora is None:
        return neutron.ports(connected, name=[text]) or _of_network(connected, [text], view)
    if amphora.compute_id:
        found = neutron.ports(connected, device_id=[amphora.compute_id])
    view.notes.append(
        f"It is the id of an amphora (status {amphora.status}), whose server is {amphora.compute_id or 'not made yet'}."
    )
    if not found and amphora.lb_network_ip:
        found = neutron.ports(connected, fixed_ips=[f"ip_address={amphora.lb_network_ip}"])
    return found


def _of_network(connected: cloud.Cloud, identifiers: Sequence[str], view: View) -> tuple[neutron.Port, ...]:
    """Return the ports of a network, where nothing nearer is meant."""
    found = neutron.ports(connected, network_id=identifiers) if identifiers else ()
    if found:
        view.notes.append("It is a network: these are the ports on it.")
    return found


def _by_name(
    connected: cloud.Cloud, pool: concurrent.futures.Executor, text: str, view: View
) -> tuple[neutron.Port, ...]:
    """Return the ports with a name, and those of the servers with it."""
    asked = pool.submit(nova.servers, connected, text)
    found = neutron.ports(connected, name=[text])
    try:
        servers = asked.result()
    except connection.Unanswered as failure:
        if not found:
            view.notes.append(f"Whether a server has that name is not known: {failure}")
        return found
    view.servers |= {one.id: one for one in servers}
    identifiers = [one.id for one in servers][: neutron.LIMIT // 2]
    return (*found, *neutron.ports(connected, device_id=identifiers)) if identifiers else found


def _describe(connected: cloud.Cloud, pool: concurrent.futures.Executor, view: View) -> None:
    """Ask for networks, security groups and servers."""
    if not view.ports:
        return
    of_servers = {port.device_id for port in view.ports if port.device_owner.startswith("compute:") and port.device_id}
    lacking = sorted(of_servers - set(view.servers))
    if len(lacking) > _SERVERS:
        view.notes.append(f"The names of {len(lacking) - _SERVERS} servers were not asked for.")
    asked = [pool.submit(nova.server, connected, one) for one in lacking[:_SERVERS]]
    groups = pool.submit(
        neutron.security_groups, connected, _few({one for port in view.ports for one in port.security_groups})
    )
    networks = _few({port.network_id for port in view.ports})
    view.networks = {one.id: one for one in neutron.networks(connected, networks)}
    view.groups = groups.result()
    for one in asked:
        try:
            server = one.result()
        except connection.Unanswered as failure:
            view.notes.append(f"The names of servers are not known: {failure}")
            continue
        if server is not None:
            view.servers[server.id] = server


def _few(identifiers: Iterable[str]) -> list[str]:
    """Return as many ids as fit into the address of one request."""
    return sorted(identifiers)[: neutron.LIMIT]
