"""The amphora's port has another VLAN tag than its flows say: replies leave in a VLAN without a tunnel."""

from .. import hosts, topology
from . import Truth

TRUTH = Truth("broken", "vlan-tag-wrong", "destination-br-tun", "reply", cold=("destination-br-int", "forward"))


def inject(lab: hosts.Lab) -> None:
    """Change the tag, which an agent at work would repair."""
    lab.destination.vsctl("set", "Port", topology.GUEST.device, "tag=2")
