"""The namespaces' links, bridges and addresses: the underlay, the management network, and the guests' taps."""

from collections.abc import Mapping, Sequence

from . import node, topology


def connect(
    shape: topology.Shape,
    fabric: node.Node,
    control: node.Node,
    hosts: Mapping[str, node.Host],
    guests: Mapping[str, node.Node],
) -> None:
    """Make the namespaces and the links between them; devices that a switch makes get theirs by `address`."""
    lines = [f"netns add {each.namespace}" for each in (fabric, control, *hosts.values(), *guests.values())]
    for key, host in hosts.items():
        near = f"netns {host.namespace}"
        lines.append(f"link add eth0 {near} type veth peer name m-{key} netns {control.namespace}")
        lines.append(f"link add eth1 {near} type veth peer name u-{key} netns {fabric.namespace}")
    for each in shape.interfaces[1:]:
        far = f"peer name eth0 netns {guests[each.key].namespace} address {each.mac} mtu {shape.mtu}"
        near = f"mtu {shape.mtu} netns {hosts[shape.site(each).key].namespace} address {each.tap_mac}"
        lines.append(f"link add {each.device} {near} type veth {far}")
    node.configure(lines)
    for host in hosts.values():
        # on a flat network br-phy hears questions for o-hm0's address, which its host would answer with br-phy's MAC
        host.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")
    for each in (*hosts.values(), *guests.values()):
        # no router solicitations, which would make the switch learn MACs at odd moments
        each.run("sysctl", "-qw", "net.ipv6.conf.default.accept_ra=0")
    _bridge(fabric, "underlay", [f"u-{key}" for key in hosts], mtu=9000)
    _bridge(control, "management", [f"m-{key}" for key in hosts], mtu=1500)
    control.configure(f"addr add {topology.CONTROL_ADDRESS}/{topology.MANAGEMENT_PREFIX} dev management")
    for host in hosts.values():
        _devices(host, [each.device for each in shape.plugged(host.site) if each is not topology.SOURCE])
    for each in shape.interfaces[1:]:
        guest = guests[each.key]
        # the userspace conntrack drops packets whose checksum was left to the "hardware"
        guest.run("ethtool", "-K", "eth0", "tx", "off")
        guest.configure("link set lo up", *_up(each, "eth0"))


def address(host: node.Host, shape: topology.Shape) -> None:
    """Give a host's internal devices their addresses, once its switch has made them."""
    lines = [
        "link set br-phy mtu 1500 addrgenmode none",
        "link set br-phy up",
        f"addr add {host.site.tunnel_address}/{topology.UNDERLAY_PREFIX} dev br-phy",
    ]
    if topology.SOURCE in shape.plugged(host.site):
        device = topology.SOURCE.device
        lines.append(f"link set {device} address {topology.SOURCE.mac} mtu {shape.mtu}")
        lines += _up(topology.SOURCE, device)
    host.configure(*lines)


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


def _devices(host: node.Host, taps: Sequence[str]) -> None:
    """Bring a host's own devices up; those that are plugged in a bridge have no addresses."""
    host.configure(
        "link set lo up",
        f"addr add {host.site.management_address}/{topology.MANAGEMENT_PREFIX} dev eth0",
        "link set eth1 mtu 9000",
        # a userspace datapath leaves frames to the kernel as well, which would answer ARP for addresses of br-phy and
        # o-hm0 with the MAC of the device that the question comes in by
        *(f"link set {device} arp off" for device in ("eth1", *taps)),
        *(f"link set {device} addrgenmode none" for device in ("eth0", "eth1", *taps)),
        *(f"link set {device} up" for device in ("eth0", "eth1", *taps)),
    )


def _up(interface: topology.Interface, device: str) -> list[str]:
    """Return the lines of `ip` that bring a device up with all its addresses, without waiting for DAD."""
    return [
        f"link set {device} addrgenmode none",  # before it is up, or the kernel makes a link-local address
        f"link set {device} up",
        f"addr add {interface.link_local}/64 dev {device} scope link nodad",
        f"addr add {interface.address6}/64 dev {device} nodad",
        f"addr add {interface.address4}/24 dev {device}",
    ]
