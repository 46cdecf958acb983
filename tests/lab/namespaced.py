"""A port whose device is in a network namespace of its own, as Neutron has those of routers and DHCP."""

from . import hosts, switch, topology, wiring


def move_guest(lab: hosts.Lab) -> None:
    """Put an internal port of the switch in place of the guest's tap, and move it to where the guest lives, as eth0."""
    host, guest, name = lab.destination, lab.guest, topology.GUEST.device
    number = host.ofport(name)
    plug = switch.plug(topology.GUEST, lab.shape.mtu)
    kind = ["set", "Interface", name, "type=internal", f"ofport_request={number}", f"mtu_request={lab.shape.mtu}"]
    host.vsctl("del-port", "br-int", name)
    host.configure(f"link del {name}")
    switch.configure(host, [*plug, kind, ["set", "Port", name, f"tag={topology.VLAN}"]])
    host.configure(f"link set {name} netns {guest.namespace}")
    guest.configure(
        f"link set {name} down",
        f"link set {name} name eth0 address {topology.GUEST.mac} mtu {lab.shape.mtu}",
        *wiring.up(topology.GUEST, "eth0"),
    )
