"""What Neutron's agent does with a port that it cannot or need not wire (`port_dead`)."""

from .. import hosts, node, topology


def kill(lab: hosts.Lab, host: node.Host, interface: topology.Interface) -> None:
    """Put a port on the dead VLAN and drop what it sends."""
    host.vsctl("set", "Port", interface.device, "tag=4095")
    cookie, port = lab.cookie(host.site, "br-int"), host.ofport(interface.device)
    host.ofctl("add-flow", "br-int", f"cookie={cookie:#x},table=0,priority=2,in_port={port},actions=drop")
