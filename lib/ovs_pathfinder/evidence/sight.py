"""What captures on this host can see: the kernel's devices in this network namespace, and what the kernel forwards.

A capture elsewhere sees nothing and reports no error, so that its zero would pass for a loss.
"""

from collections.abc import Sequence

from ..vswitch import database
from . import host, record

_OF_KERNEL = ("", "system", "internal")
"""Types of interfaces that are devices of the kernel."""


def of_device(interface: database.Interface | None, link: host.Link | None) -> str:
    """Say why a device that the switch has open is out of sight; empty where it is not, or where it is not open."""
    if interface is None or not interface.is_open:
        return ""
    if interface.bypasses_kernel:
        return f"{interface.name} is of type {interface.type}, and its packets do not pass the kernel"
    if link is None and interface.type in _OF_KERNEL:
        return f"{interface.name} is in another network namespace, as the ports of routers and DHCP are"
    return ""


def of_uplinks(switch: database.Switch, bridge: str) -> str:
    """Say why what a bridge sends to the network is out of sight; empty where it is not."""
    hidden = [one for one in switch.uplinks(bridge) if one.bypasses_kernel]
    if not hidden:
        return ""
    names = ", ".join(one.name for one in hidden)
    return f"{bridge} reaches the network by {names} of type {hidden[0].type}, past the kernel"


def of_flows(switch: database.Switch, flows: Sequence[record.Megaflow]) -> str:
    """Say why captures may have missed packets of some datapath flows: a NIC forwarded them; empty where none did."""
    if not switch.hw_offload or not any(one.offloaded for one in flows):
        return ""
    return "hw-offload is on and the probe's datapath flows are offloaded, so that the NIC forwards its packets itself"
