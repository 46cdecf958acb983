"""Which port is meant by an address, an id, a device, a MAC address or a name, and is it plugged as it should be?"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from .. import errors, path
from ..cloud import hosts, neutron, search
from ..evidence import host
from ..vswitch import database, trunk
from . import answer, candidates, context, plugged, sought
from . import query as query_


class Query(query_.Query):
    """Of find-port."""

    what: query_.Text


class Network(path.Model):
    """The network of a port; type and segmentation id are empty where Neutron hides them."""

    id: str
    name: str = ""
    type: str = ""
    segmentation_id: int | None = None
    mtu: int = 0
    """Bytes of an IP packet; 0 where Neutron does not say."""


class Found(path.Model):
    """A port: what Neutron says of it, and what this host's switch has of it."""

    port: path.Port | None = None
    """None where Neutron does not know it, or was not asked."""
    network: Network | None = None
    server: str = ""
    """The server's name, by Nova."""
    server_status: str = ""
    unit: str = ""
    """The unit of ovs-pathfinder on the port's host."""
    principal: str = ""
    here: bool = False
    """Whether it is on this unit's host, by Neutron or by the switch."""
    devices: tuple[plugged.Device, ...] = ()
    """That carry it on this host's switch; one, where all is well and it is here."""
    problems: tuple[str, ...] = ()
    """Where the cloud and the switch disagree, and what is wrong with the devices."""


class Answer(answer.Answer):
    """The ports that were found, those on this host first."""

    action: ClassVar[str] = "find-port"
    unit: str
    what: str
    taken_for: str
    asked: bool
    """Whether Neutron answered."""
    ports: tuple[Found, ...] = ()
    next: tuple[str, ...] = ()


def run(query: Query, context: context.Context) -> Answer:
    """Look on this host's switch, then ask Neutron, and say where the two disagree.

    Raises:
        PathfinderError: Nothing of that kind was found.
    """
    if not query.what:
        raise errors.PathfinderError("what is empty; name an address, a port, a server, a device or a unit")
    wanted = sought.read(query.what)
    units = context.units()
    own = next((one for one in units if one.name == context.unit), None)
    notes = list(wanted.notes)
    switch, links = _local(notes)
    here = own or path.Unit(name=context.unit, principal="", hostnames=(switch.hostname,))
    local = plugged.matching(wanted, switch, links, here.principal == wanted.text)
    context.log(f"{len(local)} devices of this switch; asking Neutron")
    view = candidates.ask(context, wanted, local)
    rows = [_row(port, view, switch, links, units, here, notes) for port in view.ports]
    rows += _unknown(local, {port.id for port in view.ports}, view, links, here)
    if not rows:
        raise errors.PathfinderError(_nobody(wanted, view, switch, units))
    return Answer(
        summary=_summary(rows, wanted, view),
        notes=tuple(dict.fromkeys([*notes, *view.notes])),
        unit=context.unit,
        what=query.what,
        taken_for=wanted.words,
        asked=view.asked,
        ports=tuple(sorted(rows, key=lambda row: (not row.problems, not row.here))),
        next=_next(rows, context),
    )


def _local(notes: list[str]) -> tuple[database.Switch, Mapping[str, host.Link]]:
    """Read the switch and the devices of this host, as far as there are any."""
    switch, links = database.Switch(), dict[str, host.Link]()
    try:
        switch = database.read()
        links = {one.name: one for one in host.links()}
    except errors.PathfinderError as error:
        notes.append(f"This host was not looked at: {error}")
    return switch, links


def _row(
    one: neutron.Port,
    view: candidates.View,
    switch: database.Switch,
    links: Mapping[str, host.Link],
    units: Sequence[path.Unit],
    here: path.Unit,
    notes: list[str],
) -> Found:
    port = one.as_path(view.groups)
    unit, puzzle = hosts.located(port.host, units)
    notes += [puzzle] if puzzle else []
    is_here = bool(port.host) and hosts.located(port.host, [here])[0] is not None
    carrying = plugged.carrying(port.id, switch)
    devices = tuple(plugged.device(each, links, trunk.find(switch, each)) for each in carrying)
    network = view.networks.get(one.network_id)
    server = view.servers.get(port.device_id)
    said = plugged.disagreements(port, is_here and bool(switch.bridges), ", ".join(here.hostnames), devices)
    return Found(
        port=port,
        network=Network(
            id=one.network_id,
            name=network.name if network else "",
            type=(network.type or "") if network else "",
            segmentation_id=network.segmentation_id if network else None,
            mtu=(network.mtu or 0) if network else 0,
        ),
        server=server.name if server else "",
        server_status=server.status if server else "",
        unit=unit.name if unit else "",
        principal=unit.principal if unit else "",
        here=is_here or bool(devices),
        devices=devices,
        problems=(*said, *plugged.about_devices(port.id, devices)),
    )


def _unknown(
    local: Sequence[database.Interface],
    known: set[str],
    view: candidates.View,
    links: Mapping[str, host.Link],
    here: path.Unit,
) -> list[Found]:
    """Return the devices of this host whose ports Neutron has not told of."""
    rows: list[Found] = []
    for one in local:
        identifier = one.external_ids.get("iface-id", "")
        if identifier in known:
            continue
        device = plugged.device(one, links)
        said = plugged.about_devices(identifier, [device])
        if identifier and view.asked:
            said.insert(0, f"{one.name} carries the port {identifier}, which Neutron does not know: it is left over.")
        rows.append(Found(here=True, devices=(device,), problems=tuple(said), unit=here.name, principal=here.principal))
    return rows


def _nobody(wanted: sought.Sought, view: candidates.View, switch: database.Switch, units: Sequence[path.Unit]) -> str:
    """Say that nothing was found, and where it was looked for."""
    for unit in units:
        told = {"tunnel": unit.tunnel_address, "management": unit.management_address}
        kind = next((kind for kind, one in told.items() if one and path.same_address(one, wanted.address)), "")
        if kind:
            return f"{wanted.text} is the {kind} address of {unit.name} and its host, not that of a port of Neutron's"
    places: list[str] = []
    if view.asked:
        fields = {
            "address": "fixed addresses of Neutron's ports (allowed address pairs cannot be searched)",
            "mac": "MAC addresses of Neutron's ports",
            "id": "ids, devices, networks and names of Neutron's ports, and among Octavia's amphorae",
            "start": "names and ids of Neutron's ports, and among Nova's servers",
            "unit": f"Neutron's ports named {' or '.join(search.unit_names(wanted.text))}",
            "name": "names of Neutron's ports and networks, and of Nova's servers",
        }
        places.append(f"among the {fields[wanted.kind]}")
    if switch.bridges:
        places.append(f"on the switch of {switch.hostname or 'this host'}")
    rest = f"; {' '.join(view.notes)}" if view.notes else ""
    looked = f"it was looked for {' and '.join(places)}" if places else "nothing could be looked at"
    return f"nothing has {wanted.text!r}, taken for {wanted.words}: {looked}{rest}".rstrip(".")


def _summary(rows: Sequence[Found], wanted: sought.Sought, view: candidates.View) -> str:
    bad = sum(bool(row.problems) for row in rows)
    wrong = f" Something is wrong with {'it' if len(rows) == 1 else f'{bad} of them'}." if bad else ""
    if len(rows) > 1:
        return f"{wanted.text} is {wanted.words} of {len(rows)} ports.{wrong}"
    row = rows[0]
    device = row.devices[0].name if row.devices else ""
    if row.port is None:
        known = "which Neutron does not know" if view.asked else "and Neutron was not asked"
        port = row.devices[0].iface_id
        carried = f"which carries the port {port}, {known}" if port else "which carries no port of Neutron's"
        return f"{wanted.text} is the device {device} of this host, {carried}.{wrong}"
    place = f"on {row.port.host}" if row.port.host else "on no host"
    unit = f" ({row.unit})" if row.unit else ""
    named = f" {row.port.name}" if row.port.name else ""
    return (
        f"{wanted.text} is the port {row.port.id}{named} {place}{unit}{f', device {device}' if device else ''}.{wrong}"
    )


def _next(rows: Sequence[Found], context: context.Context) -> tuple[str, ...]:
    """Return the commands that show the switches on the ports' hosts."""
    away = [(row.unit, row.port.id) for row in rows if row.port and row.unit and not row.here]
    return tuple(context.command(unit, "find-port", f"what={port}") for unit, port in away[:3])
