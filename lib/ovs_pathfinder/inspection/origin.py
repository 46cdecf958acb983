"""From where this host sends to an address: the device, and the address of its own."""

import ipaddress
import re
from typing import Annotated

import pydantic

from .. import errors, path
from ..cloud import neutron
from ..evidence import host
from ..vswitch import database, trunk
from . import context as context_
from . import query

_DEVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,62}")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NAMED = 10


def _address(text: str) -> str:
    """Return the canonical form of an address that one host can have; nothing for nothing."""
    if not text:
        return ""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError("it is no IP address; names are not looked up, so give the address") from None
    if "%" in text:
        raise ValueError("it names a zone; leave out what follows the % and name the device with device")
    if address.is_multicast or address.is_unspecified or text == "255.255.255.255":
        raise ValueError("it is no address of one host; give one that a port has")
    return str(address)


def _device(text: str) -> str:
    if text and not _DEVICE.fullmatch(text):
        raise ValueError("it is no name that a device has; give one that `ip link` shows")
    return text


OptionalAddress = Annotated[query.OptionalText, pydantic.AfterValidator(_address)]
OptionalDevice = Annotated[query.OptionalText, pydantic.AfterValidator(_device)]


class Origin(path.Model):
    """Where packets leave from."""

    device: str
    source: str
    """The address of this host that they carry."""
    mtu: int
    """Bytes of an IP packet on that device; 0 where unknown."""
    neighbour: str
    """The address whose MAC address they need: the destination's, or the gateway's."""
    why: str
    """How the device was chosen, in words."""


def find(
    context: context_.Context, destination: str, *, device: str = "", port: str = "", plan: path.Plan | None = None
) -> Origin:
    """Choose the device, in this order: what was named, the plan's, a port of a network with the address, the route's.

    Args:
        context: Where Neutron's names are looked up.
        destination: The address that is sent to.
        device: A device of this host.
        port: A Neutron port by its id, its name or its tap.
        plan: The path whose source's port it is.

    Raises:
        PathfinderError: There is none, or nothing can be sent from it.
    """
    if device:
        return _on(device, destination, "it was named")
    if port:
        found = device_of(context, port)
        return _on(found, destination, f"it is the device of the port {port}")
    if plan is not None:
        return _of_plan(context, plan, destination)
    for one in database.read().interfaces:
        about = host.link(one.name) if one.type == "internal" and "iface-id" in one.external_ids else None
        if about is not None and about.on_link(destination):
            why = f"it is this host's Neutron port {one.external_ids['iface-id']} on the network of {destination}"
            return _on(about.name, destination, why)
    route = host.route(destination)
    if route is None:
        raise errors.PathfinderError(
            f"this host has no route to {destination}, nor a Neutron port on its network; run this on a unit that has "
            "one, or name the device with device"
        )
    return _on(route.device, destination, f"this host's route to {destination} leaves by it")


def _of_plan(context: context_.Context, plan: path.Plan, destination: str) -> Origin:
    end = plan.source
    if end.unit != context.unit:
        where = f"on {end.unit}; run this there" if end.unit else "on a host without a unit of ovs-pathfinder"
        raise errors.PathfinderError(f"the source of run {plan.run} is {where}, or give device instead of run")
    device = device_of(context, end.port.id)
    found = _on(device, destination, f"it is the source's port in run {plan.run}")
    about = host.link(device)
    if about is None or end.address not in about.addresses:
        raise errors.PathfinderError(
            f"{device} has not the address {end.address}, which Neutron gives to the source of run {plan.run}; add it "
            "to the device, or give device instead of run"
        )
    return found.model_copy(update={"source": end.address})


def _on(device: str, destination: str, why: str) -> Origin:
    """Describe the way from a device to an address.

    Raises:
        PathfinderError: There is no such device, or it has no address of that version.
    """
    about = host.link(device)
    if about is None:
        raise errors.PathfinderError(f"there is no device {device} on this host; see `ip link`, and name another one")
    own = about.on_link(destination)
    route = host.route(destination, device=device)
    version = ipaddress.ip_address(destination).version
    source = own or (route.source if route else "")
    if not source:
        of_version = [one for one in about.addresses if ipaddress.ip_address(one).version == version]
        source = of_version[0] if of_version else ""
    if not source:
        raise errors.PathfinderError(
            f"{device} has no IPv{version} address, so this host can send nothing from it to {destination}; a guest's "
            "device has none here, so name one of the host's own, or run this without device and port"
        )
    gateway = route.gateway if route and not own else ""
    return Origin(device=device, source=source, mtu=about.mtu, neighbour=gateway or destination, why=why)


def destination_of(destination: str, plan: path.Plan | None) -> str:
    """Return the address that was named, or else the plan's.

    Raises:
        PathfinderError: Neither was given, or the two cannot be compared.
    """
    if destination:
        return destination
    if plan is None:
        raise errors.PathfinderError("no destination is given; give an address, or a run whose destination is meant")
    return plan.destination.address


def device_of(context: context_.Context, port: str) -> str:
    """Return this host's device of a Neutron port; arguments and errors are those of `tagged_device_of`."""
    return tagged_device_of(context, port)[0]


def tagged_device_of(context: context_.Context, port: str) -> tuple[str, int | None]:
    """Return this host's device of a Neutron port, and the VLAN tag of its packets there: None but for subports.

    Args:
        context: Where a port's name is looked up; its id and its tap need no cloud.
        port: Its id, its name or its tap.

    Raises:
        PathfinderError: The port is not known, or it is not on this host.
    """
    switch = database.read()
    if switch.interface(port) is not None or (_DEVICE.fullmatch(port) and host.link(port) is not None):
        return port, None
    identifier = port.lower() if _ID.fullmatch(port) else _id_of(context, port)
    interface = switch.port_of(identifier)
    tap = f"tap{identifier}"[:14]
    # With the iptables_hybrid firewall the switch has qvoXXXXXXXX-XX and the guest hangs on the tap behind it.
    name = interface.name if interface is not None and not interface.name.startswith("qvo") else tap
    way = trunk.find(switch, interface) if interface is not None else None
    name = way.device if way else name
    if host.link(name) is not None:
        return name, way.vlan if way else None
    there = sorted(one.external_ids["iface-id"] for one in switch.interfaces if "iface-id" in one.external_ids)
    listed = ", ".join(there[:_NAMED]) + (f" and {len(there) - _NAMED} more" if len(there) > _NAMED else "")
    raise errors.PathfinderError(
        f"the port {port} has no device on this host, whose ports are {listed or 'none'}; run this on the unit of its "
        "host"
    )


def _id_of(context: context_.Context, name: str) -> str:
    """Ask Neutron for the port of a name."""
    with context.connect() as openstack:
        found = neutron.ports(openstack, name=[name])
    if len(found) != 1:
        ids = ", ".join(one.id for one in found[:5])
        how = f"there are {len(found)} of that name: {ids}" if found else "Neutron knows none of that name"
        raise errors.PathfinderError(f"the port {name!r} is not known for certain: {how}; give its id")
    return found[0].id


def plan_of(context: context_.Context, run: str) -> path.Plan | None:
    """Return the plan of a run; none for none."""
    return context.plan(run) if run else None
