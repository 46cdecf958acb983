"""A port on this host's switch, and where the switch and the cloud disagree about it."""

from collections.abc import Mapping, Sequence

from .. import path
from ..evidence import host, sight
from ..vswitch import database, trunk
from . import sought

_DEAD = 4095
_ON_SWITCHES = ("ovs", "vhostuser")
"""Kinds of ports that are plugged into a switch."""


class Device(path.Model):
    """What this host's switch and kernel say of a device that carries a port."""

    name: str
    bridge: str
    type: str = ""
    ofport: int | None = None
    tag: int | None = None
    """Neutron's local VLAN; 4095 is its dead VLAN."""
    iface_id: str = ""
    attached_mac: str = ""
    """The guest's MAC address, as whoever plugged it told the switch."""
    mac: str = ""
    """The device's own."""
    iface_status: str = ""
    link_state: str = ""
    """By the switch: `up` or `down`; empty where the device is out of sight, as that word is then an old one."""
    error: str = ""
    out_of_sight: str = ""
    """Why this host's kernel does not show a device that its switch has open; empty where it does."""
    kernel_device: str = ""
    """The device that tcpdump can watch: with the iptables_hybrid firewall the tap behind the switch's device."""
    up: bool | None = None
    """By the kernel; None where it has no such device."""
    carrier: bool | None = None
    mtu: int = 0
    addresses: tuple[str, ...] = ()
    """Of the device itself: a health manager's has the port's own."""


def carrying(port_id: str, switch: database.Switch) -> list[database.Interface]:
    """Return what carries a port on this switch: of a trunk's port, its patch port on br-int and not the other end."""
    found = [one for one in switch.interfaces if one.external_ids.get("iface-id") == port_id]
    wired = {one.name: trunk.find(switch, one) for one in found}
    hidden = {name for way in wired.values() if way for name in (way.peer, way.device)}
    return [one for one in found if one.name not in hidden]


def device(one: database.Interface, links: Mapping[str, host.Link], way: trunk.Way | None = None) -> Device:
    """Put together what is known of a device; `way` leads to that of a guest, where a trunk's bridge is between."""
    name = way.device if way else one.name
    behind = f"tap{name[3:]}" if name.startswith("qvo") else name
    link = links.get(behind) or links.get(one.name)
    hidden = sight.of_device(one, link)
    return Device(
        name=one.name,
        bridge=one.bridge,
        type=one.type,
        ofport=one.ofport,
        tag=one.tag,
        iface_id=one.external_ids.get("iface-id", ""),
        attached_mac=one.external_ids.get("attached-mac", "").lower(),
        mac="" if hidden else (one.mac or (link.mac if link else "")).lower(),
        iface_status=one.external_ids.get("iface-status", ""),
        link_state="" if hidden else one.link_state,
        error=one.error,
        out_of_sight=hidden,
        kernel_device=link.name if link else "",
        up=link.up if link else None,
        carrier=link.carrier if link else None,
        mtu=0 if hidden else link.mtu if link else one.mtu or 0,
        addresses=link.addresses if link else (),
    )


def matching(
    wanted: sought.Sought, switch: database.Switch, links: Mapping[str, host.Link], is_own_unit: bool
) -> list[database.Interface]:
    """Return the devices of this switch that may be meant."""
    return [one for one in switch.interfaces if _matches(wanted, one, links.get(one.name), is_own_unit)]


def _matches(wanted: sought.Sought, one: database.Interface, link: host.Link | None, is_own_unit: bool) -> bool:
    known = one.external_ids
    identifier = known.get("iface-id", "")
    # The tap, qbr and qvb of a port whose device on the switch is qvo have no row of their own.
    if one.name == wanted.text or (wanted.start and identifier.startswith(wanted.start)):
        return True
    if wanted.kind == "id" and known.get("vm-uuid") == wanted.start:
        return True
    if wanted.kind == "unit":
        return is_own_unit and one.name == "o-hm0"
    if wanted.macs and identifier and {known.get("attached-mac", "").lower(), one.mac.lower()} & set(wanted.macs):
        return True
    return bool(wanted.address and link and any(path.same_address(wanted.address, own) for own in link.addresses))


def about_devices(port_id: str, found: Sequence[Device]) -> list[str]:
    """Say what is wrong with the devices themselves."""
    said: list[str] = []
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        said.append(f"Several devices of the switch carry the port {port_id}: {names}.")
    for one in found:
        if one.ofport is None or one.ofport < 0:
            reason = one.error or ("ovs-vswitchd has not taken it up" if one.ofport is None else "it gives no reason")
            said.append(f"The switch does not have {one.name} open (ofport {one.ofport}): {reason}.")
        elif one.error:
            said.append(f"The switch says of {one.name}: {one.error}.")
        if one.tag == _DEAD:
            said.append(f"{one.name} has the VLAN tag {_DEAD}, which is dead: the agent did not wire the port.")
        elif one.tag is None and one.bridge == "br-int" and one.iface_id:
            said.append(f"{one.name} has no VLAN tag: the agent has not wired the port yet.")
        if one.up is None and not one.out_of_sight and one.type in ("", "internal"):
            said.append(f"The switch has {one.name}, but this host has no such device.")
    return said


def disagreements(port: path.Port, is_here: bool, hosts: str, found: Sequence[Device]) -> list[str]:
    """Say where the switch of this host and Neutron differ.

    Args:
        port: What Neutron says.
        is_here: Whether Neutron says that the port is on this host.
        hosts: This host's names, for a sentence.
        found: The devices of this switch that carry the port.
    """
    said: list[str] = []
    if is_here and not found and port.vif_type in _ON_SWITCHES:
        said.append(f"Neutron has the port on this host, but no device of its switch carries {port.id}.")
    for one in found:
        if port.host and not is_here:
            said.append(f"Neutron has the port on {port.host}, but {one.name} on {hosts} carries it.")
        if one.attached_mac and one.attached_mac != port.mac:
            said.append(f"Neutron has the MAC address {port.mac}, but the switch was told {one.attached_mac}.")
        if one.type == "internal" and one.mac and one.mac != port.mac:
            said.append(
                f"{one.name} sends from {one.mac}, but Neutron has {port.mac}: anti-spoofing drops what it sends."
            )
        down = one.link_state == "down" or one.up is False
        if port.status == "ACTIVE" and port.admin_state_up and down:
            said.append(f"Neutron has the port ACTIVE, but {one.name} is down.")
        if port.status == "DOWN" and is_here and one.link_state == "up" and one.iface_status == "active":
            said.append(f"Neutron has the port DOWN, but {one.name} is up.")
    return said
