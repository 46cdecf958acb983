"""The bridge of a trunk, between a guest's device and br-int (`trunk_manager.py` of Neutron's Open vSwitch agent).

The parent's device is plugged into the trunk's bridge, which only switches (NORMAL). A pair of patch ports joins that
bridge to br-int for each port of the trunk: `tpt-…` and `tpi-…` for the parent, `spt-…` and `spi-…` for a subport, and
`spt-…` has the subport's VLAN as its tag. The ends on br-int are what the agent wires as it does any guest's device.
"""

from typing import Literal

from .. import path
from . import database

PREFIX = "tbr-"
_BRIDGE = "br-int"
_PATCHES = ("tpi-", "tpt-", "spi-", "spt-")

Fault = Literal["port-not-plugged", "patch-broken", "vlan-tag-wrong"]


class Way(path.Model):
    """How packets come from br-int to a guest's device by a trunk's bridge; what is missing there is empty."""

    bridge: str
    patch: str = ""
    """The patch port of br-int that is the port's."""
    peer: str = ""
    """The other end, on the trunk's bridge."""
    vlan: int | None = None
    """The VLAN tag that the port's packets have on the guest's device; None for none, as the parent's."""
    device: str = ""
    """The guest's device, as the switch calls it."""
    ofport: int | None = None
    """Of the guest's device, on the trunk's bridge."""


def is_patch(name: str) -> bool:
    """Return whether a patch port joins a trunk's bridge to br-int."""
    return name.startswith(_PATCHES)


def find(switch: database.Switch, patch: database.Interface) -> Way | None:
    """Follow a port from br-int to its guest's device; None where no trunk's bridge is between them.

    Args:
        switch: The local one.
        patch: What carries the port on br-int.
    """
    if patch.type != "patch" or patch.bridge != _BRIDGE:
        return None
    peer = switch.interface(patch.options.get("peer", ""))
    if peer is None or not peer.bridge.startswith(PREFIX):
        return None
    device = _device(switch, peer.bridge)
    return Way(
        bridge=peer.bridge,
        patch=patch.name,
        peer=peer.name,
        vlan=peer.tag,
        device=device.name if device else "",
        ofport=device.ofport if device else None,
    )


def of_port(switch: database.Switch, port: path.Port) -> Way | None:
    """Return how a port is plugged by a trunk's bridge, as far as it is; None where nobody knows of a trunk."""
    one = switch.port_of(port.id)
    found = find(switch, one) if one is not None else None
    if found is not None:
        return found
    is_alone = one is not None and one.bridge.startswith(PREFIX)  # a parent's device without a patch port on br-int
    if port.trunk is None and not is_alone:
        return None
    bridge = one.bridge if one is not None and is_alone else port.trunk.bridge if port.trunk else ""
    device = _device(switch, bridge)
    return Way(
        bridge=bridge,
        patch=one.name if one is not None and one.bridge == _BRIDGE else "",
        device=device.name if device else "",
        ofport=device.ofport if device else None,
    )


def fault(switch: database.Switch, port: path.Port, way: Way) -> tuple[Fault, str] | None:
    """Say what is wrong on that way: what it means, and a sentence without its full stop; None where all is well."""
    if way.bridge not in switch.bridges:
        return "port-not-plugged", f"the trunk's bridge {way.bridge} does not exist"
    if not way.device:
        return "port-not-plugged", f"the trunk's bridge {way.bridge} has no device of a guest, only patch ports"
    if not way.patch:
        return "patch-broken", f"{_BRIDGE} has no patch port for port {port.id} to the trunk's bridge {way.bridge}"
    peer = switch.interface(way.peer) if way.peer else None
    if peer is None:
        named = switch.interface(way.patch)
        wanted = named.options.get("peer", "") if named else ""
        return "patch-broken", (
            f"patch port {way.patch} of {_BRIDGE} has the peer {wanted or '(none)'}, which is no port of the trunk's "
            f"bridge {way.bridge}"
        )
    if peer.options.get("peer") != way.patch:
        back = peer.options.get("peer") or "(none)"
        return "patch-broken", f"patch port {way.patch} of {_BRIDGE} has the peer {peer.name}, whose own peer is {back}"
    wanted_vlan = port.trunk.vlan if port.trunk else None
    if way.vlan != wanted_vlan:
        return "vlan-tag-wrong", (
            f"patch port {way.peer} of the trunk's bridge {way.bridge} has {_tag(way.vlan)}, and Neutron's trunk has "
            f"{_tag(wanted_vlan)} for the port"
        )
    return None


def _device(switch: database.Switch, bridge: str) -> database.Interface | None:
    """Return the guest's device on a trunk's bridge: it has no other port but patch ports, and its own."""
    found = (one for one in switch.interfaces if one.bridge == bridge and one.type != "patch" and one.name != bridge)
    return next(found, None)


def _tag(vlan: int | None) -> str:
    return "no VLAN tag" if vlan is None else f"the VLAN tag {vlan}"
