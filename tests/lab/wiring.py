"""The namespaces' links, bridges and addresses: the underlay, the management network, and the guests' taps."""

import pathlib
import sys
from collections.abc import Mapping, Sequence

from . import node, topology

_LACP = 1 << 2
"""The bit of a bridge port's `group_fwd_mask` for 01:80:c2:00:00:02, which bridges keep to themselves."""


def connect(
    fabric: node.Node,
    control: node.Node,
    hosts: Mapping[str, node.Host],
    guests: Mapping[str, node.Node],
    uplinks: Sequence[str] = ("eth1",),
) -> None:
    """Make the namespaces, the underlay and the management network; `attach` connects the guests."""
    lines = [f"netns add {each.namespace}" for each in (fabric, control, *hosts.values(), *guests.values())]
    for key, host in hosts.items():
        near = f"netns {host.namespace}"
        lines.append(f"link add eth0 {near} type veth peer name m-{key} netns {control.namespace}")
        lines += [
            f"link add {one} {near} type veth peer name {_far(one, key)} netns {fabric.namespace}" for one in uplinks
        ]
    node.configure(lines)
    for host in hosts.values():
        # on a flat network br-phy hears questions for o-hm0's address, which its host would answer with br-phy's MAC
        host.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")
    for each in (*hosts.values(), *guests.values()):
        # no router solicitations, which would make the switch learn MACs at odd moments
        each.run("sysctl", "-qw", "net.ipv6.conf.default.accept_ra=0")
    for each in uplinks:  # of a bond, each device has a wire of its own
        _bridge(fabric, f"underlay{_number(each)}", [_far(each, key) for key in hosts], mtu=9000)
    if len(uplinks) > 1:
        ends = [_far(each, key) for each in uplinks for key in hosts]
        fabric.configure(*(f"link set {each} type bridge_slave group_fwd_mask {_LACP}" for each in ends))
    _bridge(control, "management", [f"m-{key}" for key in hosts], mtu=1500)
    control.configure(f"addr add {topology.CONTROL_ADDRESS}/{topology.MANAGEMENT_PREFIX} dev management")
    for host in hosts.values():
        host.configure(
            "link set lo up",
            f"addr add {host.site.management_address}/{topology.MANAGEMENT_PREFIX} dev eth0",
            *(f"link set {each} mtu 9000" for each in uplinks),
            *(line for each in uplinks for line in _plain(each)),
            "link set eth0 addrgenmode none",
            "link set eth0 up",
        )


def _number(uplink: str) -> str:
    """Return what tells the wires of a bond apart: nothing of the first."""
    return uplink.removeprefix("eth").replace("1", "")


def _far(uplink: str, key: str) -> str:
    """Name the underlay's end of a host's device."""
    return f"u-{key}{_number(uplink)}"


def attach(interface: topology.Interface, guest: node.Node, host: node.Host, mtu: int, vlan: int | None = None) -> None:
    """Give a guest its interface, and its host the tap that is to be plugged; `vlan` is that of a trunk's subport."""
    plugged = interface.parent or interface
    device = "trunk0" if interface.parent else "eth0"
    far = f"peer name {device} netns {guest.namespace} address {plugged.mac} mtu {mtu}"
    near = f"mtu {mtu} netns {host.namespace} address {plugged.tap_mac}"
    node.configure([f"link add {plugged.device} {near} type veth {far}"])
    # the userspace conntrack drops packets whose checksum was left to the "hardware"
    guest.run("ethtool", "-K", device, "tx", "off")
    if interface.parent:
        guest.configure(
            *up(plugged, device),
            "tuntap add dev eth0 mode tap",
            f"link set eth0 address {interface.mac} mtu {mtu}",
        )
        program = str(pathlib.Path(__file__).with_name("tagger.py"))
        guest.start("tagger", sys.executable, program, device, "eth0", str(vlan or topology.TRUNK_VLAN))
    guest.configure("link set lo up", *up(interface, "eth0"))
    host.configure(*_plain(plugged.device))


def address_underlay(host: node.Host) -> None:
    """Give a host its end of the tunnels, once its switch has made the device."""
    host.configure(
        "link set br-phy mtu 1500 addrgenmode none",
        "link set br-phy up",
        f"addr add {host.site.tunnel_address}/{topology.UNDERLAY_PREFIX} dev br-phy",
    )


def address_source(host: node.Host, mtu: int) -> None:
    """Give the source its addresses, once the switch of its host has made the device."""
    device = topology.SOURCE.device
    host.configure(f"link set {device} address {topology.SOURCE.mac} mtu {mtu}", *up(topology.SOURCE, device))


def _bridge(where: node.Node, name: str, ports: Sequence[str], *, mtu: int) -> None:
    """Make a Linux bridge that forwards at once and sends nothing of its own."""
    where.configure(
        "link set lo up",
        f"link add {name} type bridge forward_delay 0 mcast_snooping 0",
        f"link set {name} addrgenmode none",
        *(f"link set {each} mtu {mtu} addrgenmode none" for each in ports),
        *(f"link set {each} master {name} up" for each in ports),
        f"link set {name} up",
    )


def _plain(device: str) -> list[str]:
    """Return the lines of `ip` that bring up a device that is plugged in a bridge: it has no addresses."""
    return [
        # a userspace datapath leaves frames to the kernel as well, which would answer ARP for addresses of br-phy and
        # o-hm0 with the MAC of the device that the question comes in by
        f"link set {device} arp off",
        f"link set {device} addrgenmode none",
        f"link set {device} up",
    ]


def up(interface: topology.Interface, device: str) -> list[str]:
    """Return the lines of `ip` that bring a device up with all its addresses, without waiting for DAD."""
    return [
        f"link set {device} addrgenmode none",  # before it is up, or the kernel makes a link-local address
        f"link set {device} up",
        f"addr add {interface.link_local}/64 dev {device} scope link nodad",
        f"addr add {interface.address6}/64 dev {device} nodad",
        f"addr add {interface.address4}/24 dev {device}",
    ]
