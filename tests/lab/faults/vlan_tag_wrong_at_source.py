"""The source's port has another VLAN tag than its flows say: what it sends is in a VLAN without a tunnel."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("broken", "vlan-tag-wrong", "source-br-tun", "forward")


def inject(lab: hosts.Lab) -> None:
    """Change the tag, which an agent at work would repair."""
    lab.source.vsctl("set", "Port", topology.SOURCE.device, "tag=2")
