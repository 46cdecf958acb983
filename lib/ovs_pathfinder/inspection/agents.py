"""What Neutron says of the hosts that tunnels lead to."""

import dataclasses
from collections.abc import Sequence

from .. import cloud, errors, path
from ..cloud import hosts, neutron
from ..vswitch import database, tunnel
from . import context

_ASKED_PORTS = 60
_ASKED_HOSTS = 40
"""Names that fit into the address of one request together with the networks' ids."""


@dataclasses.dataclass(frozen=True)
class View:
    """What Neutron says of agents; `asked` is False where it could not be asked."""

    asked: bool = False
    agents: tuple[neutron.Agent, ...] = ()
    own: neutron.Agent | None = None
    sharing: frozenset[tuple[str, str]] = frozenset()
    """Hosts without a tunnel from here that have a port on a network of this host's, and the network's type."""
    notes: tuple[str, ...] = ()


def ask(
    context: context.Context, switch: database.Switch, found: Sequence[database.Interface], here: path.Unit
) -> View:
    """Ask Neutron for all agents, and who shares a network with this host although there is no tunnel to it."""
    try:
        with context.connect() as connected:
            context.log("asking Neutron for its Open vSwitch agents")
            agents = neutron.all_agents(connected)
            own = next((one for one in agents if hosts.located(one.host, [here])[0]), None)
            if own is None:
                said = (f"Neutron knows no Open vSwitch agent on this host ({', '.join(here.hostnames)}).",)
                return View(asked=True, agents=agents, notes=said)
            if not own.configurations.l2_population:
                return View(asked=True, agents=agents, own=own)
            wanted = [one for one, _ in without_tunnel(agents, own, found)]
            sharing, notes = _sharing(connected, switch, wanted)
            return View(asked=True, agents=agents, own=own, sharing=sharing, notes=notes)
    except errors.PathfinderError as error:
        said = f"Neutron was not asked, so tunnels that lack, or that nobody needs any more, are not known: {error}"
        return View(notes=(said,))


def without_tunnel(
    agents: Sequence[neutron.Agent], own: neutron.Agent, found: Sequence[database.Interface]
) -> list[tuple[neutron.Agent, str]]:
    """Return the other living agents that no tunnel of a type of both leads to, with that type."""
    have = {(one.type, tunnel.canonical(one.options["remote_ip"])) for one in found}
    return [
        (one, type_)
        for one in agents
        for type_ in one.configurations.tunnel_types
        if one.host != own.host
        and one.alive
        and one.configurations.tunneling_ip
        and type_ in own.configurations.tunnel_types
        and (type_, tunnel.canonical(one.configurations.tunneling_ip)) not in have
    ]


def _sharing(
    connected: cloud.Cloud, switch: database.Switch, wanted: Sequence[neutron.Agent]
) -> tuple[frozenset[tuple[str, str]], tuple[str, ...]]:
    """Return which of these agents' hosts have an active port on a network that this host has one on."""
    ids = sorted({one.external_ids["iface-id"] for one in switch.interfaces if "iface-id" in one.external_ids})
    names = sorted({one.host for one in wanted})
    if not ids or not names:
        return frozenset(), ()
    mine = [one for one in neutron.ports(connected, id=ids[:_ASKED_PORTS]) if one.status == "ACTIVE"]
    networks = {one.id: one.type or "" for one in neutron.networks(connected, {one.network_id for one in mine})}
    if not networks:
        return frozenset(), ()
    filters = {"network_id": list(networks), "binding:host_id": names[:_ASKED_HOSTS]}
    theirs = neutron.ports(connected, **filters)
    sharing = {(one.host or "", networks.get(one.network_id, "")) for one in theirs if one.status == "ACTIVE"}
    cut = len(ids) > _ASKED_PORTS or len(names) > _ASKED_HOSTS or len(theirs) >= neutron.LIMIT
    said = "Not all ports of this host and of those without a tunnel were compared: more tunnels may lack."
    return frozenset(sharing), (said,) if cut else ()
