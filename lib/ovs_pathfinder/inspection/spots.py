"""Where to capture: a role on the path, or a name → the device of this host, or the port that must be mirrored."""

from typing import Literal

from .. import errors, path
from ..evidence import host, local, packet
from ..vswitch import database
from . import context as context_
from . import filters, origin

Role = Literal["port", "tunnel", "underlay", "device"]
_TUNNELS = ("gre", "vxlan", "geneve")
_NAMED = 10


class Spot(path.Model):
    """A place to capture at."""

    role: Role
    device: str
    """The device, or the port that has none and is mirrored."""
    bridge: str = ""
    """The bridge on which the port is mirrored; empty for a device."""
    expression: str
    """For the kernel, as pcap-filter(7) has it; empty for all packets."""
    tunnel_ports: dict[str, int] = packet.TUNNEL_PORTS
    is_on_switch: bool = True
    """Whether packets that pass there can be traced through the switch."""
    notes: tuple[str, ...] = ()


def find(
    context: context_.Context, role: Role, wanted: filters.Wanted, *, plan: path.Plan | None, device: str, port: str
) -> Spot:
    """Find the place.

    Args:
        context: This unit, and where Neutron's names are looked up.
        role: Which place.
        wanted: Which packets; those of the plan, where no address is named.
        plan: The path.
        device: The device's name, for the role of that name.
        port: A Neutron port, for the role of that name.

    Raises:
        PathfinderError: There is no such place here.
    """
    if plan is not None and not wanted.hosts:
        wanted = wanted.model_copy(update={"hosts": (plan.source.address, plan.destination.address)})
    if role == "device":
        return _named(device, wanted)
    if role == "port" and port:
        found, vlan = origin.tagged_device_of(context, port)
        spot = _named(found, wanted)
        return spot.model_copy(update={"role": "port", "expression": _tagged(spot.expression, vlan)})
    if plan is None:
        return _only_tunnel(role, wanted)
    here = local.Local(plan, context.unit)
    if role == "port":
        return _port(here, wanted)
    if here.far is None:
        raise errors.PathfinderError(
            f"both ends of run {plan.run} are on this host, so the path has no {role}; give at=port"
        )
    return _tunnel(here, wanted) if role == "tunnel" else _underlay(here, wanted)


def _named(name: str, wanted: filters.Wanted) -> Spot:
    if name == "any":
        raise errors.PathfinderError("the device any gives no Ethernet frames; name one device")
    switch = database.read()
    interface = switch.interface(name)
    if host.link(name) is not None:
        is_port = interface is not None and "iface-id" in interface.external_ids
        return Spot(role="device", device=name, expression=filters.plain(wanted), is_on_switch=is_port)
    if interface is None or not interface.bridge:
        ports = [one.name for one in switch.interfaces]
        listed = ", ".join(ports[:_NAMED]) + (f" and {len(ports) - _NAMED} more" if len(ports) > _NAMED else "")
        raise errors.PathfinderError(
            f"there is no device {name} on this host; its switch has {listed or 'no ports'}, and `ip link` shows more"
        )
    if interface.type not in (*_TUNNELS, "patch"):
        raise errors.PathfinderError(
            f"the port {name} of {interface.bridge} has no device on this host"
            f"{f': {interface.error}' if interface.error else ''}; it can carry no packets"
        )
    return Spot(role="device", device=name, bridge=interface.bridge, expression=filters.plain(wanted))


def _port(here: local.Local, wanted: filters.Wanted) -> Spot:
    role = here.roles[0]
    device = here.devices[role]
    if device.out_of_sight:
        raise errors.PathfinderError(f"the {role}'s port cannot be watched: {device.out_of_sight}")
    if not device.present:
        raise errors.PathfinderError(
            f"the device {device.name} of the {role}'s port does not exist on this host; has its guest been started?"
        )
    notes: tuple[str, ...] = ()
    if len(here.roles) > 1:
        other = here.plan.destination.port.id
        notes = (f"Both ends of the path are on this host; this is the source's port, and port={other} is the other.",)
    expression = _tagged(filters.plain(wanted), device.trunk.vlan if device.trunk else None)
    return Spot(role="port", device=device.name, expression=expression, notes=notes)


def _tagged(plain: str, vlan: int | None) -> str:
    """Return the filter for packets with a VLAN tag; None for any."""
    tag = "" if vlan is None else f"vlan {vlan}"
    return " and ".join(one for one in (tag, f"({plain})" if plain and tag else plain) if one)


def _tunnel(here: local.Local, wanted: filters.Wanted) -> Spot:
    if not here.plan.network.is_tunnelled:
        raise errors.PathfinderError(
            f"the packets of this path travel on {here.plan.network} and in no tunnel; capture at=underlay"
        )
    if here.tunnel is None:
        remote = here.far.tunnel_address if here.far else ""
        raise errors.PathfinderError(
            f"this host has no {here.plan.network.type} tunnel to {remote or 'the other host'}; show-tunnels lists "
            "those that it has"
        )
    return Spot(role="tunnel", device=here.tunnel.name, bridge=here.tunnel.bridge, expression=filters.plain(wanted))


def _underlay(here: local.Local, wanted: filters.Wanted) -> Spot:
    if here.hidden_underlay:
        raise errors.PathfinderError(f"the underlay cannot be watched: {here.hidden_underlay}")
    remote = here.far.tunnel_address if here.far else ""
    devices = here.underlay_devices()
    if devices and not here.plan.network.is_tunnelled:
        return _physical(here, devices, wanted)
    if not devices:
        raise errors.PathfinderError(
            f"this host has no route to the tunnel end {remote}"
            if remote
            else "the cloud does not say where the other tunnel end is, so its device is not known; give device"
        )
    return _outer(devices, here.plan.network.type, here.tunnel_address, remote, wanted, here.tunnel_ports)


def _physical(here: local.Local, devices: tuple[str, ...], wanted: filters.Wanted) -> Spot:
    device, *others = devices
    network, plain = here.plan.network, filters.plain(wanted)
    notes = (f"Packets may also use {', '.join(others)}; capture there with device.",) if others else ()
    return Spot(role="underlay", device=device, expression=_tagged(plain, network.segmentation_id), notes=notes)


def _outer(
    devices: tuple[str, ...],
    type_: str,
    own: str,
    remote: str,
    wanted: filters.Wanted,
    tunnel_ports: dict[str, int],
) -> Spot:
    device, *others = devices
    notes = (f"Tunnelled packets may also use {', '.join(others)}; capture there with device.",) if others else ()
    return Spot(
        role="underlay",
        device=device,
        expression=filters.tunnelled(wanted, type_, own, remote, tunnel_ports),
        tunnel_ports=tunnel_ports,
        notes=notes,
    )


def _only_tunnel(role: Role, wanted: filters.Wanted) -> Spot:
    """Return the place at the one tunnel of this host, where there is no plan to choose one."""
    switch = database.read()
    tunnels = [one for type_ in _TUNNELS for one in switch.tunnels(type_) if one.options["remote_ip"] != "flow"]
    if len(tunnels) != 1:
        listed = ", ".join(f"{one.name} to {one.options['remote_ip']}" for one in tunnels[:_NAMED])
        more = f" and {len(tunnels) - _NAMED} more" if len(tunnels) > _NAMED else ""
        raise errors.PathfinderError(
            f"this host has {len(tunnels)} tunnels ({listed or 'none'}{more}), so at={role} alone names none of them; "
            "give run, or device"
        )
    (tunnel,) = tunnels
    if role == "tunnel":
        return Spot(role=role, device=tunnel.name, bridge=tunnel.bridge, expression=filters.plain(wanted))
    own, remote = tunnel.options.get("local_ip", ""), tunnel.options["remote_ip"]
    own = "" if own == "flow" else own
    route = host.route(remote, own)
    if route is None:
        raise errors.PathfinderError(f"this host has no route to the tunnel end {remote}")
    named = tunnel.options.get("dst_port", "")
    given = {tunnel.type: int(named)} if named.isdigit() else {}
    return _outer(
        local.devices_below(switch, route.device), tunnel.type, own, remote, wanted, {**packet.TUNNEL_PORTS, **given}
    )
