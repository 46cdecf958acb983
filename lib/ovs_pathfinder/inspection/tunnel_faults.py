"""What is wrong with a tunnel port, as far as one host can see."""

from collections.abc import Iterable

from .. import path
from ..evidence import host
from ..vswitch import database, tunnel
from . import agents


def of_switch(one: database.Interface, switch: database.Switch) -> list[str]:
    """Say what the switch has against a port."""
    said: list[str] = []
    if one.ofport is None:
        said.append("ovs-vswitchd has not taken it up, so it forwards nothing: look whether ovs-vswitchd runs.")
    elif one.ofport < 0:
        said.append(f"The switch could not open it (ofport {one.ofport}): {one.error or 'it gives no reason'}.")
    elif one.error:
        said.append(f"The switch says: {one.error}.")
    elif one.link_state == "down":
        egress = one.status.get("tunnel_egress_iface", "")
        said.append(f"It is down{f': so is its underlay device {egress}' if egress else ''}.")
    twins = [
        other.name
        for other in switch.tunnels(one.type)
        if other.name != one.name
        and tunnel.same(other.options["remote_ip"], one.options["remote_ip"])
        and all(other.options.get(key) == one.options.get(key) for key in ("local_ip", "key", "in_key", "dst_port"))
    ]
    if twins:
        said.append(f"{', '.join(twins)} leads to {one.options['remote_ip']} too: only one of them can work.")
    if one.bfd.get("enable") == "true" and one.bfd_status.get("state", "") != "up":
        said.append(f"BFD does not hear the other end: {bfd(one)}.")
    return said


def of_name(one: database.Interface) -> list[str]:
    """Say where the name is not the one that the agent gives for that address."""
    remote = one.options["remote_ip"]
    expected = tunnel.name(one.type, remote)
    if not expected or one.name == expected or not one.name.startswith(f"{one.type}-"):
        return []
    named = tunnel.named_address(one.name) if len(one.name) == len(f"{one.type}-") + 8 else ""
    tells = f"its name tells of {named}" if named else "its name does not belong to that address"
    return [f"Its remote address is {remote}, but {tells}; Neutron's agent would call it {expected}."]


def of_remote(one: database.Interface, place_unit: str, known: bool, view: agents.View, here: path.Unit) -> list[str]:
    """Say where the far end is nobody's, or this host's own."""
    remote = one.options["remote_ip"]
    if not tunnel.is_address(remote):
        return []
    if place_unit and place_unit == here.name:
        return [f"Its remote address {remote} is this host's own."]
    if known or not view.asked:
        return []
    return [f"No unit and no agent of Neutron's has the address {remote} any more: the tunnel is stale."]


def of_near_end(local: str, links: Iterable[host.Link], view: agents.View) -> list[str]:
    """Say where the near end is not this host's."""
    if not tunnel.is_address(local):
        return []
    own = {tunnel.canonical(address) for link in links for address in link.addresses}
    said: list[str] = []
    if tunnel.canonical(local) not in own:
        said.append(f"No device of this host has its local address {local}.")
    told = view.own.configurations.tunneling_ip if view.own else ""
    if told and not tunnel.same(told, local):
        said.append(f"Its local address is {local}, but the agent here told Neutron {told}.")
    return said


def of_way(remote: str, route: host.Route | None, device: host.Link | None, neighbour: host.Neighbour) -> list[str]:
    """Say what is wrong with the underlay, as far as this host knows."""
    if not tunnel.is_address(remote):
        return []
    if route is None:
        return [f"This host has no route to {remote}."]
    said: list[str] = []
    if device is not None and not (device.up and device.carrier):
        said.append(f"The underlay's device {device.name} is {'without carrier' if device.up else 'switched off'}.")
    if neighbour.state in ("FAILED", "INCOMPLETE"):
        said.append(f"The next hop {route.gateway or remote} does not answer on {route.device}: {neighbour.state}.")
    return said


def bfd(one: database.Interface) -> str:
    """Return what bidirectional forwarding detection says in words; empty where it is not configured."""
    if one.bfd.get("enable") != "true":
        return ""
    shown = ("state", "forwarding", "diagnostic", "remote_state", "remote_diagnostic", "flap_count")
    return ", ".join(f"{key} {one.bfd_status[key]}" for key in shown if one.bfd_status.get(key)) or "no state yet"
